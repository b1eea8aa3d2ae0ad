"""A detector from a model folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from detkit.backbones.factored import take_factors
from detkit.backbones.weight_sources import read_outline
from detkit.backbones.weights import load_weights
from detkit.config.build import construct
from detkit.config.layout import RuntimeKeys
from detkit.detection.calibration import Calibration
from detkit.detection.detector import Detector
from detkit.detection.installed import model_folder
from detkit.detection.model_file import CALIBRATION_FILE, read_model_file
from detkit.detection.postprocess import Postprocess
from detkit.detection.scorer import RegionScorer
from detkit.errors import ModelError
from detkit.regions.network import RegionNetwork
from detkit.registry import BACKBONES, BOX_HEADS, CLASSIFIERS, PROPOSAL_GENERATORS, REGION_EXTRACTORS
from detkit.structures.state import load_learnt, read_tensors
from detkit.system.compute import Compute


def load(
    model: str | Path, *, device: str = "auto", compile: bool = False, dtype: Literal["float32"] | None = None
) -> Detector:
    """The detector of a model folder.

    Args:
        model: a folder that a training run wrote (``RUN/model``), or the name of an installed model.
        device: auto, cpu or cuda.
        compile: whether to use torch.compile for the network: the first image takes longer, the others less.
        dtype: dtype of the network; by default that of its training.

    Raises:
        ModelError: if the folder is no model, or needs a component that is not registered.

    Example:
        >>> load("no/folder")
        Traceback (most recent call last):
        detkit.errors.ModelError: ...
    """
    folder = model_folder(model)
    described = read_model_file(folder)
    compute = Compute.resolve(dtype=dtype or described["compute"]["dtype"], device=device, compile=compile)
    return _assemble(folder, described, compute)


def _assemble(folder: Path, described: dict[str, Any], compute: Compute) -> Detector:
    network = folder / "network.safetensors"
    _refuse_larger(described["backbone"], network)
    backbone = construct(BACKBONES, described["backbone"])
    load_weights(backbone, str(network))
    extractor = construct(REGION_EXTRACTORS, described["region_extractor"], input_size=backbone.input_size)
    features = extractor.describe(backbone.layers)
    parts: dict[str, Any] = {}
    for key, registry in (("classifier", CLASSIFIERS), ("box_head", BOX_HEADS)):
        layer = described[f"{key}_layer"]
        if layer not in backbone.layers:
            raise ModelError(f"model {folder}: no layer {layer!r} for its {key}; expected one of {[*backbone.layers]}")
        dim = features[layer].dim
        parts[key] = construct(registry, described[key], num_classes=len(described["class_names"]), feature_dim=dim)
        load_learnt(parts[key], folder / f"{key}.safetensors")
    scorer = RegionScorer(
        parts["classifier"], described["classifier_layer"], parts["box_head"], described["box_head_layer"]
    )
    return Detector(
        calibration=calibration_of_model(folder, described),
        class_names=tuple(described["class_names"]),
        generator=construct(PROPOSAL_GENERATORS, described["proposals"]),
        network=RegionNetwork(backbone, extractor, compute=compute, batch=RuntimeKeys().batch),
        scorer=scorer,
        settings=Postprocess(**described["postprocess"]),
    )


def calibration_of_model(folder: Path, described: Mapping[str, Any]) -> Calibration:
    """The thresholds and probabilities of a model folder; ``Calibration.none`` if it has learnt none.

    Args:
        folder: the model.
        described: the result of ``read_model_file``.

    Raises:
        ModelError: if the file of the calibration is missing or damaged.
    """
    num_classes, kind = len(described["class_names"]), CLASSIFIERS.get(described["classifier"]["NAME"]).score_kind
    if described["calibration"] == "none":
        return Calibration.none(num_classes, kind)
    file = folder / CALIBRATION_FILE
    state = read_tensors(file)
    try:
        return Calibration.of(state, num_classes, kind, described["calibration"])
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error


def _refuse_larger(chosen: dict[str, Any], file: Path) -> None:
    """A network of more numbers than its file has bytes would take memory for nothing."""
    if not file.is_file():
        raise ModelError(f"model {file}: missing or damaged; export it again with detkit train")
    with torch.device("meta"):
        backbone = construct(BACKBONES, chosen)
    outline = read_outline(str(file))
    assert outline is not None
    take_factors(backbone, outline.tensors)
    needed = sum(t.numel() for t in backbone.state_dict().values())
    if needed > (there := file.stat().st_size):
        raise ModelError(
            f"model {file}: {there} bytes, but the network of model.yaml has {needed} numbers; export it again"
        )
