import itertools
from pathlib import Path

import matplotlib

from detkit.visualize import labels as labels_module
from detkit.visualize.labels import Labels, class_color

FONTS = Path(matplotlib.get_data_path(), "fonts", "ttf")


def test_latin_greek_and_cyrillic_names_use_the_font_that_comes_with_matplotlib():
    names = ("aeroplane", "γάτα", "кошка", "Küche")
    assert Labels.of(names) == Labels(FONTS / "DejaVuSans.ttf", names)


def test_a_name_without_a_font_becomes_its_number(monkeypatch):
    monkeypatch.setattr(labels_module, "_installed", lambda: iter([FONTS / "cmr10.ttf"]))
    assert Labels.of(("cat", "猫")) == Labels(FONTS / "DejaVuSans.ttf", ("cat", "class 1"))


def test_the_first_installed_font_with_all_characters_is_taken(monkeypatch, tmp_path):
    # ℷ (gimel) is in the font STIXGeneral and not in cmr10; the file that is no font is passed over.
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    own = labels_module._draws
    monkeypatch.setattr(labels_module, "_draws", lambda file, text: file.name != "DejaVuSans.ttf" and own(file, text))
    candidates = [broken, FONTS / "cmr10.ttf", FONTS / "STIXGeneral.ttf"]
    monkeypatch.setattr(labels_module, "_installed", lambda: iter(candidates))
    assert Labels.of(("ℷ",)) == Labels(FONTS / "STIXGeneral.ttf", ("ℷ",))


def test_a_font_that_draws_placeholders_only_is_never_offered():
    assert not [file for file in labels_module._installed() if "lastresort" in file.name.lower()]


def test_no_classes_need_no_special_font():
    assert Labels.of(()).names == ()


def test_the_font_has_the_height_that_was_asked_for():
    sizes = [Labels.of(("cat",)).font(size).getbbox("Ag")[3] for size in (12, 24)]
    assert sizes[0] < sizes[1]


def test_colours_of_twenty_classes_differ_and_none_is_green():
    colors = [class_color(k) for k in range(20)]
    for a, b in itertools.combinations(colors, 2):
        assert sum(abs(x - y) for x, y in zip(a, b)) > 20
    assert all(max(red, blue) >= 0.8 * green for red, green, blue in colors)
