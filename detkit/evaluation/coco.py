"""COCO's twelve metrics."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from pycocotools import coco, cocoeval

from detkit.errors import DataError
from detkit.evaluation.base import Evaluator
from detkit.evaluation.bootstrap import Curves
from detkit.evaluation.curves import Matches, grid_ap
from detkit.registry import EVALUATORS
from detkit.structures import OTHER_CLASS, Boxes, Detections, Sample

NUMBERS = (
    "AP",
    "AP50",
    "AP75",
    "APsmall",
    "APmedium",
    "APlarge",
    "AR1",
    "AR10",
    "AR100",
    "ARsmall",
    "ARmedium",
    "ARlarge",
)


class _IgnoringEval(cocoeval.COCOeval):
    """pycocotools ignores crowds only; this one ignores all that need not be found."""

    def _prepare(self) -> None:
        super()._prepare()
        for truths in self._gts.values():
            for truth in truths:
                truth["ignore"] = truth["ignored"]


@EVALUATORS.register()
class COCO(Evaluator):
    """COCO's twelve metrics for boxes, computed by pycocotools.

    Objects that need not be found:
    - Detections inside a crowd are ignored, any number of them.
    - A difficult object, which COCO does not have, is left out of the recall, and the one detection that matches it by
      plain IoU is ignored.
    - An object of a class that is not selected is treated as a difficult object of every class.

    As in pycocotools, small, medium and large are by ``Annotations.area`` for ground truths and by the box for
    detections. Of equal scores the image with the lower id comes first, by number if all ids are numbers. The order of
    adding therefore does not matter.

    Args:
        class_names: the K classes.

    Example:
        >>> from pathlib import Path
        >>> from detkit.structures import Annotations, Boxes, Detections, Sample
        >>> evaluator = COCO(class_names=["cat", "dog"])
        >>> truths = Annotations.of(Boxes.of([[10, 10, 60, 60]]), [0])
        >>> found = Detections.of(Boxes.of([[12, 10, 60, 62], [0, 0, 30, 30]]), [0.9, 0.4], [0, 0])
        >>> evaluator.add(Sample("000001", Path("000001.jpg"), (100, 100), truths), found)
        >>> round(evaluator.compute()["COCO"]["AP50"], 3)
        1.0
    """

    version: ClassVar[int] = 2

    def __init__(self, *, class_names: Sequence[str]) -> None:
        self.class_names = tuple(class_names)
        self.reset()

    def reset(self) -> None:
        """Forgets every image."""
        self._image_ids: list[str] = []
        self._truths: list[dict[str, Any]] = []
        self._detections: list[dict[str, Any]] = []

    def add(self, sample: Sample, detections: Detections) -> None:
        """Adds one image."""
        truths = sample.annotations
        if truths is None:
            raise ValueError(f"image {sample.image_id} has no annotations; COCO needs the ground truth")
        self._image_ids.append(sample.image_id)
        columns = (truths.labels, truths.area, truths.ignored, truths.crowd)
        for box, label, area, ignored, crowd in zip(_xywh(truths.boxes), *(c.tolist() for c in columns)):
            for own in range(len(self.class_names)) if label == OTHER_CLASS else [label]:
                entry = self._entry(len(self._truths), box, own, area)
                self._truths.append(entry | {"iscrowd": int(crowd), "ignored": ignored})
        for box, label, score in zip(_xywh(detections.boxes), detections.labels.tolist(), detections.scores.tolist()):
            entry = self._entry(len(self._detections), box, label, max(box[2], 0) * max(box[3], 0))
            self._detections.append(entry | {"iscrowd": 0, "score": score})

    def compute(self) -> dict[str, dict[str, Any]]:
        """{"COCO": {"AP": fraction, "AP50": ...}}; None for a size without a ground truth."""
        if all(t["ignored"] for t in self._truths):
            raise DataError(
                f"COCO: no ground truth in {len(self._image_ids)} images that is neither difficult nor crowd; "
                f"expected objects of {', '.join(self.class_names)}; choose another split or check the class names"
            )
        evaluation = self._evaluated()
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation.accumulate()
            evaluation.summarize()
        return {"COCO": {n: None if v < 0 else float(v) for n, v in zip(NUMBERS, evaluation.stats)}}

    def curves(self) -> dict[str, Curves]:
        """{"COCO": curves of AP, the mean over ten thresholds, for objects of any size}."""
        evaluation = self._evaluated()
        row_of = np.argsort(self._rank())
        settings, num_images = evaluation.params, len(self._image_ids)
        step = len(settings.areaRng) * num_images  # results lie by class, then by size, then by image
        matches: list[list[Matches]] = [[] for _ in settings.iouThrs]
        for start in range(0, step * len(self.class_names), step):
            own = [(row_of[i], one) for i, one in enumerate(evaluation.evalImgs[start : start + num_images]) if one]
            truths = np.zeros(num_images, np.int64)
            truths[[row for row, _ in own]] = [int((one["gtIgnore"] == 0).sum()) for _, one in own]
            images = np.repeat(*np.array([(row, len(one["dtScores"])) for row, one in own], np.int64).reshape(-1, 2).T)
            scores = np.concatenate([np.zeros(0), *(one["dtScores"] for _, one in own)])
            order = np.argsort(-scores, kind="stable")
            for threshold, found in enumerate(matches):
                hits, ignored = (
                    np.concatenate([np.zeros(0, bool), *(one[key][threshold] > 0 for _, one in own)])
                    for key in ("dtMatches", "dtIgnore")
                )
                rows = order[~ignored[order]]
                found.append(Matches(scores[rows], hits[rows], images[rows], truths))
        return {"COCO": Curves(matches, partial(grid_ap, grid=settings.recThrs))}

    def _evaluated(self) -> cocoeval.COCOeval:
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = _IgnoringEval(self._index(self._truths), self._index(self._detections), "bbox")
            evaluation.evaluate()
        return evaluation

    def _entry(self, position: int, box: list[float], label: int, area: float) -> dict[str, Any]:
        # pycocotools takes id 0 for "not matched", so ids start at 1.
        return {
            "id": position + 1,
            "image_id": len(self._image_ids) - 1,
            "category_id": label,
            "bbox": box,
            "area": area,
        }

    def _index(self, entries: list[dict[str, Any]]) -> coco.COCO:
        rank = self._rank()
        index = coco.COCO()
        index.dataset = {
            "images": [{"id": i} for i in range(len(rank))],
            "categories": [{"id": k, "name": name} for k, name in enumerate(self.class_names)],
            "annotations": [entry | {"image_id": rank[entry["image_id"]]} for entry in entries],
        }
        index.createIndex()
        return index

    def _rank(self) -> list[int]:
        """The place of each image, as it was added, in the order of the ids."""
        ids = self._image_ids
        by_number = all(i.isdecimal() for i in ids)
        order = sorted(range(len(ids)), key=lambda row: int(ids[row]) if by_number else ids[row])
        return np.argsort(order).tolist()


def _xywh(boxes: Boxes) -> list[list[float]]:
    corners = boxes.numpy().astype(np.float64)
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1).tolist()
