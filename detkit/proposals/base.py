"""What every proposal generator gives."""

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
    """Finds boxes that may hold an object, whatever its class.

    Attributes:
        reach_keys: the config keys that ``reach`` depends on, for messages.
    """

    reach_keys: ClassVar[tuple[str, ...]] = ()

    def files(self) -> tuple[Path, ...]:
        """Files that the proposals depend on beside the image; their content becomes part of the artefact's hash."""
        return ()

    def reach(self, boxes: Boxes, image_size: tuple[int, int]) -> Tensor:
        """(N,) the greatest IoU that a proposal can have with each box, whatever the picture shows.

        It tells which objects the settings rule out; 1, for all boxes here, rules nothing out.

        Args:
            boxes: N boxes in the pixels of an image.
            image_size: (height, width) of the image.
        """
        return torch.ones(len(boxes))

    @abstractmethod
    def propose(self, image: np.ndarray, image_id: str = "") -> Proposals:
        """Candidate boxes of one image.

        The answer depends on the image alone (for stored proposals: on its id), never on earlier calls,
        the process or the worker count. No proposal at all is a valid answer.

        Args:
            image: (H, W, 3) uint8 RGB.
            image_id: the data set's name of the image.
        """


def checked_proposals(generator: ProposalGenerator, found: Proposals, image: np.ndarray, image_id: str) -> Proposals:
    """What a generator has found in an image; the core looks at every answer.

    Args:
        generator: named in the message.
        found: its answer.
        image: (H, W, 3), the image that it was asked about.
        image_id: likewise named.

    Raises:
        ComponentError: it is no ``Proposals``, or of another size, or a box does not lie inside the image.
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
