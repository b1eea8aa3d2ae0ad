"""The base classes of region extractors and region samplers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.base import Backbone, LayerSpec
from detkit.errors import ComponentError, ConfigError
from detkit.regions.index import RegionIndex
from detkit.structures import Boxes

RegionInputs = Mapping[str, np.ndarray]
"""What a worker prepares of one image's regions and hands to the network."""


@dataclass(frozen=True, eq=False)
class RegionView:
    """A picture of what a network sees of one region.

    Args:
        pixels: (h, w, 3) uint8 RGB: a crop, or the scaled image that the region is pooled from.
        area: (4,) x1, y1, x2, y2 in ``pixels``: the real pixels of a crop, or the pooled part of the scaled image.
        window: (4,) x1, y1, x2, y2 in the image: the part that ``pixels`` shows; a crop may reach beyond the image.
        is_crop: whether the network runs on these pixels alone.
    """

    pixels: np.ndarray
    area: np.ndarray
    window: np.ndarray
    is_crop: bool


class RegionExtractor(ABC):
    """Turns regions into features, in the same way for fine-tuning, extraction and detection.

    A registered extractor's constructor takes ``input_size`` (the backbone's crop side) from the builder.

    Attributes:
        per_image: True if the cost of a step grows with its number of images (a shared map), False if with its number
            of regions.
        hands_over_images: True if ``prepare`` returns the image, so that all regions of an image are prepared at once;
            False if it returns the pixels of each region, so that a batch may hold regions of several images.
        feature_keys: config keys that change features, but not the extractor of ``for_training``. After a change of
            these keys, the network is not fine-tuned again.
    """

    per_image: bool
    hands_over_images: bool = False
    feature_keys: tuple[str, ...] = ()

    def for_training(self) -> RegionExtractor:
        """The extractor for fine-tuning: this one, unless a network is tuned on regions of another kind."""
        return self

    def describe(self, layers: Mapping[str, LayerSpec]) -> Mapping[str, LayerSpec]:
        """The shapes of a region's features by layer: the backbone's ``layers``, with channels that this class adds."""
        return layers

    def run_on(self, device: torch.device) -> None:
        """Receives the device of the network, before the first call of ``prepare``."""
        return

    def view(self, image: np.ndarray, box: Boxes) -> RegionView | None:
        """The part of the image that the network sees of a region; None if the extractor cannot show it.

        Args:
            image: (H, W, 3) uint8 RGB.
            box: one region.
        """
        return None

    def warp(self) -> Mapping[str, object] | None:
        """How a region's crop is cut, as JSON values for programs without detkit; None if there is no single crop."""
        return None

    @abstractmethod
    def prepare(self, image: np.ndarray, boxes: Boxes, flips: np.ndarray) -> RegionInputs:
        """The network's input for regions of one image. Several threads run it at once; it uses no torch modules.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: n regions.
            flips: (n,) bool, regions to mirror.
        """

    @abstractmethod
    def forward(
        self, backbone: Backbone, inputs: Sequence[RegionInputs], layers: Sequence[str], pad_to: int = 0
    ) -> dict[str, Tensor]:
        """The named layers, each (N, D), of the prepared regions of several images, in order. Differentiable.

        Args:
            backbone: in train or eval mode, as the caller set it.
            inputs: the results of ``prepare``, one for each image.
            layers: names from ``backbone.layers``.
            pad_to: number of rows to which each network pass is padded, so that all passes have one shape; 0 does not
                pad.
        """


def padding_of(extractor: type[RegionExtractor], padding: int | None, input_size: int) -> int:
    """Pixels of context on each side of a region, in pixels of the crop.

    Args:
        extractor: class with the key PADDING, for the message.
        padding: the number of pixels; None takes the paper's share of the crop, 16 of 227 pixels, rounded.
        input_size: side of the crop in pixels.

    Raises:
        ConfigError: if the padding leaves no pixel for the region.

    Source: R-CNN, section 2.1 and appendix A: 16 pixels of a crop of 227.
    """
    share = round(input_size * 16 / 227)
    if padding is None:
        return share
    if 2 * padding >= input_size:
        raise ConfigError(
            f"REGION_EXTRACTOR.{extractor.__name__}.PADDING: {padding} on both sides leaves nothing of a crop of "
            f"{input_size} pixels; allowed: 0 to {(input_size - 1) // 2}, or null for {share}, the paper's share"
        )
    return padding


class RegionSampler(ABC):
    """Draws the regions of one fine-tuning step.

    Attributes:
        image_centric: True if the regions of a step come from few images.
    """

    image_centric: bool = False

    @abstractmethod
    def draw(self, index: RegionIndex, rng: np.random.Generator, *, iteration: int = 0, seed: int = 0) -> np.ndarray:
        """(B,) int64 rows of the index, each with a fine-tuning label >= 0.

        The result depends on the arguments alone. Several threads call it at once.

        Args:
            index: the regions.
            rng: generator of this step.
            iteration: number of the step, for a sampler that goes through the data epoch by epoch.
            seed: seed of the run, for random numbers that several steps share.

        Raises:
            DataError: if the split has no region to draw.
        """


def checked_rows(sampler: RegionSampler, rows: np.ndarray, index: RegionIndex) -> np.ndarray:
    """``rows``, after a check. Every result of a sampler passes through it.

    Args:
        sampler: named in the message.
        rows: its result.
        index: the regions that it drew from.

    Raises:
        ComponentError: if ``rows`` is no (B,) array of integers, or a row is not in the index or has no fine-tuning
            label.
    """
    where = f"{type(sampler).__name__}.draw"
    if not isinstance(rows, np.ndarray) or rows.ndim != 1 or rows.dtype != np.int64 or len(rows) == 0:
        got = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise ComponentError(f"{where}: expected an int64 array (number of regions,), got {got}")
    if rows.min() < 0 or rows.max() >= len(index):
        raise ComponentError(f"{where}: expected rows 0 to {len(index) - 1}, got {rows.min()} to {rows.max()}")
    if (index.label[rows] < 0).any():
        row = rows[index.label[rows] < 0][0]
        raise ComponentError(f"{where}: expected rows with a fine-tuning label, got row {row}, which is ignored")
    return rows
