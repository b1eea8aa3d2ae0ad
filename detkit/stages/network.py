"""The stages that make the network: pre-training (or a given weights file) and fine-tuning."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from detkit.backbones.weights import load_weights, save_weights, weights_identity
from detkit.config.build import build
from detkit.config.node import Config
from detkit.engine.finetune import FinetuneSettings, finetune
from detkit.engine.pretrain import PretrainSettings, pretrain
from detkit.engine.seeding import torch_seed
from detkit.engine.solver import CHECKPOINT
from detkit.registry import STAGES
from detkit.stages.artifacts import write_atomically
from detkit.stages.base import Context, Ref, Stage
from detkit.stages.common import HEAD, NETWORK, load_network, region_index
from detkit.stages.settings import settings_of
from detkit.stages.shards import save_tensors

log = logging.getLogger("detkit")


@STAGES.register()
class Pretrain(Stage):
    """Backbone weights: those of BACKBONE.WEIGHTS, random ones, or trained on PRETRAIN_DATA.

    Source: R-CNN, section 2.3 (supervised pre-training).
    """

    settings = {"PRETRAIN": PretrainSettings}
    unhashed = ("BACKBONE.WEIGHTS",)

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

    def run(self, context: Context) -> None:
        """Writes network.safetensors."""
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
            )
            write_atomically(context.folder / "accuracy.json", json.dumps(accuracy).encode())
            log.info("pretrain: %s", ", ".join(f"{k} {v:.4g}" for k, v in accuracy.items()))
        save_weights(context.folder / NETWORK, backbone)
        (context.folder / CHECKPOINT).unlink(missing_ok=True)


@STAGES.register()
class Finetune(Stage):
    """The network tuned to tell N classes and background apart on regions.

    Source: R-CNN, section 2.3 (domain-specific fine-tuning).
    """

    settings = {"FINETUNE": FinetuneSettings}

    def sections(self, config: Config) -> tuple[str, ...]:
        """The network, how regions are drawn and warped, and the solver."""
        return (
            "BACKBONE.*",
            "REGION_EXTRACTOR",
            "REGION_SAMPLER",
            "FINETUNE",
            "COMPUTE",
            "SEED",
            "DATA.TRAIN_DIFFICULT",
        )

    def roles(self, config: Config) -> tuple[str, ...]:
        """One step, without a role in its name; its data is that of FINETUNE."""
        return ("",)

    def datasets(self, config: Config, role: str) -> tuple[str, ...]:
        """The fine-tuning split."""
        return ("FINETUNE",)

    def inputs(self, config: Config, role: str) -> Mapping[str, Ref]:
        """The pre-trained network and the split's proposals."""
        return {"network": ("Pretrain", ""), "proposals": ("Propose", "FINETUNE")}

    def run(self, context: Context) -> None:
        """Writes network.safetensors and head.safetensors."""
        config = context.config
        backbone = load_network(context)
        head = finetune(
            backbone,
            region_index(context, "FINETUNE", with_truths=True),
            build(config, "REGION_EXTRACTOR", input_size=backbone.input_size),
            build(config, "REGION_SAMPLER"),
            settings_of(FinetuneSettings, config.FINETUNE),
            compute=context.compute,
            workers=context.workers,
            seed=config.SEED,
            folder=context.folder,
        )
        save_weights(context.folder / NETWORK, backbone)
        save_tensors(context.folder / HEAD, {"weight": head.weight, "bias": head.bias})
        (context.folder / CHECKPOINT).unlink()
