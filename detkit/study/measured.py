"""The evaluated detections of a run, which can be compared with those of another run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from detkit.errors import DataError
from detkit.evaluation.bootstrap import Interval, Measure, map_interval, paired_interval
from detkit.evaluation.curves import Matches, grid_ap
from detkit.evaluation.voc import GRIDS, VOC
from detkit.run.kinds import DETECTIONS, DETECTIONS_FILE, UNREFINED_FILE
from detkit.run.runner import Run
from detkit.stages.detect import load_detections
from detkit.structures import Annotations, Sample


@dataclass(frozen=True, eq=False)
class Measured:
    """The detections of a test split as VOC counts them.

    Args:
        matches: matches of each class.
        measure: computes AP of a curve, on VOC2007's levels of recall.
    """

    matches: Sequence[Matches]
    measure: Measure

    @property
    def mean_ap(self) -> float:
        """Mean AP in percent over the classes that have a ground truth."""
        return 100 * float(np.mean([self.measure(*m.curve()) for m in self.matches if m.num_truths]))

    def interval(self) -> Interval:
        """Mean AP in percent, with its bootstrap interval over the test images."""
        return in_percent(map_interval(self.matches, self.measure))


def measure(run: Run, *, refined: bool, iou: float = 0.5, role: str = "TEST") -> Measured:
    """Evaluates the detections of a finished run.

    Args:
        run: a run with a finished step of detections.
        refined: whether to take the detections after the box head or before it.
        iou: IoU from which an object counts as found.
        role: role of the split.

    Raises:
        DataError: if a test image has no annotations.
    """
    step = run.last(DETECTIONS, role)
    assert step is not None
    folder = run.result(step)
    assert folder is not None, "the run is finished"
    settings = run.config.EVALUATION.VOC
    dataset = run.datasets(role)
    voc = VOC(class_names=dataset.class_names, iou=(iou,), grid=settings.GRID, strict_iou=settings.STRICT_IOU)
    found = load_detections(folder / (DETECTIONS_FILE if refined else UNREFINED_FILE))
    for sample, own in zip(dataset, found, strict=True):
        truths_of(sample)
        voc.add(sample, own)
    return Measured(voc.matches(iou), partial(grid_ap, grid=GRIDS[settings.GRID]))


def truths_of(sample: Sample) -> Annotations:
    """The ground truths of a test image.

    Raises:
        DataError: if it has no annotations.
    """
    if sample.annotations is None:
        raise DataError(f"image {sample.image_id}: the test split has no annotations, so nothing can be compared")
    return sample.annotations


def difference(first: Measured, second: Measured) -> Interval:
    """Mean AP of the first minus that of the second, in percent points, on the same draws of the evaluated images."""
    return in_percent(paired_interval(second.matches, first.matches, first.measure))


def in_percent(interval: Interval) -> Interval:
    """An interval of fractions in percent."""
    return Interval(*(100 * value for value in (interval.value, interval.low, interval.high)))
