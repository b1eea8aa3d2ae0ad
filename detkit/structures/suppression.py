"""Non-maximum suppression of boxes."""

from __future__ import annotations

from torch import Tensor

from detkit.structures.boxes import Boxes


def nms(boxes: Boxes, scores: Tensor, iou: float) -> Tensor:
    """The rows that greedy non-maximum suppression keeps, by falling score. The lower row wins a tie.

    A box is suppressed if its IoU with a kept box exceeds ``iou``; at exactly ``iou`` it stays.
    """
    from torchvision import ops  # slow to import, and most commands suppress nothing

    # In double precision an IoU of 3/10 is not above 0.3; in single precision it is.
    return ops.nms(boxes.tensor.double(), scores.double(), iou)
