"""What every proposal generator gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

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
