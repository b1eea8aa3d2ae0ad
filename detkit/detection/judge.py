"""Detections of images with known objects, each marked right or wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from detkit.classifiers.base import Classifier
from detkit.detection.postprocess import Postprocess, finish, select
from detkit.detection.scorer import OneImage, RegionScorer
from detkit.evaluation.curves import Matches
from detkit.evaluation.voc import VOC
from detkit.progress import Progress
from detkit.regions.features import RegionFeatures
from detkit.regions.index import RegionIndex

CANDIDATES_PER_TRUTH = 30
"""Of each class so many regions are looked at, the best: some lie around each object, and only few are shown."""

HELD_CANDIDATES = 2_000_000
"""Candidates that are held before the worst of each class are let go."""


@dataclass(frozen=True, eq=False)
class Judge:
    """Images whose detections are marked right or wrong.

    Args:
        scorer: the layers that are read, and the box head.
        features: features of every region of the I images; ground-truth rows are no candidates.
        box_features: features of the same regions for the box head; only those of candidates are read.
        class_names: the K classes.
        settings: caps and suppression.
        new_crops: returns the image of a number, if the settings need new crops.
    """

    scorer: RegionScorer
    features: RegionFeatures
    box_features: RegionFeatures
    class_names: Sequence[str]
    settings: Postprocess
    new_crops: Callable[[int], OneImage] | None = None

    def matches(
        self, classifiers: Sequence[Classifier], fold: np.ndarray, progress: Progress | None = None
    ) -> list[Matches]:
        """The best detections of each class, as VOC counts them at IoU 0.5: difficult objects are ignored.

        They are made as in evaluation, except for the cap over the split: each class keeps ``CANDIDATES_PER_TRUTH``
        regions for each of its objects, before the box head and suppression.

        Args:
            classifiers: F classifiers.
            fold: (I,) int64 number of the classifier that scores each image.
            progress: updated after each image that was read.
        """
        index, layer, head = self.features.index, self.scorer.box_layer, self.scorer.box_head
        rows, labels, scores = self._candidates(classifiers, fold, progress)
        places = dict(index.by_image(rows.numpy()))
        candidates = [places.get(image, np.zeros(0, np.int64)) for image in range(index.num_images)]
        wanted = [(image, np.unique(rows[at])) for image, at in enumerate(candidates)]
        given = self.box_features.images(wanted, [layer]) if head.reads_features else iter(())
        voc = VOC(class_names=self.class_names)
        for image, (sample, at) in enumerate(zip(index.samples, candidates, strict=True)):
            own, own_labels, own_scores = rows[at], labels[at], scores[at]
            read = torch.zeros(len(at), 0)
            if head.reads_features:
                read = next(given)[1][layer][own.unique(return_inverse=True)[1]]
            scorer = replace(self.scorer, classifier=classifiers[int(fold[image])])
            new = None if self.new_crops is None else self.new_crops(image)
            boxes, last = scorer.iterated(index.boxes[own], read, own_labels, own_scores, self.settings, new)
            voc.add(sample, finish(boxes, last, own_labels, own, sample.size, self.settings))
        return voc.matches(0.5)

    def _candidates(
        self, classifiers: Sequence[Classifier], fold: np.ndarray, progress: Progress | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Index rows, labels and scores of the candidates, image by image."""
        index = self.features.index
        most = CANDIDATES_PER_TRUTH * _num_truths(index)
        found = [(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64), torch.zeros(0))]
        held = 0
        for image, values in self.features.source(self.scorer.classifier_layer).blocks():
            first = index.rows(image).start
            proposals = torch.from_numpy(np.flatnonzero(index.truth_label[index.rows(image)] < 0))
            rows, labels, scores = select(classifiers[int(fold[image])].score(values[proposals]), self.settings)
            found.append((first + proposals[rows], labels, scores))
            held += len(rows)
            if held > HELD_CANDIDATES:
                found = [_best(found, most)]
                held = len(found[0][0])
            if progress is not None:
                progress.update()
        return _best(found, most)


def _best(found: Sequence[tuple[Tensor, Tensor, Tensor]], most: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """The ``most`` best candidates of each class, in their original order."""
    rows, labels, scores = (torch.cat(column) for column in zip(*found, strict=True))
    kept = [torch.zeros(0, dtype=torch.int64)]
    for label, count in enumerate(most.tolist()):
        own = (labels == label).nonzero()[:, 0]
        kept.append(own[scores[own].argsort(descending=True, stable=True)[:count]])
    order = torch.cat(kept).sort().values
    return rows[order], labels[order], scores[order]


def _num_truths(index: RegionIndex) -> np.ndarray:
    """(K,) the ground truths of each class that count in evaluation; of one without any, one."""
    truths = [s.annotations for s in index.samples if s.annotations is not None]
    labels = [t.labels[~t.ignored].numpy() for t in truths]
    return np.bincount(np.concatenate([np.zeros(0, np.int64), *labels]), minlength=index.num_classes).clip(min=1)
