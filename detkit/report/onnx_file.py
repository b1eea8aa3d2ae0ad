"""A detector as one ONNX file, for programs without torch."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

import detkit
from detkit.detection.detector import Detector
from detkit.detection.region_graph import RegionGraph
from detkit.errors import ConfigError, ModelError
from detkit.structures import Boxes
from detkit.system.files import replacing

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""What writing and checking a file needs."""

INPUTS, OUTPUTS = ("crops", "boxes"), ("scores", "refined")
"""Names in the graph. crops (N, 3, S, S), boxes (N, 4) -> scores (N, K), refined (N, K, 4); all float32."""

MOST = 1e-3
"""The largest difference to torch that a written file may show, in scores and in sides of a box."""


@dataclass(frozen=True)
class Agreement:
    """The differences between onnxruntime and the detector on random regions.

    Args:
        scores: the largest difference of a score.
        boxes: the largest difference of a corner, in sides of the region.
    """

    scores: float
    boxes: float


def refuse_without_onnx() -> None:
    """Refuses to start if a package is missing.

    Raises:
        ConfigError: if a package is missing; it says what to install.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(f'the package {missing[0]} is not installed; pip install "detkit[export]"')


def write_onnx(file: Path, detector: Detector) -> Agreement:
    """Writes a detector's network, classifier and box head as a graph, and compares its results with torch's.

    Args:
        file: the file; it is replaced completely or not at all.
        detector: a detector in float32 on the CPU.

    Raises:
        ConfigError: if a package is missing.
        ModelError: if a component cannot be written as a graph, or onnxruntime's results differ from torch's.
    """
    refuse_without_onnx()
    graph, size = RegionGraph(detector).eval(), detector.network.backbone.input_size
    regions = {0: torch.export.Dim("regions", min=1)}
    example = (torch.zeros(4, 3, size, size), torch.tensor([[0.0, 0.0, 8.0, 8.0]]).repeat(4, 1))
    with _quiet():
        program = torch.onnx.export(
            graph,
            example,
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes=(regions, regions),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None, "dynamo=True gives the program"
    program.model.metadata_props.update({key: json.dumps(value) for key, value in described(detector).items()})
    with replacing(file) as partial:
        program.save(str(partial))
        found = agreement(partial, detector)
        if not (found.scores <= MOST and found.boxes <= MOST):  # also where one is no number
            raise ModelError(
                f"{file}: onnxruntime's scores differ from torch's by up to {found.scores:.2g} and boxes by "
                f"{found.boxes:.2g} of a side, more than {MOST:g}; nothing was written. Please report the model's parts"
            )
    return found


def described(detector: Detector) -> dict[str, object]:
    """What a program must know besides the graph, as JSON values of the file's metadata."""
    made, calibration = detector.network.backbone.preprocessing, detector.calibration
    curves = {"a": calibration.a.tolist(), "b": calibration.b.tolist()} if calibration.source != "none" else None
    return {
        "detkit": detkit.__version__,
        "class_names": list(detector.class_names),
        "score_kind": detector.score_kind,
        "warp": detector.network.extractor.warp(),
        "preprocessing": {
            "order": made.order,
            "scale": made.scale,
            "mean": made.mean.tolist(),
            "std": made.std.tolist(),
            "without_pixels": 0.0,
        },
        "postprocess": asdict(detector.settings),
        "thresholds": calibration.thresholds.tolist(),
        "calibration": curves,
    }


def agreement(file: Path, detector: Detector, count: int = 8) -> Agreement:
    """Runs a file and the detector that it was made from on the same random regions.

    Args:
        file: the ONNX file.
        detector: the detector; its own path from image to scores is used, not the graph.
        count: number of regions; it differs from the number with which the file was made.
    """
    from onnxruntime import InferenceSession  # only who exports has it

    rng, unflipped = np.random.default_rng(0), np.zeros(count, bool)
    image, corner = rng.integers(0, 256, (240, 320, 3), np.uint8), rng.uniform(0, 120, (count, 2))
    boxes = Boxes.of(np.hstack([corner, corner + rng.uniform(20, 120, (count, 2))]))
    network, scorer = detector.network, detector.scorer
    pixels, valid = (
        torch.from_numpy(network.extractor.prepare(image, boxes, unflipped)[k]) for k in ("crops", "valid")
    )
    crops = network.backbone.preprocessing(pixels, valid).contiguous().numpy()
    session = InferenceSession(str(file), providers=["CPUExecutionProvider"])
    scores, refined = session.run(list(OUTPUTS), dict(zip(INPUTS, (crops, boxes.numpy()), strict=True)))

    features = network.of_image(image, boxes, scorer.layers)
    own = scorer.classifier.score(features[scorer.classifier_layer])
    read = features[scorer.box_layer] if scorer.box_head.reads_features else torch.zeros(count, 0)
    labels = [torch.full((count,), k) for k in range(own.shape[1])]
    moved = [scorer.refined(boxes, read, label, own[:, k], detector.settings) for k, label in enumerate(labels)]
    fires = own.isfinite().numpy()  # a class that was not learnt scores -inf in both
    expected, corners = own.numpy(), np.stack([m.numpy() for m in moved], 1)
    sides = np.tile(boxes.numpy()[:, 2:] - boxes.numpy()[:, :2], 2)[:, None]
    return Agreement(
        float(np.abs(np.where(fires, scores, 0) - np.where(fires, expected, 0)).max()),
        float((np.abs(refined - corners) / sides).max()),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells its developers much that is not for its users."""
    log = logging.getLogger("torch.onnx")
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
