"""What the stages that learn from features share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.regions.source import FeatureSource
from detkit.run.shards import save_tensors
from detkit.run.stage import Context, Ref, Stage
from detkit.stages.common import (
    FEATURE_SECTIONS,
    build_reader,
    gathered_features,
    layers_read,
    network_ref,
    refuse_without_truths,
    region_index,
)
from detkit.stages.extract import feature_cache
from detkit.structures.state import learnt_report, learnt_state
from detkit.system.files import write_json

REPORT = "report.json"


class Learner(Stage):
    """What both learners share: the training split's regions, and one component that learns from their features.

    Attributes:
        slot: the config slot of what is learnt.
        file: where it is kept.
    """

    slot: ClassVar[str]
    file: ClassVar[str]
    shared = True

    def check(self, config: Config) -> None:
        """Builds the component."""
        build_reader(config, self.slot, num_classes=1)

    def check_data(self, config: Config, data: Mapping[str, Dataset]) -> None:
        """There is something to learn from."""
        refuse_without_truths(data)

    def sections(self, config: Config) -> tuple[str, ...]:
        """The component, what decides its features and examples, and the seed."""
        return (self.slot, *FEATURE_SECTIONS, "SEED", "DATA.TRAIN_DIFFICULT", "PROPOSALS.TRAIN_MAX_BOXES")

    def roles(self, config: Config) -> tuple[str, ...]:
        """The training split."""
        return ("TRAIN",)

    def inputs(self, config: Config, role: str) -> Mapping[str, Ref]:
        """The network and the split's proposals."""
        return {"network": network_ref(config), "proposals": ("Propose", role)}

    def caches(self, config: Config, role: str) -> Mapping[str, Ref]:
        """The stored features, where the recipe keeps them and this learner reads any."""
        return feature_cache(config, role) if self.slot in layers_read(config, role) else {}

    def run(self, context: Context) -> None:
        """Writes what was learnt, and report.json."""
        most = context.config.PROPOSALS.TRAIN_MAX_BOXES
        index = region_index(context, context.role, with_truths=True, max_boxes=most)
        component, layer = build_reader(context.config, self.slot, index.num_classes)
        features = gathered_features(context, index)
        if not context.world.is_first:
            features.serve()
            return
        self.fit(component, features.source(layer), context)
        features.dismiss()
        save_tensors(context.folder / self.file, learnt_state(component))
        write_json(context.folder / REPORT, learnt_report(component))

    @abstractmethod
    def fit(self, component: Any, source: FeatureSource, context: Context) -> None:
        """Lets the component learn."""
