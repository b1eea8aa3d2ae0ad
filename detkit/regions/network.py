"""The network at inference: prepared regions in, float16 features out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.base import Backbone
from detkit.backbones.fuse import fuse_for_inference
from detkit.errors import ComponentError, DetkitError
from detkit.regions.base import RegionExtractor, RegionInputs
from detkit.structures import Boxes
from detkit.system.clock import Clock
from detkit.system.compute import Compute
from detkit.system.stream import in_threads


class RegionNetwork:
    """A backbone and an extractor that compute features for extraction and detection alike.

    Args:
        backbone: the network. A copy runs: in eval mode, with BatchNorms folded into convolutions, and with its weights
            in the dtype of ``compute`` where autocast uses that.
        extractor: how regions become features.
        compute: device and dtype.
        batch: rows of one network pass; the last pass is padded, so all have one shape.
    """

    def __init__(self, backbone: Backbone, extractor: RegionExtractor, *, compute: Compute, batch: int) -> None:
        self.layers = extractor.describe(backbone.layers)
        self.extractor, self.compute, self.batch = extractor, compute, batch
        extractor.run_on(compute.device)
        self._backbone = compute.prepare(fuse_for_inference(backbone, compute.dtype))

    @property
    def backbone(self) -> Backbone:
        """The copy that runs; do not change it."""
        return self._backbone

    @torch.inference_mode()
    def forward(self, inputs: Sequence[RegionInputs], layers: Sequence[str]) -> dict[str, Tensor]:
        """{layer: (N, D) float16 on the CPU} of prepared regions of several images."""
        with self.compute.autocast():
            found = self.extractor.forward(self._backbone, inputs, layers, pad_to=self.batch)
        self._check(found, layers)
        return {layer: f.to(device="cpu", dtype=torch.float16) for layer, f in found.items()}

    def _check(self, found: Mapping[str, Tensor], layers: Sequence[str]) -> None:
        """Refuses what an extractor and a backbone must not give: a layer that is missing or of another length."""
        for layer in layers:
            shape = tuple(found[layer].shape) if layer in found else "no such layer"
            if layer not in found or len(shape) != 2 or shape[1] != self.layers[layer].dim:
                raise ComponentError(
                    f"{type(self.extractor).__name__}.forward with {type(self._backbone).__name__}: expected {layer} "
                    f"as (regions, {self.layers[layer].dim}), got {shape}"
                )

    def of_image(
        self, image: np.ndarray, boxes: Boxes, layers: Sequence[str], clock: Clock | None = None
    ) -> dict[str, Tensor]:
        """{layer: (N, D) float32} of regions of one image; equal boxes are computed once.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: N regions of it.
            layers: names from ``layers``.
            clock: measures the steps warp and network, which run at the same time.
        """
        clock = clock or Clock()
        first, which = boxes.distinct()
        step = len(first) if self.extractor.hands_over_images else self.batch
        pieces = [boxes[first[start : start + step]] for start in range(0, len(first), max(step, 1))]

        def prepare(i: int) -> list[RegionInputs]:
            with clock("warp"):
                return [self.extractor.prepare(image, pieces[i], np.zeros(len(pieces[i]), bool))]

        parts: dict[str, list[Tensor]] = {layer: [torch.zeros(0, self.layers[layer].dim)] for layer in layers}
        with closing(in_threads(prepare, 0, len(pieces), workers=1 if len(pieces) > 1 else 0)) as prepared:
            for inputs in prepared:
                with clock("network"):
                    features = self.forward(inputs, layers)
                for layer in layers:
                    parts[layer].append(features[layer].float())
        joined = {layer: torch.cat(p)[which] for layer, p in parts.items()}
        check_finite(joined, f"of {image.shape[1]}x{image.shape[0]} pixels")
        return joined


def check_finite(features: Mapping[str, Tensor], image: str) -> None:
    """Refuses features that are nan or infinite, such as numbers too large for float16.

    Args:
        features: {layer: (N, D)} of regions of one image.
        image: name of the image, for the message.

    Raises:
        DetkitError: if a feature is nan or infinite; it names the image, the layer and the first such region.
    """
    for layer, values in features.items():
        if bool(values.isfinite().all()):
            continue
        row, column = (~values.isfinite()).nonzero()[0].tolist()
        raise DetkitError(
            f"features: image {image}, region {row}: {layer} holds {values[row, column]}; the network's weights are "
            "broken, or its numbers leave float16's range of 65504: check BACKBONE.WEIGHTS, or lower the learning rate "
            "that made them"
        )
