"""The base class of stages that learn from features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.regions.source import FeatureSource, LinearHead
from detkit.run.kinds import NETWORK, PROPOSALS, REPORT_FILE
from detkit.run.shards import save_tensors
from detkit.run.stage import Context, Need, Reads, Stage
from detkit.stages.features import FEATURE_SECTIONS, gathered_features, stored_features
from detkit.stages.networks import load_heads
from detkit.stages.readers import build_reader, layers_read
from detkit.stages.regions import refuse_without_truths, region_index
from detkit.structures.state import learnt_report, learnt_state
from detkit.system.files import write_json


class Learner(Stage):
    """Trains the component of one slot on the features of the training split's regions.

    Attributes:
        slot: config slot of the component.
        file: name of the file that stores what it learnt.
    """

    slot: ClassVar[str]
    file: ClassVar[str]
    version = 2
    shared = True

    def check(self, config: Config) -> None:
        """Builds the component."""
        build_reader(config, self.slot, num_classes=1)

    def check_data(self, config: Config, data: Mapping[str, Dataset]) -> None:
        """Refuses data sets without ground truths."""
        refuse_without_truths(data)

    def roles(self, config: Config) -> tuple[str, ...]:
        """The training split."""
        return ("TRAIN",)

    def needs(self, config: Config, role: str) -> Mapping[str, Need]:
        """The network with the head that the component uses, the split's proposals and stored features."""
        component, layer = build_reader(config, self.slot, num_classes=1)
        stored = stored_features(config, role) if self.slot in layers_read(config, role) else {}
        heads = {component.needs_head: layer} if component.needs_head else {}
        because = f"{config[self.slot].NAME} takes it over; {self.slot}.LAYER says from which layer"
        network = Need(NETWORK, heads=heads, because=because)
        return {"network": network, "proposals": Need(PROPOSALS, role), **stored}

    def reads(self, config: Config, role: str) -> Reads:
        """The component, the keys that decide its features and examples, and the seed."""
        examples = ("DATA.TRAIN_DIFFICULT", "PROPOSALS.TRAIN_MAX_BOXES")
        return Reads(settings=(self.slot, *FEATURE_SECTIONS, "SEED", *examples), annotated=(role,))

    def run(self, context: Context) -> None:
        """Writes what was learnt, and a report."""
        self.run_together([context])

    def run_together(self, contexts: Sequence[Context]) -> None:
        """Writes for each context what was learnt, and a report; the index and the features are the same for all."""
        first = contexts[0]
        most = first.config.PROPOSALS.TRAIN_MAX_BOXES
        index = region_index(first, first.role, with_truths=True, max_boxes=most)
        readers = [build_reader(context.config, self.slot, index.num_classes) for context in contexts]
        components, layer = [component for component, _ in readers], readers[0][1]
        features = gathered_features(first, index)
        if not first.world.is_first:
            features.serve()
            return
        self.fit(components, features.source(layer), load_heads(first), first)
        features.dismiss()
        for component, context in zip(components, contexts, strict=True):
            save_tensors(context.folder / self.file, learnt_state(component))
            write_json(context.folder / REPORT_FILE, learnt_report(component))

    @abstractmethod
    def fit(
        self, components: Sequence[Any], source: FeatureSource, heads: Mapping[str, LinearHead], context: Context
    ) -> None:
        """Fits the components, which are of one class; they may use the network's heads."""
