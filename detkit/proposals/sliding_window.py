"""Windows on a regular grid."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np
from torch import Tensor

from detkit.config.ranges import Positive
from detkit.errors import ConfigError
from detkit.proposals.base import ProposalGenerator
from detkit.registry import PROPOSAL_GENERATORS
from detkit.structures import Boxes, Proposals


def window_starts(length: int, side: float, step: float) -> np.ndarray:
    """Starts of windows of this side along an axis: evenly spaced from 0 to the end, at most ``step`` apart."""
    return np.linspace(0, length - side, math.ceil((length - side) / step) + 1)


@PROPOSAL_GENERATORS.register()
class SlidingWindow(ProposalGenerator):
    """Windows of several sizes and shapes on a regular grid that reaches all four borders of the image.

    Windows that do not fit into the image are left out. They are ordered by scale, then ratio, then row by row.

    Args:
        scales: square roots of the windows' areas, as fractions of the image's shorter side.
        ratios: height over width of the windows.
        stride: largest step between windows, as a fraction of the window's side; a step is at least one pixel.

    Raises:
        ConfigError: if there is no scale or no ratio.

    Example:
        >>> import numpy as np
        >>> windows = SlidingWindow(scales=(0.5,), ratios=(1.0,), stride=1.0).propose(np.zeros((100, 150, 3), np.uint8))
        >>> windows.boxes.tensor[0].tolist(), len(windows)
        ([0.0, 0.0, 50.0, 50.0], 6)
    """

    reach_keys: ClassVar[tuple[str, ...]] = ("SCALES", "RATIOS", "STRIDE")

    def __init__(
        self,
        *,
        scales: tuple[Annotated[float, Positive], ...] = (0.25, 0.4, 0.6, 0.8, 1.0),
        ratios: tuple[Annotated[float, Positive], ...] = (0.5, 1.0, 2.0),
        stride: Annotated[float, Positive] = 0.25,
    ) -> None:
        for key, values in (("SCALES", scales), ("RATIOS", ratios)):
            if not values:
                raise ConfigError(f"SlidingWindow.{key}: [] is not allowed; give at least one number")
        self.scales = tuple(scales)
        self.ratios = tuple(ratios)
        self.stride = stride

    def propose(self, image: np.ndarray, image_id: str = "") -> Proposals:
        """The windows of an image of this size. They do not depend on its content."""
        size = (image.shape[0], image.shape[1])
        return Proposals.unranked(self._windows(size), size)

    def reach(self, boxes: Boxes, image_size: tuple[int, int]) -> Tensor:
        """(N,) the greatest IoU of a window with each box; 0 if no window fits into the image."""
        shared = boxes.iou(self._windows(image_size))
        return shared.new_zeros(len(boxes)) if not shared.shape[1] else shared.amax(1)

    def _windows(self, image_size: tuple[int, int]) -> Boxes:
        height, width = image_size
        windows = [np.zeros((0, 4))]
        for scale in self.scales:
            for ratio in self.ratios:
                side = scale * min(height, width)
                windows.append(self._grid(height, width, side * math.sqrt(ratio), side / math.sqrt(ratio)))
        return Boxes.of(np.concatenate(windows)).clip(image_size)

    def _grid(self, height: int, width: int, tall: float, wide: float) -> np.ndarray:
        """(N, 4) windows ``tall`` by ``wide``, row by row."""
        if tall > height or wide > width:
            return np.zeros((0, 4))
        x1 = window_starts(width, wide, max(1.0, self.stride * wide))
        y1 = window_starts(height, tall, max(1.0, self.stride * tall))
        top, left = (axis.ravel() for axis in np.meshgrid(y1, x1, indexing="ij"))
        return np.stack([left, top, left + wide, top + tall], axis=1)
