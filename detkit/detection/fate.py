"""What happened to one region, as one class, at threshold, cap and suppression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from detkit.detection.detector import Steps
from detkit.diagnosis.suppression import NO_AREA, suppressors

Kind = Literal["detected", "suppressed", "no area", "beyond the cap", "other class", "below threshold", "never fires"]


@dataclass(frozen=True)
class Overlap:
    """Another region, and its IoU with the explained region, both after the box head.

    Args:
        region: its row among the proposals.
        iou: 0 to 1.
    """

    region: int
    iou: float


@dataclass(frozen=True)
class Fate:
    """What happened to a region as one class.

    Args:
        kind: "detected", or the first step that removed it.
        place: rank from 1, by score among all regions as this class.
        by: for "suppressed" the detection that suppressed it.
        suppressed: for "detected" the regions that it suppressed, best first.
    """

    kind: Kind
    place: int
    by: Overlap | None = None
    suppressed: tuple[Overlap, ...] = ()

    @classmethod
    def of(cls, steps: Steps, row: int, label: int) -> Fate:
        """The fate of a proposal as a class, from the steps of the detector."""
        scores = steps.candidates.every_score[:, label]
        score, place = scores[row], 1 + int((scores > scores[row]).sum())
        if bool(score == -torch.inf):
            return cls("never fires", place)
        least = steps.min_score[label]
        rescored = steps.settings.changes_scores  # then the score of the last crop is what the threshold is for
        if bool(score < least) and not rescored:
            return cls("below threshold", place)
        found = steps.candidates
        own = (found.labels == label).nonzero()[:, 0]
        own = own[found.refined_scores[own].argsort(descending=True, stable=True)]
        if row not in found.rows[own].tolist():
            best = int(found.every_score[row].numpy().argmax())  # of equals the lower class, as ``select`` takes it
            elsewhere = row in found.rows.tolist() or (rescored and best != label)
            if steps.settings.one_class_per_region and elsewhere:
                return cls("other class", place)
            below = rescored and place <= steps.settings.top_per_image
            return cls("below threshold" if below else "beyond the cap", place)
        rows, boxes = found.rows[own].tolist(), found.refined[own].clip(steps.proposals.image_size)
        at, compared = rows.index(row), (boxes.tensor.double().numpy(), found.refined_scores[own].double().numpy())
        by = suppressors(*compared, steps.settings.nms_iou)
        if by[at] == NO_AREA:
            return cls("no area", place)
        overlaps = boxes.iou(boxes)[at].tolist()
        if by[at] >= 0:
            return cls("suppressed", place, by=Overlap(rows[by[at]], overlaps[by[at]]))
        taken = [Overlap(rows[other], overlaps[other]) for other in (by == at).nonzero()[0].tolist()]
        return cls("detected", place, suppressed=tuple(taken))
