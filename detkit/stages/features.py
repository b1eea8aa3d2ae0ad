"""The features of a split's regions: stored ones, or computed on request."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from detkit.config.node import Config
from detkit.data.images import sample_image
from detkit.detection.postprocess import Postprocess
from detkit.detection.scorer import OneImage
from detkit.regions.features import CompletedFeatures, ComputedFeatures, RegionFeatures, StoredFeatures
from detkit.regions.gathered import GatheredFeatures
from detkit.regions.index import RegionIndex
from detkit.run.kinds import FEATURES
from detkit.run.stage import Context, Need
from detkit.stages.networks import region_network
from detkit.stages.readers import feature_layers, layers_read

FEATURE_SECTIONS = ("BACKBONE.*", "REGION_EXTRACTOR", "COMPUTE")
"""The keys that decide a region's features, beside the weights."""


def is_stored(config: Config, role: str) -> bool:
    """Whether the recipe stores the features of a role on disk and a component reads them."""
    return config.FEATURES.STORE == "disk" and role in config.FEATURES.ROLES and bool(layers_read(config, role))


def stored_features(config: Config, role: str) -> dict[str, Need]:
    """The need for stored features, if there are any. They only save the time of computing them again."""
    return {"features": Need(FEATURES, role, only_saves_time=True)} if is_stored(config, role) else {}


def region_features(context: Context, index: RegionIndex) -> RegionFeatures:
    """The features of these regions: stored ones if there are any, else computed on request."""
    if "features" in context.inputs:
        dims = {layer: spec.dim for layer, spec in feature_layers(context.config).items()}
        return StoredFeatures(index, context.inputs["features"], dims)
    return ComputedFeatures(index, region_network(context), workers=context.workers)


def gathered_features(context: Context, index: RegionIndex) -> RegionFeatures:
    """The features of these regions, for a component that learns in the first process; the others must serve it."""
    features = region_features(context, index)
    if isinstance(features, ComputedFeatures) and context.world.size > 1:
        return GatheredFeatures(features, context.world)
    return features


def with_layers(context: Context, features: RegionFeatures, *layers: str) -> RegionFeatures:
    """The features; if stored ones lack one of the layers, requests for that layer are computed."""
    if isinstance(features, StoredFeatures) and not all(features.holds(layer) for layer in layers):
        computed = ComputedFeatures(features.index, region_network(context), workers=context.workers)
        return CompletedFeatures(features, computed)
    return features


def new_crops(
    context: Context, features: RegionFeatures, layers: Sequence[str], settings: Postprocess
) -> Callable[[int], OneImage] | None:
    """The images of a split, by number, to compute features of new regions; None if the settings need none.

    Args:
        context: context of the stage, with the input ``network``.
        features: features of the split's regions; if they have a network, it is used.
        layers: layers to compute.
        settings: say how often the box head moves a candidate; once needs no new regions.
    """
    if settings.refine_iterations == 1:
        return None
    network = features.network or region_network(context)

    def image(number: int) -> OneImage:
        sample = features.index.samples[number]
        return OneImage(sample.size, lambda boxes: network.of_image(sample_image(sample), boxes, layers))

    return image
