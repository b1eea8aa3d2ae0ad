"""A run's inputs to its page, made by hand: drawn shapes with boxes near them and elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from detkit.config import load_config
from detkit.data.shapes import Shapes
from detkit.detection.calibration import Calibration
from detkit.report.page.inputs import Inputs
from detkit.structures import Boxes, Detections, Proposals


def made(sample, rng):
    """Proposals near each object and elsewhere, and the detections that come of them, moved halfway to the object."""
    truths = sample.annotations.boxes.tensor.numpy()
    others = np.array([[0.0, 0.0, 30.0, 30.0], [40.0, 40.0, 70.0, 75.0]], np.float32)
    near = truths + rng.uniform(-8, 8, truths.shape).astype(np.float32)
    boxes = Boxes.of(np.vstack([near, others])).clip(sample.size)
    labels = np.concatenate([sample.annotations.labels.numpy(), [0, 1]])
    scores = np.concatenate([rng.normal(1, 0.5, len(truths)), [-0.5, 0.4]])
    moved = Boxes.of(np.vstack([(near + truths) / 2, others])).clip(sample.size)
    before, after = (Detections.of(own, scores.tolist(), labels.tolist()) for own in (boxes, moved))
    rows = after.proposal_rows.new_tensor(range(len(labels)))
    after = Detections(after.boxes, after.scores, after.labels, rows)
    return Proposals.unranked(boxes, sample.size), before, after


@pytest.fixture(scope="session")
def inputs(tmp_path_factory) -> Inputs:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        shapes = Shapes(splits=("test",), on_bad="stop", test_images=4)
    rng = np.random.default_rng(0)
    proposals, before, after = zip(*(made(sample, rng) for sample in shapes))
    hardest = {"image_id": shapes[0].image_id, "box": [0.0, 0.0, 30.0, 30.0], "margin": -0.2}
    num_classes = len(shapes.class_names)
    mining = {
        "positives": [4] * num_classes,
        "cached_negatives": [20] * num_classes,
        "trainings": [2] * num_classes,
        "unconverged_trainings": [0] * num_classes,
        "objective": [0.5] * num_classes,
        "mining": [{"objectives": [0.4, 0.5], "num_negatives": [30, 25]}] * num_classes,
        "hardest_negatives": [[hardest]] + [[]] * (num_classes - 1),
    }
    return Inputs(
        name="shapes & more",
        config=load_config("projects/rcnn/quick.yaml"),
        dataset=shapes,
        detections=after,
        unrefined=before,
        proposals=proposals,
        metrics={"COCO": {"AP": 0.25, "APsmall": None}},
        calibration=Calibration.none(num_classes, "margin"),
        training={"finetune": [{"iteration": 20, "loss": 1.0, "val_loss": 1.2}, {"iteration": 40, "loss": 0.5}]},
        mining=mining,
        train=shapes,
        steps={"propose test": {"seconds": 90.0, "peak_memory": 2**30}},
        labels=("propose test", "detect test"),
        notices=("warning: DATA.TEST: <odd>",),
    )
