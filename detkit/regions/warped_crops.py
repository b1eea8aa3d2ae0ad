"""R-CNN's features of a region: warp its pixels to the network's input and run the whole network on them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.base import Backbone, LayerSpec
from detkit.config.ranges import NonNegative
from detkit.regions.base import RegionExtractor, RegionInputs, RegionView, padding_of
from detkit.regions.device_warp import warp_on_device
from detkit.regions.passes import device_of, in_passes, no_rows
from detkit.regions.warp import WarpWindows, warp_crops, warp_windows
from detkit.regions.windows import RegionWindows
from detkit.registry import REGION_EXTRACTORS
from detkit.structures import Boxes


@REGION_EXTRACTORS.register()
class WarpedCrops(RegionExtractor):
    """R-CNN's extractor: each region is warped to a crop, and the whole network runs on it.

    If the network runs on a CPU, workers cut and resize the crops. If it runs on a GPU, workers only decode the images,
    which are far smaller than their crops, and the GPU cuts them.

    Args:
        input_size: the backbone's crop side.
        padding: context on each side of the region, in pixels of the crop; null takes the paper's share of the crop, 16
            of 227.
        mode: "warp" stretches the region to the crop, as the paper does; "square" takes the smallest square around it.
        context: whether the crop shows pixels around the region; false fills all but the region with the mean.
        finetune_pixels: dtype of the crops in fine-tuning. "uint8" rounds resized crops to whole grey levels; "float32"
            does not, and takes four times the memory.
        feature_pixels: dtype of the crops for the features that classifier and box head learn from and score. The
            released code of R-CNN has "float32" here and "uint8" in fine-tuning.
        mirror: whether these features are averaged over the crop and its mirror image, after mirroring the cells back.
            The bins of a pyramid (LEVELS) are not mirrored back. It doubles the network passes. A box head then needs
            cells, and must learn from these features: an average over the last layer does not tell left from right.
        wider: factor on width and height for a second, wider crop around the same centre; more than 1, or 0 for no
            second crop. Its features are appended to those of the first. It doubles the network passes; fine-tuning
            does not use it.

    Raises:
        ConfigError: if the padding leaves no pixel for the region, or ``wider`` is above 0 and at most 1.

    Source: R-CNN, section 2.1 and appendix A.

    Example:
        >>> import numpy as np
        >>> from detkit.backbones.tiny import TinyNet
        >>> from detkit.regions.network import RegionNetwork
        >>> from detkit.structures import Boxes
        >>> from detkit.system.compute import Compute
        >>> net = TinyNet(width=8, fc_dim=16)
        >>> extractor = WarpedCrops(input_size=net.input_size)
        >>> network = RegionNetwork(net, extractor, compute=Compute.resolve(device="cpu"), batch=8)
        >>> image, boxes = np.zeros((120, 160, 3), np.uint8), Boxes.of([[40, 30, 110, 90], [0, 0, 50, 50]])
        >>> tuple(network.of_image(image, boxes, ["fc7"])["fc7"].shape)
        (2, 16)
    """

    per_image = False
    version: ClassVar[int] = 2
    feature_keys = ("FEATURE_PIXELS", "MIRROR", "WIDER")

    def __init__(
        self,
        *,
        input_size: int,
        padding: Annotated[int, NonNegative] | None = None,
        mode: Literal["warp", "square"] = "warp",
        context: bool = True,
        finetune_pixels: Literal["uint8", "float32"] = "uint8",
        feature_pixels: Literal["uint8", "float32"] = "uint8",
        mirror: bool = False,
        wider: Annotated[float, NonNegative] = 0.0,
    ) -> None:
        self.input_size = input_size
        self.padding = padding_of(type(self), padding, input_size)
        self.mode: Literal["warp", "square"] = mode
        self.context = context
        self.finetune_pixels: Literal["uint8", "float32"] = finetune_pixels
        self.pixels: Literal["uint8", "float32"] = feature_pixels
        self.mirror = mirror
        self.windows = RegionWindows(wider, extractor=type(self))

    def for_training(self) -> WarpedCrops:
        """An extractor of one crop for each region, in the dtype FINETUNE_PIXELS."""
        other = copy.copy(self)
        other.pixels, other.mirror = self.finetune_pixels, False
        other.windows = RegionWindows(0, extractor=type(self))
        return other

    def describe(self, layers: Mapping[str, LayerSpec]) -> Mapping[str, LayerSpec]:
        """The backbone's shapes, with twice the channels if there is a wider crop."""
        return self.windows.describe(layers)

    def run_on(self, device: torch.device) -> None:
        """Lets workers warp for a CPU, and the device itself for a GPU."""
        self.hands_over_images = device.type != "cpu"

    def prepare(self, image: np.ndarray, boxes: Boxes, flips: np.ndarray) -> RegionInputs:
        """``valid`` (n, 4), the rectangle of real pixels, and ``crops`` (n, S, S, 3) of the dtype FEATURE_PIXELS.

        If the device warps, ``image``, ``clips`` (n, 4) and ``flips`` replace ``crops``. With a wider crop there are 2
        n rows: first the crops of all regions, then their wider crops.
        """
        boxes, flips = self.windows.of(boxes, flips)
        warps = self._warps(image, boxes)
        if self.hands_over_images:
            valid = warps.placed(flips)
            return {"image": image, "clips": warps.clip, "flips": np.asarray(flips, bool), "valid": valid}
        crops, valid = warp_crops(image, warps, flips, self.input_size, self.pixels)
        return {"crops": crops, "valid": valid}

    def view(self, image: np.ndarray, box: Boxes) -> RegionView:
        """The crop in whole grey levels, 0 outside the image's pixels."""
        warps, unflipped = self._warps(image, box), np.zeros(1, bool)
        crops, valid = warp_crops(image, warps, unflipped, self.input_size)
        return RegionView(crops[0], valid[0], warps.window[0], is_crop=True)

    def warp(self) -> dict[str, object] | None:
        """``size`` of the crop in pixels, ``padding``, ``mode``, ``context`` and ``pixels``.

        None if the network sees more than one crop of a region.
        """
        if self.mirror or self.windows.wider:
            return None
        return {
            "size": self.input_size,
            "padding": self.padding,
            "mode": self.mode,
            "context": self.context,
            "pixels": self.pixels,
        }

    def _warps(self, image: np.ndarray, boxes: Boxes) -> WarpWindows:
        size = (image.shape[0], image.shape[1])
        return warp_windows(boxes.numpy(), size, self.input_size, self.padding, self.mode, self.context)

    def forward(
        self, backbone: Backbone, inputs: Sequence[RegionInputs], layers: Sequence[str], pad_to: int = 0
    ) -> dict[str, Tensor]:
        """The named layers, each (N, D). The crops of all images run together."""
        filled = [i for i in inputs if len(i["valid"])]
        if not filled:
            return self.windows.join(no_rows(backbone, layers), [])
        device = device_of(backbone)
        crops = torch.cat([self._crops(i, device) for i in filled])
        valid = torch.cat([torch.from_numpy(i["valid"]) for i in filled])

        def run(crops: Tensor, valid: Tensor) -> dict[str, Tensor]:
            pixels = backbone.preprocessing(crops.to(device), valid.to(device))
            found = backbone(pixels.contiguous(memory_format=torch.channels_last), layers)
            if not self.mirror:
                return found
            other = backbone(pixels.flip(3).contiguous(memory_format=torch.channels_last), layers)
            back = {name: _mirrored(rows.float(), backbone.layers[name].shape) for name, rows in other.items()}
            return {name: (rows.float() + back[name]) / 2 for name, rows in found.items()}

        return self.windows.join(in_passes(run, [crops, valid], pad_to), [len(i["valid"]) for i in filled])

    def _crops(self, prepared: RegionInputs, device: torch.device) -> Tensor:
        if "crops" in prepared:
            return torch.from_numpy(prepared["crops"])
        image, clips, places, flips = (torch.from_numpy(prepared[k]) for k in ("image", "clips", "valid", "flips"))
        return warp_on_device(image.to(device), clips, places, flips, self.input_size, self.pixels)


def _mirrored(rows: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(N, D) features of a layer of that shape, each row of cells from right to left."""
    return rows.unflatten(1, shape).flip(-1).flatten(1) if len(shape) == 3 else rows
