"""What every region extractor and region sampler gives."""

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
    """What a network sees of one region, for people to look at.

    Args:
        pixels: (h, w, 3) uint8 RGB: a crop, or the scaled image that the region is pooled from.
        area: (4,) x1, y1, x2, y2 in ``pixels``: the real pixels of a crop, or what is pooled of the scaled image.
        window: (4,) what ``pixels`` shows of the image, in its pixels; a crop may reach beyond it.
        is_crop: whether the network runs on these pixels alone.
    """

    pixels: np.ndarray
    area: np.ndarray
    window: np.ndarray
    is_crop: bool


class RegionExtractor(ABC):
    """Turns regions into features: the one path for fine-tuning, extraction and detection.

    A registered extractor's constructor takes ``input_size`` (the backbone's crop side) from the builder.

    Attributes:
        per_image: True where a step's cost grows with its images (a shared map), False where it grows with its regions.
        hands_over_images: True where ``prepare`` hands over the image, so that all regions of one are prepared at once;
            False where it hands over pixels of each region, and a batch may hold regions of several images.
        feature_keys: config keys that decide features alone and nothing that ``for_training`` gives; a change of them
            fine-tunes no network again.
    """

    per_image: bool
    hands_over_images: bool = False
    feature_keys: tuple[str, ...] = ()

    def for_training(self) -> RegionExtractor:
        """The extractor that fine-tuning uses: this one, unless a network is tuned on regions of another kind."""
        return self

    def describe(self, layers: Mapping[str, LayerSpec]) -> Mapping[str, LayerSpec]:
        """The shapes of a region's features by layer: the given ones of the backbone, with channels that it adds."""
        return layers

    def run_on(self, device: torch.device) -> None:
        """Is told where the network will run, before anything is prepared."""
        return

    def view(self, image: np.ndarray, box: Boxes) -> RegionView | None:
        """What the network sees of a region; None where the extractor does not show it.

        Args:
            image: (H, W, 3) uint8 RGB.
            box: one region.
        """
        return None

    def warp(self) -> Mapping[str, object] | None:
        """How a region's crop is cut, as plain values for programs without detkit; None where the network sees none."""
        return None

    @abstractmethod
    def prepare(self, image: np.ndarray, boxes: Boxes, flips: np.ndarray) -> RegionInputs:
        """What the network needs of regions of one image; several threads run it at once, without torch modules.

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
            inputs: what ``prepare`` gave for each image.
            layers: names from ``backbone.layers``.
            pad_to: rows that a network pass is filled up to, so that every pass has one shape; 0 for none.
        """


def padding_of(extractor: type[RegionExtractor], padding: int | None, input_size: int) -> int:
    """Pixels of context on each side of a region, counted in the crop.

    Args:
        extractor: whose key PADDING it is.
        padding: a number is taken as it is; None takes the paper's share of the crop, 16 of 227 pixels, rounded.
        input_size: the crop's side.

    Raises:
        ConfigError: the region would have no pixel.

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
        image_centric: True where a step's regions come from few images.
    """

    image_centric: bool = False

    @abstractmethod
    def draw(self, index: RegionIndex, rng: np.random.Generator, *, iteration: int = 0, seed: int = 0) -> np.ndarray:
        """(B,) int64 rows of the index, each with a fine-tuning label >= 0.

        It depends on its arguments alone; several threads call it at once.

        Args:
            index: the regions.
            rng: of this step.
            iteration: number of the step, for a sampler that goes through the data epoch by epoch.
            seed: of the run, for what several steps have in common.

        Raises:
            DataError: the split has nothing to draw from.
        """


def checked_rows(sampler: RegionSampler, rows: np.ndarray, index: RegionIndex) -> np.ndarray:
    """The rows that a sampler has drawn; the core looks at every answer.

    Args:
        sampler: named in the message.
        rows: its answer.
        index: what it drew from.

    Raises:
        ComponentError: it is no line of whole numbers, or a row is not in the index or has no fine-tuning label.
    """
    where = f"{type(sampler).__name__}.draw"
    if not isinstance(rows, np.ndarray) or rows.ndim != 1 or rows.dtype != np.int64 or len(rows) == 0:
        got = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise ComponentError(f"{where}: expected an int64 array (number of regions,), got {got}")
    if rows.min() < 0 or rows.max() >= len(index.label):
        raise ComponentError(f"{where}: expected rows 0 to {len(index.label) - 1}, got {rows.min()} to {rows.max()}")
    if (index.label[rows] < 0).any():
        row = rows[index.label[rows] < 0][0]
        raise ComponentError(f"{where}: expected rows with a fine-tuning label, got row {row}, which is ignored")
    return rows
