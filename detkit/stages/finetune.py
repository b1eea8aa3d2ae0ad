"""The stage that fine-tunes the network on regions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from detkit.backbones.shapes import network_bytes, shape_of_network
from detkit.backbones.weights import save_weights
from detkit.config.build import build
from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.errors import ConfigError
from detkit.regions.index import RegionIndex
from detkit.registry import OBJECTIVES, REGION_EXTRACTORS, STAGES
from detkit.run.cost import Cost
from detkit.run.disk import DiskNeed, training_need
from detkit.run.kinds import HEADS_FILE, NETWORK, NETWORK_FILE, PROPOSALS
from detkit.run.stage import Context, Need, Reads, Stage
from detkit.stages.networks import load_network, save_heads
from detkit.stages.regions import refuse_without_truths, region_index
from detkit.training.finetune import FinetuneSettings, finetune, refuse_costly_steps, refuse_moved_regions
from detkit.training.freeze import freeze_before
from detkit.training.region_objective import RegionObjective
from detkit.training.solver import CHECKPOINT

if TYPE_CHECKING:
    from detkit.report.measure import Probe
    from detkit.run.plan import Step

ROLE, VALIDATION = "FINETUNE", "VAL"


@STAGES.register()
class Finetune(Stage):
    """The network, fine-tuned on regions for OBJECTIVE. It stores the objective's heads beside the backbone.

    Source: R-CNN, section 2.3 (domain-specific fine-tuning).

    Example:
        >>> Finetune.gives, sorted(Finetune.settings)
        ('network', ['FINETUNE'])
    """

    version = 3
    gives = NETWORK
    settings = {"FINETUNE": FinetuneSettings}
    shared = True

    def heads(self, config: Config) -> Mapping[str, str]:
        """The heads of the objective."""
        return tuned_heads(config)

    def needs(self, config: Config, role: str) -> Mapping[str, Need]:
        """The network to start from and the proposals of the split, and of the validation split if there is one."""
        needed = {"network": Need(NETWORK), "proposals": Need(PROPOSALS, ROLE)}
        return needed | ({"validation": Need(PROPOSALS, VALIDATION)} if _validates(config) else {})

    def reads(self, config: Config, role: str) -> Reads:
        """The network, the objective, the sampler and extractor of regions, and the solver."""
        parts = ("BACKBONE.*", "REGION_EXTRACTOR", "REGION_SAMPLER", "OBJECTIVE")
        extractor, validates = config.REGION_EXTRACTOR.NAME, _validates(config)
        alone = REGION_EXTRACTORS.get(extractor).feature_keys  # decide features, and nothing of training
        return Reads(
            settings=(*parts, "FINETUNE", "COMPUTE", "SEED", "DATA.TRAIN_DIFFICULT"),
            not_hashed=(
                "FINETUNE.CHECKPOINT_EVERY",
                "FINETUNE.ALLOW_WHOLE_IMAGES",
                *(() if validates else ("FINETUNE.VALIDATE_EVERY", "FINETUNE.VALIDATE_BATCHES")),
                *(f"REGION_EXTRACTOR.{extractor}.{key}" for key in alone),
            ),
            annotated=(ROLE, VALIDATION) if validates else (ROLE,),
        )

    def check(self, config: Config) -> None:
        """Builds all components; refuses settings of theirs that do not fit, and validation without DATA.VAL."""
        settings = config.settings("FINETUNE", FinetuneSettings)
        objective = _objective(config, RegionIndex.build([], [], 1))
        refuse_costly_steps(objective.extractor, objective.sampler, settings)
        refuse_moved_regions(objective, settings)
        freeze_before(shape_of_network(config), settings.tune_from, change=False)
        if settings.validate_every and not config.DATA.VAL:
            raise ConfigError(
                f"FINETUNE.VALIDATE_EVERY: {settings.validate_every}, but DATA.VAL names no split to measure on; name "
                "one, or give 0"
            )

    def check_data(self, config: Config, data: Mapping[str, Dataset]) -> None:
        """Refuses data sets without ground truths."""
        refuse_without_truths(data)

    def disk(self, context: Context) -> DiskNeed:
        """The size of the network's file and its checkpoints."""
        return training_need(context.config).without(context.folder)

    def estimate(self, probe: Probe, step: Step) -> Cost:
        """The time of all steps, from a few steps on real images. The proposals of a few images stand for all."""
        config = step.config
        settings = probe.short(config.settings("FINETUNE", FinetuneSettings))
        objective = _objective(config, probe.stretched_index(step.data[ROLE]))
        one = probe.training(lambda given: finetune(probe.backbone, objective, settings, **given))
        unknown = "validation" if _validates(config) else ""
        return Cost(one.seconds * config.FINETUNE.ITERATIONS, network_bytes(config), 2 * one.checkpoint, unknown)

    def run(self, context: Context) -> None:
        """Writes the network and, last, its heads."""
        if not (context.folder / HEADS_FILE).is_file():
            self._make(context)
        if context.world.is_first:
            (context.folder / CHECKPOINT).unlink(missing_ok=True)

    def _make(self, context: Context) -> None:
        config, backbone = context.config, load_network(context)
        settings = config.settings("FINETUNE", FinetuneSettings)
        validation = None
        if "validation" in context.inputs:
            of_split = replace(context, inputs={**context.inputs, "proposals": context.inputs["validation"]})
            validation = region_index(of_split, VALIDATION, with_truths=True, **settings.labels)
        heads = finetune(
            backbone,
            _objective(config, region_index(context, ROLE, with_truths=True, **settings.labels)),
            settings,
            compute=context.compute,
            workers=context.workers,
            seed=config.SEED,
            folder=context.folder,
            world=context.world,
            validation=validation,
            tensorboard=context.tensorboard,
        )
        if context.world.is_first:
            save_weights(context.folder / NETWORK_FILE, backbone)
            save_heads(context, heads)


def _validates(config: Config) -> bool:
    """Whether loss and accuracy are measured on a validation split while the network is tuned."""
    return bool(config.FINETUNE.VALIDATE_EVERY and config.DATA.VAL)


def tuned_heads(config: Config) -> Mapping[str, str]:
    """The heads that OBJECTIVE leaves, and the layer that each reads."""
    return _objective(config, RegionIndex.build([], [], 1)).head_layers()


def _objective(config: Config, index: RegionIndex) -> RegionObjective:
    """The objective of OBJECTIVE on the regions of an index.

    Raises:
        ConfigError: it is not one of regions.
    """
    if not issubclass(OBJECTIVES.get(config.OBJECTIVE.NAME), RegionObjective):
        fit = [name for name in OBJECTIVES.names() if issubclass(OBJECTIVES.get(name), RegionObjective)]
        raise ConfigError(
            f"OBJECTIVE.NAME: {config.OBJECTIVE.NAME} is not learnt from regions; use one of {', '.join(fit)}"
        )
    backbone = shape_of_network(config)
    objective: RegionObjective = build(
        config,
        "OBJECTIVE",
        index=index,
        extractor=build(config, "REGION_EXTRACTOR", input_size=backbone.input_size),
        sampler=build(config, "REGION_SAMPLER"),
        layers=backbone.layers,
        settings=config.settings("FINETUNE", FinetuneSettings),
        seed=config.SEED,
    )
    return objective
