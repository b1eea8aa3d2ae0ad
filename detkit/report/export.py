"""The portable model folder of a run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from detkit.config.node import Config
from detkit.detection.model_file import MODEL_FILE, REGISTRIES
from detkit.run.kinds import BOX_HEAD, BOX_HEAD_FILE, CLASSIFIER, CLASSIFIER_FILE, NETWORK, NETWORK_FILE
from detkit.run.runner import Run
from detkit.stages.common import read_layer
from detkit.system.files import replacing_folder, writing

SLOT_OF = {
    "proposals": "PROPOSALS",
    "backbone": "BACKBONE",
    "region_extractor": "REGION_EXTRACTOR",
    "classifier": "CLASSIFIER",
    "box_head": "BOX_HEAD",
}


def export_model(run: Run) -> Path | None:
    """Writes RUN/model from the run's artefacts: weights as safetensors, and model.yaml on how they fit together.

    Returns:
        The folder, or None where the recipe has not learnt classifiers and a box head.
    """
    network = run.find(NETWORK)
    classifier, box_head = run.find(CLASSIFIER, "TRAIN"), run.find(BOX_HEAD, "TRAIN")
    if network is None or classifier is None or box_head is None:
        return None
    folder = run.folder / "model"
    described = _description(run.config, run.datasets("TRAIN").class_names, run.compute.name)
    text = yaml.safe_dump(described, sort_keys=False, allow_unicode=True)
    with writing(folder), replacing_folder(folder) as partial:
        for source in (network / NETWORK_FILE, classifier / CLASSIFIER_FILE, box_head / BOX_HEAD_FILE):
            shutil.copyfile(source, partial / source.name)
        (partial / MODEL_FILE).write_text(text, encoding="utf-8")
    return folder


def _description(config: Config, class_names: tuple[str, ...], dtype: str) -> dict[str, Any]:
    parts = {key: config.component(slot) for key, slot in SLOT_OF.items()}
    classes = {key: registry.get(parts[key]["NAME"]) for key, registry in REGISTRIES.items()}
    settings = {k.lower(): v for k, v in config.selected()["POSTPROCESS"].items()}
    return {
        "class_names": list(class_names),
        **parts,
        "classifier_layer": read_layer(config, "CLASSIFIER"),
        "box_head_layer": read_layer(config, "BOX_HEAD"),
        "postprocess": {**settings, "one_class_per_region": True},
        "compute": {"dtype": dtype.removesuffix("-compiled")},
        "import_paths": {parts[key]["NAME"]: f"{c.__module__}.{c.__qualname__}" for key, c in classes.items()},
    }
