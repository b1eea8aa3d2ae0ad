from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from detkit.cli.main import main


def add(root: Path, image_id: str, *names: str, width: int = 60) -> None:
    """An image of 60 x 40 pixels and its annotation, which tells another width where one is given."""
    root.mkdir(exist_ok=True)
    cv2.imwrite(str(root / f"{image_id}.png"), np.full((40, 60, 3), 99, np.uint8))
    box = "<bndbox><xmin>5</xmin><ymin>5</ymin><xmax>30</xmax><ymax>30</ymax></bndbox>"
    objects = "".join(f"<object><name>{name}</name>{box}</object>" for name in names)
    size = f"<size><width>{width}</width><height>40</height></size>"
    (root / f"{image_id}.xml").write_text(f"<annotation>{size}{objects}</annotation>", encoding="utf-8")


@pytest.fixture
def photographs(recipe: Path) -> list[str]:
    """A recipe on seven images of cats that tell a wrong width, and one that is broken."""
    root = recipe.parent / "photographs"
    for n in range(7):
        add(root, f"{n}", "cat", width=61)
    add(root, "broken", "cat")
    (root / "broken.png").write_bytes(b"no picture")
    data = ["DATA.NAME=VOC", f"DATA.VOC.ROOT={root}", "DATA.ON_BAD=skip", "DATA.VOC.CLASSES=[cat, dog, emu]"]
    split = ["DATA.FINETUNE=all", "DATA.TRAIN=all", "DATA.TEST=all"]
    return ["--config", str(recipe), *data, *split, "BACKBONE.WEIGHTS=random"]


@pytest.mark.parametrize("classifier", ["LinearSVM", "Softmax"])
def test_oddities_of_the_data_stand_in_the_log_before_anything_is_made(photographs, capsys, classifier):
    words = ["--until", "pretrain", f"CLASSIFIER.NAME={classifier}"]
    assert main(["train", *photographs, *words]) == 0
    log = [line[len("2026-01-01 00:00:00 ") :] for line in Path("runs/tiny/log.txt").read_text().splitlines()]
    before = log[: log.index("pretrain: starts")]
    assert sum("gives 61x40 pixels, its image has 60x40" in line for line in before) == 5
    assert before[5] == "warning: and 2 more like these"
    assert before[6].startswith("skipped: broken: ")
    assert before[7:] == [
        "skipped: 1 of 8 images (12.5%) in all",
        "warning: DATA.TEST: 7 of its 7 images are also learnt from (DATA.FINETUNE, DATA.TRAIN), so its figures say "
        "nothing of new images",
        "warning: DATA.FINETUNE: no ground truth to learn from of: dog, emu",
        "warning: DATA.TRAIN: no ground truth to learn from of: dog, emu",
    ]
    said = capsys.readouterr()
    assert all(line in said.err and line in said.out for line in before)


def test_results_count_skipped_images_and_sizes_that_differ(photographs):
    words = ["STAGES=[Pretrain, Propose, Classify, Regress, Detect, Evaluate]", "CLASSIFIER.NAME=LinearSVM"]
    assert main(["train", *photographs, *words]) == 0
    for report in json.loads(Path("runs/tiny/results.json").read_text())["data"].values():
        assert (report["num_skipped"], report["num_warnings"], report["num_size_differences"]) == (1, 7, 7)
        assert len(report["skipped"]) == 1


def test_objects_that_no_proposal_can_reach_are_counted_before_anything_is_made(photographs, capsys):
    # Seven boxes of 26 x 26: with sides of 37 the best IoU is 676 / 1369 = 0.494.
    words = ["--until", "pretrain", "PROPOSALS.SelectiveSearch.MIN_SIDE=37"]
    assert main(["train", *photographs, *words]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "out of reach" in line]
    assert lines == [
        "warning: DATA.FINETUNE, DATA.TRAIN, DATA.TEST: 7 ground truths are out of reach: no proposal can have an IoU "
        "of 0.5 with them (PROPOSALS.SelectiveSearch: {MIN_SIDE: 37.0})"
    ]
    assert main(["train", *photographs, *words[:2], "PROPOSALS.SelectiveSearch.MIN_SIDE=36"]) == 0
    assert "out of reach" not in capsys.readouterr().out


def test_data_without_oddities_needs_no_notice(recipe, capsys):
    words = ["BACKBONE.WEIGHTS=random", "DATA.Shapes.TRAIN_IMAGES=40", "--until", "pretrain"]
    assert main(["train", "--config", str(recipe), *words]) == 0
    said = capsys.readouterr()
    assert "warning" not in said.out + said.err


def test_more_workers_than_cores_are_told_once(photographs, capsys, monkeypatch):
    monkeypatch.setattr("detkit.system.processes.num_cores", lambda: 1)
    assert main(["train", *photographs, "--until", "pretrain", "RUNTIME.WORKERS=2"]) == 0
    assert capsys.readouterr().err.count("warning: RUNTIME.WORKERS: 2 workers on 1 cores: ") == 1
