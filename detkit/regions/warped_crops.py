"""R-CNN's way to a region's features: warp its pixels to the network's input and run the whole network on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.base import Backbone
from detkit.config.ranges import NonNegative
from detkit.regions.base import RegionExtractor, RegionInputs, check_padding
from detkit.regions.passes import device_of, in_passes, no_rows
from detkit.regions.warp import warp_crops, warp_windows
from detkit.registry import REGION_EXTRACTORS
from detkit.structures import Boxes


@REGION_EXTRACTORS.register()
class WarpedCrops(RegionExtractor):
    """One crop, one network pass for each region.

    Args:
        input_size: the backbone's crop side.
        padding: pixels of context on each side of the region, counted in the crop.
        mode: "warp" stretches the region to the crop, as the paper does; "square" takes the smallest square around it.
        context: False fills everything but the region itself with the mean.
        pixels: "uint8" rounds the resized crop to whole grey levels; "float32" does not, for four times the memory.

    Source: R-CNN, section 2.1 and appendix A.
    """

    per_image = False

    def __init__(
        self,
        *,
        input_size: int,
        padding: Annotated[int, NonNegative] = 16,
        mode: Literal["warp", "square"] = "warp",
        context: bool = True,
        pixels: Literal["uint8", "float32"] = "uint8",
    ) -> None:
        check_padding(type(self), padding, input_size)
        self.input_size = input_size
        self.padding = padding
        self.mode: Literal["warp", "square"] = mode
        self.context = context
        self.pixels: Literal["uint8", "float32"] = pixels

    def prepare(self, image: np.ndarray, boxes: Boxes, flips: np.ndarray) -> RegionInputs:
        """``crops`` (n, S, S, 3) of the dtype ``pixels`` and ``valid`` (n, 4) int16, the rectangle of real pixels."""
        windows = warp_windows(
            boxes.numpy(), (image.shape[0], image.shape[1]), self.input_size, self.padding, self.mode, self.context
        )
        crops, valid = warp_crops(image, windows, flips, self.input_size, self.pixels)
        return {"crops": crops, "valid": valid}

    def forward(
        self, backbone: Backbone, inputs: Sequence[RegionInputs], layers: Sequence[str], pad_to: int = 0
    ) -> dict[str, Tensor]:
        """The crops of all images run together; they reach the network's device in their own dtype."""
        filled = [i for i in inputs if len(i["crops"])]
        if not filled:
            return no_rows(backbone, layers)
        device = device_of(backbone)
        columns = [torch.from_numpy(np.concatenate([i[name] for i in filled])) for name in ("crops", "valid")]

        def run(crops: Tensor, valid: Tensor) -> dict[str, Tensor]:
            pixels = backbone.preprocessing(crops.to(device), valid.to(device))
            return backbone(pixels.contiguous(memory_format=torch.channels_last), layers)

        return in_passes(run, columns, pad_to)
