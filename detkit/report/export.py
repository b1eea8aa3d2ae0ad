"""The portable model folder of a run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from detkit.config.node import Config
from detkit.detection.calibration import Calibration
from detkit.detection.model_file import CALIBRATION_FILE, FORMAT, MODEL_FILE, REGISTRIES
from detkit.registry import CLASSIFIERS
from detkit.run.kinds import (
    BOX_HEAD,
    BOX_HEAD_FILE,
    CALIBRATION,
    CLASSIFIER,
    CLASSIFIER_FILE,
    DETECTIONS,
    NETWORK,
    NETWORK_FILE,
)
from detkit.run.runner import Run
from detkit.run.shards import save_tensors
from detkit.stages.calibrate import load_calibration
from detkit.stages.readers import read_layer
from detkit.system.files import replacing_folder, writing

SLOT_OF = {
    "proposals": "PROPOSALS",
    "backbone": "BACKBONE",
    "region_extractor": "REGION_EXTRACTOR",
    "classifier": "CLASSIFIER",
    "box_head": "BOX_HEAD",
}


def export_model(run: Run) -> Path | None:
    """Writes RUN/model from the run's artefacts: weights as safetensors, and model.yaml, which says how they fit.

    The model detects as the run was evaluated, except for the cap over a whole split.

    Returns:
        The folder, or None if the recipe has not learnt classifiers and a box head.
    """
    parts, config = _parts(run)
    network, classifier, box_head = (parts.get(kind) for kind in (NETWORK, CLASSIFIER, BOX_HEAD))
    if network is None or classifier is None or box_head is None:
        return None
    folder = run.folder / "model"
    names, calibration = run.datasets("TRAIN").class_names, calibration_of(run)
    described = _description(config, names, run.compute.name, calibration)
    text = yaml.safe_dump(described, sort_keys=False, allow_unicode=True)
    with writing(folder), replacing_folder(folder) as partial:
        for source in (network / NETWORK_FILE, classifier / CLASSIFIER_FILE, box_head / BOX_HEAD_FILE):
            shutil.copyfile(source, partial / source.name)
        if calibration.source != "none":
            save_tensors(partial / CALIBRATION_FILE, calibration.state())
        (partial / MODEL_FILE).write_text(text, encoding="utf-8")
    return folder


def _parts(run: Run) -> tuple[dict[str, Path | None], Config]:
    """The results of a detector by their kinds, and the config with which they work together.

    They are those that the detecting stage reads; without one, the last of each kind.
    """
    detecting = run.last(DETECTIONS, "TEST")
    if detecting is None:
        roles = {NETWORK: "", CLASSIFIER: "TRAIN", BOX_HEAD: "TRAIN"}
        return {kind: run.find(kind, role) for kind, role in roles.items()}, run.config
    return {step.stage.gives: run.result(step) for step in detecting.inputs.values()}, detecting.config


def calibration_of(run: Run) -> Calibration:
    """The thresholds and probabilities that a run has learnt; ``Calibration.none`` if it has learnt none."""
    num_classes = len(run.datasets("TRAIN").class_names)
    score_kind = CLASSIFIERS.get(_parts(run)[1].CLASSIFIER.NAME).score_kind
    found = run.find(CALIBRATION, "VAL") or run.find(CALIBRATION, "TRAIN")
    return load_calibration(found, num_classes, score_kind) if found else Calibration.none(num_classes, score_kind)


def _description(config: Config, class_names: tuple[str, ...], dtype: str, calibration: Calibration) -> dict[str, Any]:
    parts = {key: config.component(slot) for key, slot in SLOT_OF.items()}
    classes = {key: registry.get(parts[key]["NAME"]) for key, registry in REGISTRIES.items()}
    settings = {k.lower(): v for k, v in config.selected()["POSTPROCESS"].items()}
    return {
        "format": FORMAT,
        "class_names": list(class_names),
        **parts,
        "classifier_layer": read_layer(config, "CLASSIFIER"),
        "box_head_layer": read_layer(config, "BOX_HEAD"),
        "postprocess": settings,
        "calibration": calibration.source,
        "compute": {"dtype": dtype.removesuffix("-compiled")},
        "import_paths": {parts[key]["NAME"]: f"{c.__module__}.{c.__qualname__}" for key, c in classes.items()},
    }
