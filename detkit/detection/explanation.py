"""What is told of one region: values without a way to make them."""

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
        score: margin or probability, as the classifier gives it; -inf where it never fires.
        threshold: the least score with which the class is shown.
        probability: how probable it is that such a detection is right; None where the model does not tell.
        fate: what became of it.
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
        activation: the region's.
        relative: to the largest of the unit's channel over all regions of the image.
        others: the other regions of the image that excite it most and do not overlap this one, each as (row, relative).
    """

    unit: Unit
    activation: float
    relative: float
    others: tuple[tuple[int, float], ...]


@dataclass(frozen=True, eq=False)
class Moved:
    """What the box head did.

    Args:
        before: (4,) x1, y1, x2, y2 of the region.
        after: (4,) of the moved box, not clipped.
        clipped: (4,) of the moved box inside the image.
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
        steps: what the detector did with the image.
        row: of the region.
        is_proposed: False where the box was given and no proposal is the same.
        neighbours: the proposals that overlap it most.
        classes: the region as each class, the most probable first, else the one furthest above its threshold.
        focus: the class that what follows is about.
        shares: of the features in its score; None where the classifier is not linear or the class never fires.
        moved: what the box head did.
        layer: the pooled layer, whose units are shown.
        field: what its cells see of a crop.
        units: the strongest ones.
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
        """The region."""
        return self.steps.proposals.boxes[[self.row]]
