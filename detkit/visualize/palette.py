"""The colours of plots, pages and boxes in them; colour-blind readers can tell them apart, too.

Source: Okabe and Ito, Color Universal Design, 2008, for the hues.
"""

from __future__ import annotations

LIGHT = {
    "ink": "#1c2126",
    "muted": "#5c6670",
    "line": "#d8dde2",
    "blue": "#0072b2",
    "orange": "#d55e00",
    "green": "#009e73",
    "purple": "#aa4b8c",
    "yellow": "#c88a00",
    "sky": "#56a8d9",
}
"""By name, on white. Blue is what is right or final, orange what is wrong or before, green the ground truth."""
DARK = {
    "ink": "#e7eaed",
    "muted": "#9aa5b0",
    "line": "#39424b",
    "blue": "#5ab2ee",
    "orange": "#ff9850",
    "green": "#3ecb9c",
    "purple": "#e08fc4",
    "yellow": "#ebb84a",
    "sky": "#9bd0f2",
}
"""The same on near black."""
SERIES = ("blue", "orange", "green", "purple", "yellow", "sky")
"""The order in which curves take them."""


def rgb(name: str) -> tuple[int, int, int]:
    """A colour of ``DARK``, which stands out on photographs, as red, green and blue of 0 to 255."""
    red, green, blue = bytes.fromhex(DARK[name][1:])
    return red, green, blue
