"""The stage that makes the network, from given weights, random weights or pre-training."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from detkit.backbones.shapes import network_bytes, shape_of_network
from detkit.backbones.weights import load_weights, refuse_misfit, save_weights, weights_identity
from detkit.config.build import build
from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.registry import STAGES
from detkit.run.cost import Cost
from detkit.run.disk import DiskNeed, training_need
from detkit.run.kinds import ACCURACY_FILE, NETWORK, NETWORK_FILE
from detkit.run.stage import Context, Reads, Stage
from detkit.system.files import write_json
from detkit.system.seeding import torch_seed
from detkit.training.pretrain import PretrainSettings, pretrain, pretrain_images, resized_side
from detkit.training.solver import CHECKPOINT

if TYPE_CHECKING:
    from detkit.report.measure import Probe
    from detkit.run.plan import Step

log = logging.getLogger("detkit")

PICTURES, JUDGED = "PRETRAIN_DATA.TRAIN", "PRETRAIN_DATA.VAL"


@STAGES.register()
class Pretrain(Stage):
    """The backbone with the weights of BACKBONE.WEIGHTS, with random weights, or pre-trained on PRETRAIN_DATA.

    Source: R-CNN, section 2.3 (supervised pre-training).

    Example:
        >>> Pretrain.gives, sorted(Pretrain.settings)
        ('network', ['PRETRAIN'])
    """

    version = 3
    gives = NETWORK
    settings = {"PRETRAIN": PretrainSettings}
    shared = True

    def reads(self, config: Config, role: str) -> Reads:
        """The network and the content of its weights file; for pre-training also its settings and data."""
        spec = config.BACKBONE.WEIGHTS
        if spec:
            identity = (lambda: spec) if spec == "random" else partial(weights_identity, spec)
            return Reads(settings=("BACKBONE.*", "SEED"), content={"BACKBONE.WEIGHTS": identity})
        return Reads(
            settings=("BACKBONE.*", "BACKBONE.WEIGHTS", "SEED", "PRETRAIN", "COMPUTE"),
            not_hashed=("PRETRAIN.CHECKPOINT_EVERY",),
            annotated=(PICTURES, *([JUDGED] if config.PRETRAIN_DATA.VAL else [])),
        )

    def check(self, config: Config) -> None:
        """Builds the network; refuses weights that do not fit, or for pre-training a RESIZE below the crop's side."""
        backbone = shape_of_network(config)
        if not config.BACKBONE.WEIGHTS:
            resized_side(config.settings("PRETRAIN", PretrainSettings), backbone.input_size)
        elif config.BACKBONE.WEIGHTS != "random":
            refuse_misfit(backbone, config.BACKBONE.WEIGHTS)

    def check_data(self, config: Config, data: Mapping[str, Dataset]) -> None:
        """Refuses pictures that do not have one class each, and classes of the validation split that training lacks."""
        if data:
            pretrain_images(data[PICTURES], data.get(JUDGED))

    def disk(self, context: Context) -> DiskNeed:
        """The size of the network's file and, for pre-training, of its checkpoints."""
        trains = not context.config.BACKBONE.WEIGHTS
        need = training_need(context.config) if trains else DiskNeed(network_bytes(context.config))
        return need.without(context.folder)

    def estimate(self, probe: Probe, step: Step) -> Cost:
        """The time of pre-training, from a few steps; 0 if the network is not trained."""
        kept = network_bytes(step.config)
        if step.config.BACKBONE.WEIGHTS:
            return Cost(0.0, kept)
        settings = probe.short(step.config.settings("PRETRAIN", PretrainSettings))
        images = step.data[PICTURES]
        one = probe.training(lambda given: pretrain(probe.backbone, images, None, settings, **given))
        seconds = one.seconds * step.config.PRETRAIN.ITERATIONS
        return Cost(seconds, kept, 2 * one.checkpoint, f"the final accuracy on {JUDGED}")

    def run(self, context: Context) -> None:
        """Writes the network and, after pre-training, its accuracy."""
        if not (context.folder / NETWORK_FILE).is_file():
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
            train, *val = [context.dataset(role) for role in context.roles]
            accuracy = pretrain(
                backbone,
                train,
                val[0] if val else None,
                config.settings("PRETRAIN", PretrainSettings),
                compute=context.compute,
                workers=context.workers,
                seed=config.SEED,
                folder=context.folder,
                world=context.world,
                tensorboard=context.tensorboard,
            )
        if not context.world.is_first:
            return
        if not spec:
            write_json(context.folder / ACCURACY_FILE, accuracy)
            log.info("pretrain: %s", ", ".join(f"{k} {v:.4g}" for k, v in accuracy.items()))
        save_weights(context.folder / NETWORK_FILE, backbone)
