"""What every proposal generator gives."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from detkit.structures import Proposals


class ProposalGenerator(ABC):
    """Finds boxes that may hold an object, whatever its class."""

    @abstractmethod
    def propose(self, image: np.ndarray, image_id: str = "") -> Proposals:
        """Candidate boxes of one image.

        The answer depends on the image alone (for stored proposals: on its id), never on earlier calls,
        the process or the worker count. No proposal at all is a valid answer.

        Args:
            image: (H, W, 3) uint8 RGB.
            image_id: the data set's name of the image.
        """
