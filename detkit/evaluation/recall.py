"""The recall of proposals."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np

from detkit.config.ranges import Fraction, Positive
from detkit.errors import ConfigError, DataError
from detkit.evaluation.base import Evaluator
from detkit.registry import EVALUATORS
from detkit.structures import Detections, Sample


@EVALUATORS.register()
class ProposalRecall(Evaluator):
    """The share of objects that a proposal overlaps enough, by IoU and by number of proposals; classes do not matter.

    Difficult objects, crowds and objects of classes that are not selected are left out.

    The first n proposals of an image are those of the highest objectness. Proposals of equal objectness come in a
    random order, which depends on SEED and the image id. A generator that does not rank is therefore evaluated on a
    random choice of n, never on the order of its boxes.

    Args:
        class_names: the K classes.
        thresholds: IoU thresholds of recall; AR is the mean over them.
        counts: numbers of proposals for which all figures are reported, in addition to all proposals.
        strict: whether the IoU must exceed the threshold, as in the authors' script of selective search; R-CNN's
            script accepts equality.
        seed: seed of the order of equal objectness.

    Raises:
        ConfigError: if there is no threshold.

    Source: Uijlings et al., section 5 (ABO, MABO); Hosang et al., PAMI 2016 (AR).

    Example:
        >>> from pathlib import Path
        >>> from detkit.structures import Annotations, Boxes, Detections, Sample
        >>> evaluator = ProposalRecall(class_names=["cat"])
        >>> truths = Annotations.of(Boxes.of([[0, 0, 10, 10]]), [0])
        >>> proposals = Detections.of(Boxes.of([[0, 0, 10, 8]]), [1.0], [0])  # its IoU is 0.8
        >>> evaluator.add(Sample("000001", Path("000001.jpg"), (100, 100), truths), proposals)
        >>> recall = evaluator.compute()["ProposalRecall"]["recall"]
        >>> recall["0.75"], recall["0.85"]
        (1.0, 0.0)
    """

    version: ClassVar[int] = 2
    judges_proposals = True

    def __init__(
        self,
        *,
        class_names: Sequence[str],
        thresholds: tuple[Annotated[float, Fraction], ...] = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95),
        counts: tuple[Annotated[int, Positive], ...] = (10, 100, 500, 1000, 2000),
        strict: bool = False,
        seed: int = 0,
    ) -> None:
        if not thresholds:
            raise ConfigError("ProposalRecall.THRESHOLDS: [] is not allowed; give at least one IoU")
        self.class_names = tuple(class_names)
        self.thresholds = tuple(thresholds)
        self.counts = tuple(counts)
        self.strict = strict
        self.seed = seed
        self.reset()

    def reset(self) -> None:
        """Forgets every image."""
        self._labels: list[np.ndarray] = []
        self._best: list[np.ndarray] = []
        self._num_boxes: list[int] = []

    def add(self, sample: Sample, detections: Detections) -> None:
        """Adds all proposals of one image. Scores are objectness; labels are not used."""
        truths = sample.annotations
        if truths is None:
            raise ValueError(f"image {sample.image_id} has no annotations; ProposalRecall needs the ground truth")
        truths = truths[~truths.ignored]
        order = self.order(sample.image_id, detections.scores.numpy())
        overlaps = truths.boxes.iou(detections.boxes[order]).numpy()
        cuts = [overlaps[:, :count] for count in self.counts] + [overlaps]
        self._best.append(np.stack([cut.max(1, initial=0.0) for cut in cuts], axis=1))
        self._labels.append(truths.labels.numpy())
        self._num_boxes.append(len(detections))

    def compute(self) -> dict[str, dict[str, Any]]:
        """All figures as fractions; None for a class without ground truth.

        {"ProposalRecall": {"recall": {"0.5": .., ..}, "AR", "ABO": {class: ..}, "MABO", "boxes_per_image",
        "num_truths", "by_count": {"10": {"recall", "AR", "ABO", "MABO"}, ..}}}
        """
        labels = np.concatenate([np.zeros(0, np.int64), *self._labels])
        if len(labels) == 0:
            raise DataError(
                f"ProposalRecall: no ground truth in {len(self._labels)} images that is neither difficult nor a crowd; "
                "choose another split or check the class names"
            )
        best = np.concatenate(self._best)
        return {
            "ProposalRecall": {
                **self._summary(best[:, -1], labels),
                "boxes_per_image": float(np.mean(self._num_boxes)),
                "num_truths": len(labels),
                "by_count": {str(n): self._summary(best[:, i], labels) for i, n in enumerate(self.counts)},
            }
        }

    def _summary(self, best: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
        """All figures for (M,) best overlaps of truths with (M,) labels."""
        reaches = np.greater if self.strict else np.greater_equal
        recall = {f"{t:g}": float(reaches(best, t).mean()) for t in self.thresholds}
        per_class = [best[labels == k] for k in range(len(self.class_names))]
        average = {
            name: float(own.mean()) if len(own) else None for name, own in zip(self.class_names, per_class, strict=True)
        }
        known = [value for value in average.values() if value is not None]
        return {
            "recall": recall,
            "AR": float(np.mean(list(recall.values()))),
            "ABO": average,
            "MABO": float(np.mean(known)),
        }

    def order(self, image_id: str, objectness: np.ndarray) -> np.ndarray:
        """(N,) rows of an image's proposals by falling objectness. Seed and image id fix the order of equals.

        Args:
            image_id: id of the image.
            objectness: (N,) objectness of the proposals.
        """
        digest = hashlib.blake2b(f"{self.seed}:{image_id}".encode(), digest_size=16).digest()
        shuffled = np.random.default_rng(int.from_bytes(digest, "big")).permutation(len(objectness))
        return shuffled[np.argsort(-objectness[shuffled], kind="stable")]
