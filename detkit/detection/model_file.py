"""model.yaml of a model folder: read as plain values, and every value checked before anything is built from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml

from detkit.components import load_components
from detkit.config.check import checked
from detkit.config.project import import_bundled
from detkit.config.ranges import NonNegative
from detkit.config.schema import Field, fields_of
from detkit.config.yaml_file import MAX_BYTES, NOT_YAML, PlainLoader
from detkit.detection.calibration import Source
from detkit.detection.postprocess import Postprocess
from detkit.errors import ModelError
from detkit.registry import BACKBONES, BOX_HEADS, CLASSIFIERS, PROPOSAL_GENERATORS, REGION_EXTRACTORS
from detkit.system.reading import bounded_text

MODEL_FILE = "model.yaml"
CALIBRATION_FILE = "calibration.safetensors"
FORMAT = 1
"""Raised with each change after which an older detkit would read a model wrongly; files without a number are 0."""

OLDER = {"format": 0, "calibration": "none"}
"""What holds for a file that lacks a key of a later format."""

REGISTRIES = {
    "proposals": PROPOSAL_GENERATORS,
    "backbone": BACKBONES,
    "region_extractor": REGION_EXTRACTORS,
    "classifier": CLASSIFIERS,
    "box_head": BOX_HEADS,
}
"""The components of a detector, by their keys in MODEL_FILE."""
PLAIN = {
    "format": Annotated[int, NonNegative],
    "class_names": list[str],
    "classifier_layer": str,
    "box_head_layer": str,
    "calibration": Source,
}
DTYPE = {"DTYPE": Field(Literal["float32", "bfloat16"], "float32")}
MOVED = {("WarpedCrops", "PIXELS"): "FEATURE_PIXELS"}
"""Keys of components that models of earlier versions hold, and those that say the same today."""
DESCRIBED = (*REGISTRIES, *PLAIN, "postprocess", "compute", "import_paths")


def read_model_file(folder: Path) -> dict[str, Any]:
    """The content of model.yaml, by the keys of DESCRIBED.

    Raises:
        ModelError: if there is no such file, a key is missing or has a wrong value, or a component is not registered.
    """
    file = folder / MODEL_FILE
    if not file.is_file():
        raise ModelError(f"model {folder}: {_no_model(folder)}; expected a folder that training wrote, RUN/model")
    try:
        described = yaml.load(bounded_text(file, MAX_BYTES), PlainLoader)
    except (OSError, *NOT_YAML) as error:
        raise ModelError(f"model {file}: not readable as YAML; export it again with detkit train") from error
    described = described if isinstance(described, dict) else {}
    _refuse_newer(file, described.get("format", 0))
    described = {**OLDER, **described}
    missing = sorted(set(DESCRIBED) - set(described))
    if missing:
        raise ModelError(f"model {file}: {', '.join(missing)} missing; export it again with detkit train")
    load_components()
    for key, annotation in PLAIN.items():
        described[key] = _value(file, key, described[key], annotation)
    for key in (*REGISTRIES, "postprocess", "compute", "import_paths"):
        _mapping(file, key, described[key])
    for import_path in described["import_paths"].values():
        import_bundled(str(import_path))
    for key in REGISTRIES:
        described[key] = _component(file, key, described)
    described["postprocess"] = _settings(file, "postprocess", described["postprocess"], fields_of(Postprocess))
    described["compute"] = _settings(file, "compute", described["compute"], DTYPE)
    return dict(described)


def _no_model(folder: Path) -> str:
    if folder.is_file():
        return f"is a file; did you mean the folder {folder.parent}?"
    inner = folder / "model"
    hint = f"; did you mean {inner}?" if (inner / MODEL_FILE).is_file() else ""
    return f"no {MODEL_FILE} there{hint}"


def _refuse_newer(file: Path, version: Any) -> None:
    if isinstance(version, int) and version > FORMAT:
        raise ModelError(
            f"model {file}: its format is {version}, this detkit reads formats up to {FORMAT}; update detkit, or "
            "train the model with this version"
        )


def _component(file: Path, key: str, described: Mapping[str, Any]) -> dict[str, Any]:
    chosen, registry = described[key], REGISTRIES[key]
    name = chosen.get("NAME")
    if not isinstance(name, str) or name not in registry:
        raise ModelError(
            f"model {file.parent}: its {key} {name} is not registered here; it came from "
            f"{described['import_paths'].get(name) if isinstance(name, str) else None}: import that first, or give its "
            "folder with --project"
        )
    given = _mapping(file, f"{key}.{name}", chosen.get(name))
    settings = {MOVED.get((name, str(k)), k): v for k, v in given.items()}
    return {"NAME": name, name: _settings(file, f"{key}.{name}", settings, fields_of(registry.get(name)))}


def _settings(file: Path, key: str, given: Mapping[Any, Any], known: Mapping[str, Field]) -> dict[str, Any]:
    """The settings, each in its own type; keys are those of the config in capitals or as they stand in the file."""
    strange = [name for name in given if str(name).upper() not in known]
    if strange:
        raise ModelError(f"model {file}: unknown key {key}.{strange[0]}; expected {', '.join(known) or 'none'}")
    return {n: _value(file, f"{key}.{n}", v, known[str(n).upper()].annotation) for n, v in given.items()}


def _mapping(file: Path, key: str, value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, dict):
        raise ModelError(f"model {file}: {key}: expected keys and values, got {value!r}")
    return value


def _value(file: Path, key: str, value: Any, annotation: Any) -> Any:
    try:
        return checked(value, annotation)
    except ValueError as error:
        raise ModelError(f"model {file}: {key}: {error}; export it again with detkit train") from None
