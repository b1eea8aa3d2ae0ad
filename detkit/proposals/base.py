"""The base class of proposal generators."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from detkit.errors import ComponentError
from detkit.structures import Boxes, Proposals


class ProposalGenerator(ABC):
    """Finds boxes that may hold an object of any class.

    Attributes:
        reach_keys: the config keys that ``reach`` depends on, for messages.
    """

    reach_keys: ClassVar[tuple[str, ...]] = ()

    def files(self) -> tuple[Path, ...]:
        """Files that the proposals depend on, besides the image. Their content is part of the artefact's hash."""
        return ()

    def reach(self, boxes: Boxes, image_size: tuple[int, int]) -> Tensor:
        """(N,) the greatest IoU that a proposal of any image could have with each box.

        It tells which objects the settings rule out. This implementation returns 1 for all boxes: none is ruled out.

        Args:
            boxes: N boxes in the pixels of an image.
            image_size: (height, width) of the image.
        """
        return torch.ones(len(boxes))

    @abstractmethod
    def propose(self, image: np.ndarray, image_id: str = "") -> Proposals:
        """Candidate boxes of one image.

        The result depends on the image alone (for stored proposals: on its id), never on earlier calls, the process or
        the number of workers. It may hold no proposal.

        Args:
            image: (H, W, 3) uint8 RGB.
            image_id: id of the image in the data set.
        """


def checked_proposals(generator: ProposalGenerator, found: Proposals, image: np.ndarray, image_id: str) -> Proposals:
    """``found``, after a check. Every result of a generator passes through it.

    Args:
        generator: named in the message.
        found: its result.
        image: (H, W, 3), the image that it searched.
        image_id: named in the message.

    Raises:
        ComponentError: if ``found`` is no ``Proposals`` or is of another image size, or a box is not inside the image.
    """
    height, width = image.shape[:2]
    where = f"{type(generator).__name__}.propose, image {image_id or f'of {width} x {height} pixels'}"
    if not isinstance(found, Proposals):
        raise ComponentError(f"{where}: expected Proposals, got {type(found).__name__}")
    if tuple(found.image_size) != (height, width):
        raise ComponentError(f"{where}: expected the size {(height, width)} (height, width), got {found.image_size}")
    outside = (found.boxes.clip((height, width)).tensor != found.boxes.tensor).any(1).nonzero()
    if len(outside):
        row = int(outside[0])
        raise ComponentError(
            f"{where}: expected boxes inside the image of {width} x {height} pixels, got box {row} "
            f"{found.boxes.tensor[row].tolist()} (x1, y1, x2, y2)"
        )
    return found
