"""The regions of a run for ``detkit units``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from detkit.backbones.base import LayerSpec
from detkit.backbones.shapes import network_layers
from detkit.errors import ConfigError, DataError
from detkit.progress import progress
from detkit.regions.features import RegionFeatures, Request, StoredFeatures
from detkit.registry import nearest
from detkit.report.measure import Probe
from detkit.run.plan import Step
from detkit.run.runner import Run
from detkit.run.stage import Context
from detkit.stages.features import region_features, with_layers
from detkit.stages.readers import feature_layers
from detkit.stages.regions import region_index

SAMPLED = 32
"""Images by which units are chosen."""


@dataclass(frozen=True, eq=False)
class UnitSource:
    """One layer's features of the regions of one role of a run.

    Args:
        run: the run.
        context: context of the stage that reads these regions; it has the network and the proposals.
        features: stored or computed features.
        layer: name of the layer.
        requests: the images, with all their regions.
    """

    run: Run
    context: Context
    features: RegionFeatures
    layer: str
    requests: Sequence[Request]

    @classmethod
    def of(cls, run: Run, role: str, layer: str, most_images: int) -> UnitSource:
        """The source of a run.

        Args:
            run: the run.
            role: role of the regions.
            layer: the layer; empty takes the pooled one.
            most_images: number of images, from the first on; 0 takes all.

        Raises:
            ConfigError: if no stage reads such regions, the network has no such layer, or results are missing.
            DataError: if there are no regions.
        """
        step, layers = _reader(run, role), network_layers(run.config)
        layer = layer or next(iter(layers))
        if layer not in layers:
            raise ConfigError(f"--layer: no layer {layer!r}.{nearest(layer, layers)} Layers: {', '.join(layers)}.")
        context = replace(run.context(step), config=step.config)
        missing = [name for name in ("network", "proposals") if name not in context.inputs]
        if missing:
            made = " and ".join(step.inputs[name].label for name in missing)
            raise ConfigError(f"{made}: not there yet; run detkit train with this recipe first")
        at_test = role == "TEST"
        most_boxes = 0 if at_test else step.config.PROPOSALS.TRAIN_MAX_BOXES
        index = region_index(context, role, with_truths=not at_test, max_boxes=most_boxes)
        features = with_layers(context, region_features(context, index), layer)
        requests = features.every_row()[: most_images or None]
        if not requests:
            raise DataError(f"--role {role}: none of its {index.num_images} images has a region")
        return cls(run, context, features, layer, requests)

    @property
    def spec(self) -> LayerSpec:
        """The layer's shape."""
        return feature_layers(self.run.config)[self.layer]

    def cost(self, sampled: bool) -> str:
        """A line with the cost of reading these regions; it is measured for a few seconds if they must be computed.

        Args:
            sampled: whether units are chosen first, for which some images are read twice.
        """
        regions = sum(len(rows) for _, rows in self.requests)
        what = f"{self.layer} of {regions:,} regions in {len(self.requests)} images"
        if isinstance(self.features, StoredFeatures):
            return f"{what}: read from stored features, {regions * self.spec.dim * 2 / 1e6:,.0f} MB"
        again = min(SAMPLED, len(self.requests)) / len(self.requests) if sampled else 0.0
        probe = Probe(self.run)
        measured = probe.features.seconds(len(self.requests), regions, workers=self.run.workers, threads=probe.threads)
        seconds = measured * (1 + again)
        length = f"{seconds / 60:,.0f} min" if seconds >= 120 else f"{seconds:.0f} s"
        return f"{what}: computed, about {length}; nothing is stored"

    def blocks(self, requests: Sequence[Request]) -> Iterator[tuple[int, Tensor]]:
        """(image, (n, D) features of its regions), with a progress bar."""
        with progress(f"units {self.context.role.lower()}", len(requests), "image") as bar:
            for image, layers in self.features.images(requests, [self.layer]):
                yield image, layers[self.layer]
                bar.update()


def _reader(run: Run, role: str) -> Step:
    """The last step that reads the network and the proposals of a role."""
    readers = {step.role: step for step in run.steps if {"network", "proposals"} <= set(step.inputs)}
    if role not in readers:
        raise ConfigError(f"--role {role}: no stage of this recipe reads its regions; expected {', '.join(readers)}")
    return readers[role]
