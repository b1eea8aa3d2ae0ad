"""The stage that makes the network: given weights, random ones, or pre-training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch

from detkit.backbones.weights import load_weights, refuse_misfit, save_weights, weights_identity
from detkit.config.build import build
from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.registry import STAGES
from detkit.run.disk import DiskNeed, network_bytes, training_need
from detkit.run.settings import settings_of
from detkit.run.stage import Context, Stage
from detkit.stages.common import NETWORK
from detkit.system.files import write_json
from detkit.system.seeding import torch_seed
from detkit.training.pretrain import PretrainSettings, pretrain, pretrain_images, resized_side
from detkit.training.solver import CHECKPOINT

log = logging.getLogger("detkit")

ACCURACY = "accuracy.json"


@STAGES.register()
class Pretrain(Stage):
    """Backbone weights: those of BACKBONE.WEIGHTS, random ones, or trained on PRETRAIN_DATA.

    Source: R-CNN, section 2.3 (supervised pre-training).
    """

    version = 2
    settings = {"PRETRAIN": PretrainSettings}
    unhashed = ("BACKBONE.WEIGHTS",)
    derived = {"weights": "BACKBONE.WEIGHTS", "pictures": "PRETRAIN_DATA"}
    neutral = ("PRETRAIN.CHECKPOINT_EVERY",)
    shared = True

    def check(self, config: Config) -> None:
        """Builds the network; its crops lie within the resized pictures where it is trained, else its weights fit."""
        with torch.device("meta"):
            backbone = build(config, "BACKBONE")
        if not config.BACKBONE.WEIGHTS:
            resized_side(settings_of(PretrainSettings, config.PRETRAIN), backbone.input_size)
        elif config.BACKBONE.WEIGHTS != "random":
            refuse_misfit(backbone, config.BACKBONE.WEIGHTS)

    def check_data(self, config: Config, data: Mapping[str, Dataset]) -> None:
        """Each picture has one class, and each class that is judged can be learnt."""
        if data:
            pretrain_images(data["PRETRAIN_DATA.TRAIN"], data.get("PRETRAIN_DATA.VAL"))

    def sections(self, config: Config) -> tuple[str, ...]:
        """The network; how it is trained only where it is."""
        return ("BACKBONE.*", "SEED") if config.BACKBONE.WEIGHTS else ("BACKBONE.*", "SEED", "PRETRAIN", "COMPUTE")

    def datasets(self, config: Config, role: str) -> tuple[str, ...]:
        """The classification pictures, where the network is trained on them."""
        if config.BACKBONE.WEIGHTS:
            return ()
        return ("PRETRAIN_DATA.TRAIN", *(["PRETRAIN_DATA.VAL"] if config.PRETRAIN_DATA.VAL else []))

    def extra(self, config: Config, role: str) -> dict[str, Any]:
        """The content of the weights file, and the roles of the classification pictures."""
        spec = config.BACKBONE.WEIGHTS
        identity = spec if spec in ("", "random") else weights_identity(spec)
        return {"weights": identity, "pictures": list(self.datasets(config, role))}

    def disk(self, context: Context) -> DiskNeed:
        """The network's file and, where it is trained, its checkpoints."""
        trains = not context.config.BACKBONE.WEIGHTS
        need = training_need(context.config) if trains else DiskNeed(network_bytes(context.config))
        return need.without(context.folder)

    def run(self, context: Context) -> None:
        """Writes network.safetensors, and accuracy.json where it was trained."""
        if not (context.folder / NETWORK).is_file():
            self._make(context)
        if context.world.is_first:
            (context.folder / CHECKPOINT).unlink(missing_ok=True)

    def _make(self, context: Context) -> None:
        config, spec = context.config, context.config.BACKBONE.WEIGHTS
        with torch_seed(config.SEED, "init"):
            backbone = build(config, "BACKBONE")
        if spec and spec != "random":
            load_weights(backbone, spec)
        elif not spec:
            train, *val = [context.dataset(role) for role in context.extra["pictures"]]
            accuracy = pretrain(
                backbone,
                train,
                val[0] if val else None,
                settings_of(PretrainSettings, config.PRETRAIN),
                compute=context.compute,
                workers=context.workers,
                seed=config.SEED,
                folder=context.folder,
                world=context.world,
            )
        if not context.world.is_first:
            return
        if not spec:
            write_json(context.folder / ACCURACY, accuracy)
            log.info("pretrain: %s", ", ".join(f"{k} {v:.4g}" for k, v in accuracy.items()))
        save_weights(context.folder / NETWORK, backbone)
