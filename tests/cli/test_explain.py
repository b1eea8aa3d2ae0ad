"""``detkit explain`` on a small network of random numbers."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import detkit
from detkit.cli.main import main
from detkit.regions.base import RegionExtractor, RegionView
from detkit.regions.shared_map import SharedMap
from detkit.report import explain_sheet
from tests.detection.test_explain import detector_of


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """An image beside which the command works, with a detector in place of a trained model."""
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("a.png", np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))
    made = detector_of()
    monkeypatch.setattr(detkit, "load", lambda folder, device: made)
    return ["explain", "--model", "any", "a.png", "--min-score", "-100"]


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr(explain_sheet, "explanation_sheet", lambda *given: None)


def test_text_json_and_sheet_tell_the_same(photo, capsys):
    assert main([*photo, "--class", "cat"]) == 0
    said = capsys.readouterr().out
    found = json.loads(Path("explained/explain.json").read_text())
    assert found["image"] == "a.png" and found["focus"] == "cat"
    cat = next(one for one in found["classes"] if one["name"] == "cat")
    assert f"place {found['region'] + 1} of {found['proposals']['count']} proposals" in said
    assert f"margin of cat {cat['score']:+.3f} = bias +1.000" in said
    assert "dx +0.100, dy +0.000 (of width and height), dw +0.000, dh +0.000 (logarithms)" in said
    # TinyNet's pool5: 5, 9, 13, 21, 29, 33 pixels
    assert "units       of pool5; each sees the whole crop of 32 px" in said
    assert "in the end  as cat: detected; it suppresses " in said
    assert "WarpedCrops warps " in said
    assert cat["fate"]["kind"] == "detected" and cat["probability"] is None
    sheet = cv2.imread("explained/explain.png")
    assert sheet.shape[1] == 1650 and sheet.std() > 20


def test_a_shared_map_is_told_by_name(photo, undrawn, monkeypatch, capsys):
    made = detector_of(SharedMap(input_size=32, padding=4))
    monkeypatch.setattr(detkit, "load", lambda folder, device: made)
    assert main([*photo, "--region", "0"]) == 0
    said = capsys.readouterr().out
    assert "seen        SharedMap pools the region from the map of the whole image, scaled to " in said
    assert "each sees" not in said
    monkeypatch.setattr(SharedMap, "view", RegionExtractor.view)
    assert main([*photo, "--region", "0"]) == 0
    assert "seen        SharedMap does not show what it sees" in capsys.readouterr().out


def test_a_sheet_is_drawn_of_what_cannot_be_shown_or_taken_apart(photo, monkeypatch, capsys):
    made = detector_of(SharedMap(input_size=32, padding=4))
    made.scorer.classifier.bias_[1] = -torch.inf
    monkeypatch.setattr(SharedMap, "view", RegionExtractor.view)
    monkeypatch.setattr(detkit, "load", lambda folder, device: made)
    assert main([*photo, "--class", "dog", "--out", "there/in"]) == 0
    assert Path("there/in/explain.png").stat().st_size > 10_000
    found = json.loads(Path("there/in/explain.json").read_text())
    assert found["shares"] is None and found["classes"][1]["score"] is None
    assert "of dog is not taken apart: it is no sum over features" in (said := capsys.readouterr().out)
    assert "in the end  as dog: the class never fires: it had nothing to learn from" in said


def test_no_picture_covers_the_title_of_a_unit(photo, monkeypatch):
    def view(self, image, box):
        height, width = (20, 60) if box.tensor[0].tolist() == focus else (60, 20)  # its own picture is flat
        whole = np.array([0, 0, width, height])
        return RegionView(np.zeros((height, width, 3), np.uint8), area=whole, window=whole, is_crop=False)

    figures, focus = [], [0.0, 0.0, 30.0, 30.0]
    monkeypatch.setattr(explain_sheet, "short_name", lambda unit: "a name that is longer than a picture is wide")
    monkeypatch.setattr(SharedMap, "view", view)
    monkeypatch.setattr(explain_sheet, "write_figure", lambda path, figure: figures.append(figure))
    made = detector_of(SharedMap(input_size=32, padding=4))
    monkeypatch.setattr(detkit, "load", lambda folder, device: made)
    assert main([*photo, "--box", "0,0,30,30"]) == 0
    figures[0].draw_without_rendering()
    tiles = [axes for axes in figures[0].subfigs[1].axes if axes.axison]
    titles = [axes._left_title.get_window_extent() for axes in tiles if axes.get_title("left")]
    assert len(titles) > 1
    assert not [axes for axes in tiles for title in titles if axes.get_window_extent().overlaps(title)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--region", "99"], "region 99: the image has the regions 0 to "),
        (["--class", ""], "--class: expected the name of a class of the model, got none"),
        (["--class", "cats"], "--class: the model has no class 'cats'. Did you mean cat?"),
        (["--box", "1,2,3"], "--box 1,2,3: expected four numbers x1,y1,x2,y2 in pixels, such as 48,240,195,371"),
        (["--box", "1,2,nan,4"], "--box 1,2,nan,4: expected four numbers"),
        (["--region", "0", "--min-score", "inf"], "--min-score inf: expected a finite number"),
        (["--region", "0", "--out", "a.png"], "a.png: cannot be"),
    ],
)
def test_what_cannot_be_explained_is_one_line(photo, undrawn, capsys, words, message):
    assert main([*photo, *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"detkit explain: {message}"), line


def test_an_image_that_is_not_there_is_one_line(photo, capsys):
    assert main(["explain", "--model", "any", "b.png", "--region", "0"]) == 2
    assert capsys.readouterr().err.startswith("detkit explain: b.png: cannot read the image: No such file")
