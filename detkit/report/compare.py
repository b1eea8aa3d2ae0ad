"""Comparison of two detectors on the same images: their AP and their detections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.diagnosis.plain import plain
from detkit.errors import ConfigError
from detkit.evaluation.bootstrap import DRAWS, PairedAPs, paired_aps
from detkit.evaluation.changes import Change, changes
from detkit.registry import EVALUATORS
from detkit.stages.evaluate import Evaluate, judged
from detkit.structures import Detections, Sample


@dataclass(frozen=True, eq=False)
class Side:
    """The detections of one detector.

    Args:
        name: the run's folder or the detection file.
        detections: all detections of each image.
        thresholds: (K,) float32 the score from which each class is shown.
        source: origin of the thresholds.
    """

    name: str
    detections: Sequence[Detections]
    thresholds: Tensor
    source: str

    def shown(self) -> list[Detections]:
        """The detections of each image that reach their class's threshold."""
        return [found[found.scores >= self.thresholds[found.labels]] for found in self.detections]


@dataclass(frozen=True, eq=False)
class ComparedDetectors:
    """The comparison of two detectors.

    Args:
        samples: the images, with annotations.
        class_names: the K classes.
        sides: both detectors.
        shown: the detections of each image that each detector shows.
        aps: AP of both, by metric.
        changes: the detections that differ.
    """

    samples: Sequence[Sample]
    class_names: Sequence[str]
    sides: tuple[Side, Side]
    shown: tuple[Sequence[Detections], Sequence[Detections]]
    aps: Mapping[str, PairedAPs]
    changes: Sequence[Change]

    def most_changed(self, most: int) -> list[tuple[int, int]]:
        """(position, number of changes) of the images with the most changes; the first image wins a tie."""
        return Counter(change.image for change in self.changes).most_common(most)

    def plain(self, settings: Sequence[tuple[str, Any, Any]] = ()) -> dict[str, Any]:
        """The comparison as JSON values. Boxes are x1 y1 x2 y2 in pixels, x2 and y2 exclusive.

        A threshold that no score reaches is None.

        Args:
            settings: (key, first, second) of the settings that differ.
        """
        names = self.class_names
        runs = [
            {
                "name": side.name,
                "thresholds": dict(zip(names, side.thresholds.tolist())),
                "thresholds_from": side.source,
            }
            for side in self.sides
        ]
        metrics = {
            metric: {
                "mAP": asdict(aps.mean),
                "AP": {name: asdict(own) if own else None for name, own in zip(names, aps.classes, strict=True)},
            }
            for metric, aps in self.aps.items()
        }
        return plain(
            {
                "runs": runs,
                "settings": [{"key": key, "first": a, "second": b} for key, a, b in settings],
                "num_images": len(self.samples),
                "metrics": metrics,
                "changes": [self._plain(change) for change in self.changes],
            }
        )

    def _plain(self, change: Change) -> dict[str, Any]:
        found: dict[str, Any] = {"image": self.samples[change.image].image_id, "class": self.class_names[change.label]}
        for key, row, shown in zip(("first", "second"), (change.first, change.second), self.shown, strict=True):
            if row >= 0:
                own = shown[change.image]
                found[key] = {"box": own.boxes.tensor[row].tolist(), "score": float(own.scores[row])}
        return {"kind": change.kind, "verdict": change.verdict, **found}


def compare(config: Config, dataset: Dataset, first: Side, second: Side) -> ComparedDetectors:
    """Compares two detectors on one data set.

    Args:
        config: EVALUATORS and EVALUATION select the AP; EVALUATION.VOC.DRAWS is the number of draws, 1,000 if it is 0.
        dataset: the images with their annotations.
        first: the first detector.
        second: the second detector.

    Raises:
        ConfigError: if no evaluator gives an AP by class.
        DataError: if the split has no annotations, or no ground truth to evaluate on.
    """
    Evaluate().check_data(config, {"TEST": dataset})
    aps: dict[str, PairedAPs] = {}
    for name in (name for name in config.EVALUATORS if not EVALUATORS.get(name).judges_proposals):
        one, other = (judged(config, name, dataset, side.detections).curves() for side in (first, second))
        aps |= {key: paired_aps(one[key], other[key], draws=config.EVALUATION.VOC.DRAWS or DRAWS) for key in one}
    if not aps:
        raise ConfigError(f"EVALUATORS: {config.EVALUATORS} give no AP by class; add VOC or COCO")
    shown = (first.shown(), second.shown())
    listed = changes(list(dataset), *shown, dataset.class_names, strict_iou=config.EVALUATION.VOC.STRICT_IOU)
    return ComparedDetectors(list(dataset), dataset.class_names, (first, second), shown, aps, listed)
