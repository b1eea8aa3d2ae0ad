"""``detkit units`` on a finished run of the small recipe."""

import json
from pathlib import Path

import cv2
import pytest

from detkit.cli.main import main
from detkit.regions.features import StoredFeatures
from detkit.report import units_sheet

WORDS = ["--config", "tiny.yaml"]


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr(units_sheet, "units_sheet", lambda *given: None)


def test_regions_are_found_alike_in_stored_and_in_computed_features(trained, capsys, monkeypatch):
    given = ["units", *WORDS, "--role", "TRAIN", "--layer", "fc7", "--unit", "3", "--unit", "5", "--unit", "3"]
    assert main([*given, "--out", "stored"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("fc7 of ") and " in 12 images: read from stored features, " in said[0]
    assert said[1].startswith("fc7 3: ") and said[2].startswith("fc7 5: ")
    sheet = cv2.imread("stored/units.png")
    assert sheet.shape[1] == 1760 and sheet.std() > 20
    found = json.loads(Path("stored/units.json").read_text())
    assert [unit["number"] for unit in found["units"]] == [3, 5] and found["units"][0]["regions"]
    for unit in found["units"]:
        values = [region["activation"] for region in unit["regions"]]
        assert values == sorted(values, reverse=True) and values[0] == unit["channel_peak"]
        assert unit["regions"][0]["relative"] == 1.0

    monkeypatch.setattr(StoredFeatures, "holds", lambda self, layer: False)
    monkeypatch.setattr(units_sheet, "units_sheet", lambda *given: None)
    assert main([*given, "--out", "computed"]) == 0
    assert "computed, about " in capsys.readouterr().out
    again = json.loads(Path("computed/units.json").read_text())
    assert again == found


def test_without_units_the_rule_is_said_and_followed(trained, undrawn, capsys):
    assert main(["units", *WORDS, "--images", "3"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("pool5 of ") and " in 3 images" in said[0]
    assert said[1].startswith("units: of each channel the cell whose largest activation differs most")
    found = json.loads(Path("units/units.json").read_text())
    channels = [unit["channel"] for unit in found["units"]]
    assert 0 < len(channels) <= 6 and len(set(channels)) == len(channels)
    images = {region["image"] for unit in found["units"] for region in unit["regions"]}
    assert images == {f"test_{n:06d}" for n in range(3)}


def test_fields_are_printed_without_a_run(recipe, capsys):
    assert main(["units", *WORDS, "--fields"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["crops", "of", "48", "px"]
    assert lines[1] == ["layer", "sees", "apart", "first", "at", "share"]
    assert ["conv1", "5", "2", "0.5", "10%"] in lines
    assert ["pool5", "33", "8", "2.5", "69%"] in lines


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--unit", "16", "--layer", "fc7"], "--unit 16: fc7 has the units 0 to 15"),
        (["--layer", "pool4"], "--layer: no layer 'pool4'. Did you mean pool5? Layers: pool5, fc6, fc7."),
        (["--role", "TESTS"], "--role TESTS: no stage of this recipe reads its regions; expected "),
        (["--sheet", "8"], "--sheet 8: expected 16 to 96 regions"),
        (["--images", "1"], "units: no unit of pool5 changes over 1 image(s); name some with --unit, or look at more "),
        (["--images", "-1"], "--images -1: expected 1 or more, or 0 for all"),
    ],
)
def test_what_there_is_not_is_one_line(trained, capsys, words, message):
    assert main(["units", *WORDS, *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"detkit units: {message}")


def test_a_run_that_is_not_there_yet_is_one_line(recipe, capsys):
    assert main(["units", *WORDS]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == ("detkit units: finetune and propose test: not there yet; run detkit train with this recipe first")
