"""Registers all built-in components, and those of installed packages, by importing them."""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points

from detkit.errors import ConfigError

BUILT_IN = (
    "detkit.data.voc",
    "detkit.data.coco",
    "detkit.data.yolo",
    "detkit.data.shapes",
    "detkit.data.image_folders",
    "detkit.proposals.selective_search",
    "detkit.proposals.edge_boxes",
    "detkit.proposals.sliding_window",
    "detkit.proposals.precomputed",
    "detkit.backbones.caffenet",
    "detkit.backbones.torchvision_nets",
    "detkit.backbones.timm_nets",
    "detkit.backbones.tiny",
    "detkit.regions.warped_crops",
    "detkit.regions.shared_map",
    "detkit.regions.fixed_fraction",
    "detkit.regions.image_centric",
    "detkit.regions.uniform",
    "detkit.classifiers.linear_svm",
    "detkit.classifiers.softmax",
    "detkit.box_heads.ridge",
    "detkit.box_heads.sgd_linear",
    "detkit.box_heads.mlp",
    "detkit.box_heads.identity",
    "detkit.box_heads.tuned",
    "detkit.training.region_objective",
    "detkit.training.image_objective",
    "detkit.evaluation.voc",
    "detkit.evaluation.coco",
    "detkit.evaluation.recall",
    "detkit.stages.pretrain",
    "detkit.stages.propose",
    "detkit.stages.finetune",
    "detkit.stages.extract",
    "detkit.stages.classify",
    "detkit.stages.regress",
    "detkit.stages.calibrate",
    "detkit.stages.detect",
    "detkit.stages.detect_folds",
    "detkit.stages.evaluate",
)


def load_components() -> None:
    """Fills the registries.

    Raises:
        ConfigError: if a package with the entry point ``detkit.components`` cannot be imported.
    """
    for module in BUILT_IN:
        importlib.import_module(module)
    for entry in entry_points(group="detkit.components"):
        try:
            entry.load()
        except Exception as error:
            raise ConfigError(
                f"entry point {entry.name} = {entry.value} of group detkit.components cannot be imported: "
                f"{type(error).__name__}: {error}; mend or uninstall its package"
            ) from error
