import numpy as np
import pytest
from PIL import Image

from detkit.errors import ConfigError
from detkit.visualize.palette import DARK, LIGHT
from detkit.visualize.plots.curves import precision_recall, thinned
from detkit.visualize.plots.figures import POINTS, svg_text, write_plot


def curve():
    return precision_recall(
        "猫 & dog", {"all": (np.array([0.5, 0.5, 1.0]), np.array([1.0, 0.5, 0.7]))}, marked=(0.5, 1)
    )


def test_one_figure_gives_one_text_without_a_font_of_its_own():
    text = svg_text(curve())
    assert text == svg_text(curve()) and text.startswith("<svg ") and text.rstrip().endswith("</svg>")
    assert "猫 &amp; dog" in text and LIGHT["blue"] in text and "DejaVu" not in text


def test_an_adaptive_figure_takes_every_colour_from_the_reader():
    text = svg_text(curve(), adaptive=True)
    style, _, drawn = text.partition("</style>")
    assert all(f"--{name}:{color};" in style for one in (LIGHT, DARK) for name, color in one.items())
    assert "var(--blue)" in drawn and not any(color in drawn for color in LIGHT.values())


def test_plots_are_written_as_svg_or_png(tmp_path):
    write_plot(tmp_path / "a/plot.png", curve())
    with Image.open(tmp_path / "a/plot.png") as picture:
        assert picture.getpixel((0, 0))[:3] == (255, 255, 255)
    write_plot(tmp_path / "plot.svg", curve())
    assert "var(" not in (tmp_path / "plot.svg").read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match=r"plot.gif: plots are written as .svg or .png"):
        write_plot(tmp_path / "plot.gif", curve())


def test_a_curve_keeps_the_first_and_the_last_point_of_each_level():
    assert thinned(np.array([0.1, 0.2, 0.2, 0.2, 0.5])).tolist() == [0, 1, 3, 4]
    rows = thinned(np.repeat(np.arange(1000), 3))
    assert rows[0] == 0 and rows[-1] == 2999 and len(rows) <= 2 * POINTS
    assert len(thinned(np.zeros(0))) == 0
