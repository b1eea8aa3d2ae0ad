"""What every proposal generator gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

import numpy as np

from detkit.structures import Proposals


class ProposalGenerator(ABC):
    """Finds boxes that may hold an object, whatever its class."""

    def files(self) -> tuple[Path, ...]:
        """Files that the proposals depend on beside the image; their content becomes part of the artefact's hash."""
        return ()

    @abstractmethod
    def propose(self, image: np.ndarray, image_id: str = "") -> Proposals:
        """Candidate boxes of one image.

        The answer depends on the image alone (for stored proposals: on its id), never on earlier calls,
        the process or the worker count. No proposal at all is a valid answer.

        Args:
            image: (H, W, 3) uint8 RGB.
            image_id: the data set's name of the image.
        """
