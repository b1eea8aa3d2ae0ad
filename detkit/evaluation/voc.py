"""PASCAL VOC's average precision."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np

from detkit.config.ranges import Fraction, NonNegative
from detkit.errors import ConfigError, DataError
from detkit.evaluation.base import Evaluator
from detkit.evaluation.bootstrap import Curves, Measure, map_interval
from detkit.evaluation.curves import Matches, area_ap, grid_ap
from detkit.registry import EVALUATORS
from detkit.structures import OTHER_CLASS, Detections, Sample

GRIDS = {"numpy": np.arange(0, 1.1, 0.1), "exact": np.arange(11) / 10}
RIGHT, WRONG, IGNORED = "right", "wrong", "ignored"
"""What becomes of a detection: it finds an object, it does not, or it is on one that need not be found."""


@EVALUATORS.register()
class VOC(Evaluator):
    """Average precision of VOC2007 (11 recall levels) and of VOC2010 (area), at one or several IoU thresholds.

    Each detection is compared with the one ground truth of its class that it overlaps most, difficult ones included:
    - It is wrong if the overlap is too small, or if a better detection has found the object already.
    - It is ignored if the object is difficult or a crowd.
    - Otherwise it is right.

    An object of a class that is not selected is treated as a difficult object of every class. Of equal scores, the
    image that was added first comes first, then the lower row.

    IoU is computed in double precision on exclusive pixels. On whole pixels this equals the development kit's "+1" on
    inclusive pixels.
    Source: VOCevaldet.m.

    Args:
        class_names: the K classes.
        iou: IoU thresholds from which an object counts as found. Metrics at 0.5 are called VOC07 and VOC10, those at
            others VOC07@0.7 and so on.
        grid: recall levels of VOC2007. "numpy": the doubles of arange(0, 1.1, 0.1), as in published Python figures;
            they lie a little above 0.3, 0.6 and 0.7. "exact": the tenths.
        strict_iou: whether the overlap must exceed the threshold; the development kit accepts equality.
        draws: number of bootstrap draws of the test images, with replacement, for the 95 % interval of mAP; 0 computes
            no interval, 1000 is usual.

    Raises:
        ConfigError: if there is no IoU threshold, or one is repeated.

    Example:
        >>> from pathlib import Path
        >>> from detkit.structures import Annotations, Boxes, Detections, Sample
        >>> evaluator = VOC(class_names=["cat", "dog"])
        >>> truths = Annotations.of(Boxes.of([[10, 10, 60, 60]]), [0])
        >>> found = Detections.of(Boxes.of([[12, 10, 60, 62], [0, 0, 30, 30]]), [0.9, 0.4], [0, 0])
        >>> evaluator.add(Sample("000001", Path("000001.jpg"), (100, 100), truths), found)
        >>> evaluator.compute()["VOC07"]
        {'mAP': 1.0, 'AP': {'cat': 1.0, 'dog': None}}
    """

    def __init__(
        self,
        *,
        class_names: Sequence[str],
        iou: tuple[Annotated[float, Fraction], ...] = (0.5,),
        grid: Literal["numpy", "exact"] = "numpy",
        strict_iou: bool = False,
        draws: Annotated[int, NonNegative] = 0,
    ) -> None:
        if not iou or len(set(iou)) < len(iou):
            raise ConfigError(
                f"EVALUATION.VOC.IOU: {list(iou)} is not allowed; give one threshold or several different ones"
            )
        self.class_names, self.iou, self.grid, self.strict_iou = tuple(class_names), tuple(iou), grid, strict_iou
        self.draws = draws
        self.reset()

    def reset(self) -> None:
        """Forgets every image."""
        self._detections: list[np.ndarray] = []
        self._truths: list[np.ndarray] = []
        self._num_seen = 0

    def add(self, sample: Sample, detections: Detections) -> None:
        """Adds one image."""
        truths = sample.annotations
        if truths is None:
            raise ValueError(f"image {sample.image_id} has no annotations; VOC needs the ground truth")
        ignored = truths.ignored.numpy()
        labels = truths.labels.numpy()
        self._truths.append(np.bincount(labels[~ignored], minlength=len(self.class_names)))
        found = np.zeros(len(detections), dtype=_FOUND)
        found["score"], found["label"] = detections.scores.numpy(), detections.labels.numpy()
        overlaps = detections.boxes.iou(truths.boxes).numpy()
        overlaps[(found["label"][:, None] != labels[None]) & (labels[None] != OTHER_CLASS)] = -1
        if len(labels):
            best = overlaps.argmax(1)
            found["iou"], found["ignored"] = overlaps.max(1), ignored[best]
            found["truth"] = best + self._num_seen
        else:
            found["iou"] = -1
        found["image"] = len(self._detections)
        self._num_seen += len(labels)
        self._detections.append(found)

    def compute(self) -> dict[str, dict[str, Any]]:
        """{"VOC07": {"mAP": fraction, "AP": {class: fraction, or None without ground truth}}, "VOC10": the same}.

        With ``draws``, ``interval`` holds the ends of the 95 % interval of mAP; see ``map_interval``.
        """
        if not any(truths.any() for truths in self._truths):
            raise DataError(
                f"VOC: no ground truth in {len(self._detections)} images that is not difficult; "
                f"expected objects of {', '.join(self.class_names)}; choose another split or check the class names"
            )
        return {name: self._summary(own.matches[0], own.measure) for name, own in self.curves().items()}

    def curves(self) -> dict[str, Curves]:
        """The curves of VOC07 and VOC10 at each threshold."""
        curves: dict[str, Curves] = {}
        for iou in self.iou:
            matches, suffix = self.matches(iou), "" if iou == 0.5 else f"@{iou}"
            curves["VOC07" + suffix] = Curves([matches], partial(grid_ap, grid=GRIDS[self.grid]))
            curves["VOC10" + suffix] = Curves([matches], area_ap)
        return curves

    def matches(self, iou: float) -> list[Matches]:
        """The detections of each class that count, at one threshold."""
        found, hits, counts, _ = self._judged(iou)
        truths = np.array(self._truths, np.int64).reshape(-1, len(self.class_names))
        of_class = (np.flatnonzero(counts & (found["label"] == k)) for k in range(len(self.class_names)))
        return [
            Matches(found["score"][rows], hits[rows], found["image"][rows], truths[:, k])
            for k, rows in enumerate(of_class)
        ]

    def verdicts(self, iou: float) -> list[np.ndarray]:
        """The verdicts on the detections of each image, in the order of adding, at one threshold.

        Returns:
            For each image (N,) of RIGHT, WRONG and IGNORED.
        """
        _, hits, counts, order = self._judged(iou)
        verdicts = np.empty(len(order), object)
        verdicts[order] = np.where(hits, RIGHT, np.where(counts, WRONG, IGNORED))
        return np.split(verdicts, np.cumsum([len(own) for own in self._detections])[:-1])

    def _judged(self, iou: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """All detections best first, which of them are hits, which count, and the row of each as it was added."""
        found = np.concatenate([*self._detections, np.zeros(0, dtype=_FOUND)])
        order = np.argsort(-found["score"], kind="stable")
        found = found[order]
        reaches = found["iou"] > iou if self.strict_iou else found["iou"] >= iou
        hits = np.zeros(len(found), dtype=bool)
        candidates = np.flatnonzero(reaches & ~found["ignored"])
        hits[candidates[np.unique(found["truth"][candidates], return_index=True)[1]]] = True
        return found, hits, ~(reaches & found["ignored"]), order

    def _summary(self, matches: Sequence[Matches], measure: Measure) -> dict[str, Any]:
        ap = [float(measure(*m.curve())) if m.num_truths else None for m in matches]
        summary = {"mAP": float(np.mean([a for a in ap if a is not None])), "AP": dict(zip(self.class_names, ap))}
        if self.draws:
            drawn = map_interval(matches, measure, draws=self.draws)
            summary["interval"] = [drawn.low, drawn.high]
        return summary


_FOUND = np.dtype(
    [
        ("score", np.float64),
        ("label", np.int64),
        ("image", np.int64),
        ("iou", np.float64),
        ("truth", np.int64),
        ("ignored", bool),
    ]
)
