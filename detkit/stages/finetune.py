"""The stage that tunes the network on regions."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from detkit.backbones.weights import save_weights
from detkit.config.build import build
from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.registry import REGION_EXTRACTORS, STAGES
from detkit.run.disk import DiskNeed, training_need
from detkit.run.settings import settings_of
from detkit.run.shards import save_tensors
from detkit.run.stage import Context, Ref, Stage
from detkit.stages.common import HEAD, NETWORK, load_network, refuse_without_truths, region_index
from detkit.training.finetune import FinetuneSettings, finetune, refuse_costly_steps
from detkit.training.solver import CHECKPOINT


@STAGES.register()
class Finetune(Stage):
    """The network tuned to tell N classes and background apart on regions.

    Source: R-CNN, section 2.3 (domain-specific fine-tuning).
    """

    version = 2
    settings = {"FINETUNE": FinetuneSettings}
    neutral = ("FINETUNE.CHECKPOINT_EVERY", "FINETUNE.ALLOW_WHOLE_IMAGES")
    shared = True

    def check(self, config: Config) -> None:
        """Builds the extractor and the sampler; refuses a pair whose steps would take for ever."""
        with torch.device("meta"):
            side = build(config, "BACKBONE").input_size
        extractor = build(config, "REGION_EXTRACTOR", input_size=side)
        refuse_costly_steps(extractor, build(config, "REGION_SAMPLER"), settings_of(FinetuneSettings, config.FINETUNE))

    def check_data(self, config: Config, data: Mapping[str, Dataset]) -> None:
        """There is something to learn from."""
        refuse_without_truths(data)

    def neutral_keys(self, config: Config) -> tuple[str, ...]:
        """Also the extractor's keys that decide features alone."""
        name = config.REGION_EXTRACTOR.NAME
        keys = REGION_EXTRACTORS.get(name).feature_keys
        return (*self.neutral, *(f"REGION_EXTRACTOR.{name}.{key}" for key in keys))

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

    def datasets(self, config: Config, role: str) -> tuple[str, ...]:
        """The fine-tuning split."""
        return ("FINETUNE",)

    def inputs(self, config: Config, role: str) -> Mapping[str, Ref]:
        """The pre-trained network and the split's proposals."""
        return {"network": ("Pretrain", ""), "proposals": ("Propose", "FINETUNE")}

    def disk(self, context: Context) -> DiskNeed:
        """The network's file and its checkpoints."""
        return training_need(context.config).without(context.folder)

    def run(self, context: Context) -> None:
        """Writes network.safetensors and, last, head.safetensors."""
        if not (context.folder / HEAD).is_file():
            self._make(context)
        if context.world.is_first:
            (context.folder / CHECKPOINT).unlink(missing_ok=True)

    def _make(self, context: Context) -> None:
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
            world=context.world,
        )
        if not context.world.is_first:
            return
        save_weights(context.folder / NETWORK, backbone)
        save_tensors(context.folder / HEAD, {"weight": head.weight, "bias": head.bias})
