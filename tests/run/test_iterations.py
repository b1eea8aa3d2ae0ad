"""Box regression that is iterated, in evaluation and in a model folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

import detkit
from detkit.cli.main import main
from detkit.config import load_config
from detkit.run.datasets import Datasets
from detkit.run.kinds import DETECTIONS_FILE, UNREFINED_FILE
from detkit.stages.detect import load_detections

FEW = "DATA.Shapes.TEST_IMAGES=2"
TWICE = ("POSTPROCESS.REFINE_ITERATIONS=2", "POSTPROCESS.TOP_PER_CLASS=0")


def made(name: str, *words: str, root: str = "artifacts") -> Path:
    """The file of detections of a run with these words."""
    before = set(Path(root).glob(f"detect/*/{name}"))
    assert main(["train", "--config", "tiny.yaml", FEW, f"ARTIFACTS={root}", *words]) == 0
    (new,) = set(Path(root).glob(f"detect/*/{name}")) - before
    return new


def test_evaluation_and_the_model_folder_iterate_alike_and_stored_features_change_nothing(trained):
    once = made(DETECTIONS_FILE, "POSTPROCESS.TOP_PER_CLASS=0")
    twice = made(DETECTIONS_FILE, *TWICE)
    rescored = made(DETECTIONS_FILE, *TWICE, "POSTPROCESS.RESCORE=true", "FEATURES.ROLES=[TEST]")
    # without the box head nothing is iterated, and scores are the proposals'
    assert (once.parent / UNREFINED_FILE).read_bytes() == (rescored.parent / UNREFINED_FILE).read_bytes()
    assert len({file.read_bytes() for file in (once, twice, rescored)}) == 3

    own = load_detections(rescored)
    detector = detkit.load("runs/tiny/model")
    assert (detector.settings.refine_iterations, detector.settings.rescore) == (2, True)
    for sample, expected in zip(Datasets(load_config("tiny.yaml", [FEW]))("TEST"), own, strict=True):
        found = detector.detect(sample.path, min_score=-100.0)
        assert torch.equal(found.labels, expected.labels)
        assert torch.equal(found.scores, expected.scores)
        assert torch.equal(found.boxes.tensor, expected.boxes.tensor)

    for stage in ("pretrain", "propose", "finetune", "classify", "regress", "calibrate"):
        shutil.copytree(Path("artifacts", stage), Path("streamed", stage))
    words = (*TWICE, "POSTPROCESS.RESCORE=true", "FEATURES.STORE=stream")
    assert made(DETECTIONS_FILE, *words, root="streamed").read_bytes() == rescored.read_bytes()
