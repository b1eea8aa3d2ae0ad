"""Objects that no proposal can find under a recipe's settings."""

from __future__ import annotations

from detkit.config.build import build
from detkit.config.node import Config
from detkit.data.base import Dataset

FOUND = 0.5
"""A proposal with this IoU finds an object: it is a positive of fine-tuning and a match of VOC's evaluation."""


def unreached(config: Config, dataset: Dataset) -> int:
    """The number of ground truths that no proposal can find under the settings of ``PROPOSALS``; crowds do not count.

    Raises:
        ConfigError: if the generator refuses its settings.
    """
    generator = build(config, "PROPOSALS")
    return sum(
        int((generator.reach(truths.boxes[~truths.crowd], sample.size) < FOUND).sum())
        for sample in dataset
        if (truths := sample.annotations) is not None
    )


def unreached_line(config: Config, count: int) -> str:
    """A line about ``count`` such ground truths and the settings that rule them out."""
    chosen = config.PROPOSALS[config.PROPOSALS.NAME]
    keys = ", ".join(f"{key}: {chosen[key]}" for key in build(config, "PROPOSALS").reach_keys)
    return (
        f"{count} ground truths are out of reach: no proposal can have an IoU of {FOUND} with them "
        f"(PROPOSALS.{config.PROPOSALS.NAME}: {{{keys}}})"
    )
