"""Differences between the detections of two runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from detkit.evaluation.voc import IGNORED, VOC
from detkit.structures import Detections, Sample

SAME_IOU = 0.5
"""Two detections of one class that overlap this much are the same one."""

Kind = Literal["appeared", "vanished", "turned"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Change:
    """A detection that only one of two runs shows, or that both show but that is right in only one of them.

    Args:
        kind: "appeared" if only the second run shows it, "vanished" if only the first does, else "turned".
        image: position of the image.
        label: its class.
        first: its row among the detections of the first run, or -1.
        second: its row among the detections of the second run, or -1.
        verdict: "right", "wrong" or "ignored" (on an object that need not be found), in the run that shows it; in the
            second run if both do.
    """

    kind: Kind
    image: int
    label: int
    first: int
    second: int
    verdict: str


def changes(
    samples: Sequence[Sample],
    first: Sequence[Detections],
    second: Sequence[Detections],
    class_names: Sequence[str],
    *,
    iou: float = 0.5,
    strict_iou: bool = False,
) -> list[Change]:
    """The differences between the detections that two runs show, image by image.

    Args:
        samples: the images, with annotations.
        first: detections of each image that reach the thresholds of the first run.
        second: detections of each image that reach the thresholds of the second run.
        class_names: the K classes.
        iou: overlap with an object from which a detection is right, by VOC's rule.
        strict_iou: whether the overlap must exceed ``iou``.
    """
    verdicts = [_verdicts(samples, found, class_names, iou, strict_iou) for found in (first, second)]
    listed: list[Change] = []
    for image, (one, other, was, now) in enumerate(zip(first, second, *verdicts, strict=True)):
        pairs = list(same_detections(one, other))
        gone = sorted(set(range(len(one))) - {row for row, _ in pairs})
        new = sorted(set(range(len(other))) - {row for _, row in pairs})
        listed += [Change("vanished", image, int(one.labels[row]), row, -1, was[row]) for row in gone]
        listed += [Change("appeared", image, int(other.labels[row]), -1, row, now[row]) for row in new]
        listed += [
            Change("turned", image, int(one.labels[a]), a, b, now[b])
            for a, b in pairs
            if was[a] != now[b] and IGNORED not in (was[a], now[b])
        ]
    return listed


def same_detections(first: Detections, second: Detections, iou: float = SAME_IOU) -> Iterator[tuple[int, int]]:
    """Pairs of rows of one class whose IoU is at least ``iou``: the largest IoU first, each row at most once."""
    overlaps = first.boxes.iou(second.boxes).numpy().copy()
    overlaps[first.labels.numpy()[:, None] != second.labels.numpy()] = -1
    while overlaps.size and overlaps.max() >= iou:
        row, column = map(int, np.unravel_index(overlaps.argmax(), overlaps.shape))
        overlaps[row], overlaps[:, column] = -1, -1
        yield row, column


def _verdicts(
    samples: Sequence[Sample],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    iou: float,
    strict_iou: bool,
) -> list[np.ndarray]:
    voc = VOC(class_names=class_names, strict_iou=strict_iou)
    for sample, found in zip(samples, detections, strict=True):
        voc.add(sample, found)
    return voc.verdicts(iou)
