"""The explanation of one region, as plain values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detkit.backbones.receptive_fields import ReceptiveField
from detkit.detection.detector import Steps
from detkit.detection.fate import Fate, Overlap
from detkit.detection.shares import Shares
from detkit.detection.units import Unit
from detkit.structures import Boxes


@dataclass(frozen=True)
class AsClass:
    """A region as one class.

    Args:
        name: the class.
        label: its number.
        score: margin or probability from the classifier; -inf for a class that is never found.
        threshold: the lowest score with which the class is shown.
        probability: probability that such a detection is right; None if the model has learnt none.
        fate: what happened to the region as this class.
    """

    name: str
    label: int
    score: float
    threshold: float
    probability: float | None
    fate: Fate


@dataclass(frozen=True)
class Excited:
    """A unit that the region excites.

    Args:
        unit: the unit.
        activation: activation of the region.
        relative: activation divided by the largest of the unit's channel over all regions of the image.
        others: the other regions of the image that excite it most and do not overlap this one, each as (row, relative).
    """

    unit: Unit
    activation: float
    relative: float
    others: tuple[tuple[int, float], ...]


@dataclass(frozen=True, eq=False)
class Moved:
    """The move of a region by the box head.

    Args:
        before: (4,) x1, y1, x2, y2 of the region.
        after: (4,) moved box, not clipped.
        clipped: (4,) moved box, clipped to the image.
        deltas: (4,) dx, dy in widths and heights, dw, dh as logarithms. Source: R-CNN, appendix C.
    """

    before: np.ndarray
    after: np.ndarray
    clipped: np.ndarray
    deltas: np.ndarray


@dataclass(frozen=True, eq=False)
class Explanation:
    """One region followed through the detector.

    Args:
        steps: the steps of the detector on the image.
        row: row of the region.
        is_proposed: False if the box was given and equals no proposal.
        neighbours: the proposals that overlap it most.
        classes: the region as each class, the most probable first; without probabilities, the one furthest above its
            threshold first.
        focus: the class that the following fields are about.
        shares: shares of the features in its score; None if the classifier is not linear or the class is never found.
        moved: the move by the box head.
        layer: the pooled layer, whose units are shown.
        field: receptive field of the layer's cells in a crop.
        units: the strongest units.
    """

    steps: Steps
    row: int
    is_proposed: bool
    neighbours: tuple[Overlap, ...]
    classes: tuple[AsClass, ...]
    focus: AsClass
    shares: Shares | None
    moved: Moved
    layer: str
    field: ReceptiveField
    units: tuple[Excited, ...]

    @property
    def box(self) -> Boxes:
        """The box of the region."""
        return self.steps.proposals.boxes[[self.row]]
