"""Class names that a font can draw, and the colours of the classes."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

GOLDEN_RATIO = 0.618034


@dataclass(frozen=True)
class Labels:
    """The texts and the font of class names in pictures.

    Args:
        font_file: a TrueType or OpenType font.
        names: the text of each class: its name, or "class 3" if no font has the characters.
    """

    font_file: Path
    names: tuple[str, ...]

    @classmethod
    def of(cls, class_names: Sequence[str]) -> Labels:
        """Labels in matplotlib's own font, or in the first installed one that has every character of the names."""
        own = Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
        text = "".join(class_names)
        if _draws(own, text):
            return cls(own, tuple(class_names))
        for file in _installed():
            if _draws(file, text + "class 0123456789.-"):
                return cls(file, tuple(class_names))
        return cls(own, tuple(name if _draws(own, name) else f"class {k}" for k, name in enumerate(class_names)))

    def font(self, size: int) -> ImageFont.FreeTypeFont:
        """The font at a height in pixels."""
        return ImageFont.truetype(str(self.font_file), size)


def class_color(label: int) -> tuple[int, int, int]:
    """An RGB colour for each class, far from its neighbours' and never green, which is the ground truth's."""
    # The hue steps by the golden ratio over the circle without its green third (0.2 to 0.5).
    hue = (0.5 + 0.7 * ((label * GOLDEN_RATIO + 0.75) % 1)) % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85 if label % 2 == 0 else 0.6, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


def _installed() -> Iterator[Path]:
    # Reading the list of installed fonts takes seconds the first time; most class names never need it.
    from matplotlib import font_manager

    # "Last Resort" fonts have every character, each as a picture of its script.
    return (
        Path(e.fname) for e in font_manager.fontManager.ttflist if "lastresort" not in e.name.lower().replace(" ", "")
    )


def _draws(file: Path, text: str) -> bool:
    try:
        font = FT2Font(str(file))
    except (RuntimeError, OSError):
        # An installed font that FreeType cannot open is just not a candidate.
        return False
    return all(font.get_char_index(ord(character)) for character in set(text))
