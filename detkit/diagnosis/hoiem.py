"""Kinds of false positives and the AP that each costs, after Hoiem, Chodpathumwan and Dai.

Source: Diagnosing error in object detectors, ECCV 2012, with its released code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detkit.diagnosis.matching import first_free
from detkit.diagnosis.normalized import NormalizedAP, normalized_ap
from detkit.diagnosis.outcome import Outcome

STRONG, WEAK = 0.5, 0.1
SHARE_OF_IMAGES = 0.15
"""Times the number of images, the objects that precision is normalised to."""

KINDS = ("Loc", "Sim", "Oth", "BG")
"""Localisation, similar class, other class, background: the kinds of false positives, in the order of their tests."""
RIGHT, IGNORED, LOC, SIM, OTH, BG = range(6)
"""Codes of ``Hoiem.kinds``."""

TREND = (25, 50, 100, 200, 400, 800, 1600, 3200)
"""Numbers of false positives over all classes at which the mix is shown."""

VOC_GROUPS: tuple[tuple[str, ...], ...] = (
    ("bird", "cat", "cow", "dog", "horse", "person", "sheep"),
    ("aeroplane", "boat", "bus", "car", "train", "bicycle", "motorbike"),
    ("bicycle", "motorbike"),
    ("chair", "diningtable", "sofa"),
    ("aeroplane", "bird"),
)
"""Two classes of VOC are similar when a group holds both."""
VOC_CLASSES = frozenset(name for group in VOC_GROUPS for name in group) | {"bottle", "pottedplant", "tvmonitor"}


@dataclass(frozen=True, eq=False)
class HoiemClass:
    """The analysis of one class.

    Args:
        class_name: name of the class.
        num_truths: number of objects that count, N.
        top: counts of {"right", "Loc", "Sim", "Oth", "BG"} among the N best detections; right includes ignored ones.
        all: AP of the class.
        impact: AP after the correction of one kind of error: "without Loc", "Loc right" (each badly placed detection
            counts once as right), "without Sim", "without Oth", "without BG", "without Oth and BG".
    """

    class_name: str
    num_truths: int
    top: Mapping[str, int]
    all: NormalizedAP
    impact: Mapping[str, NormalizedAP]


@dataclass(frozen=True, eq=False)
class Hoiem:
    """False positives by kind.

    Args:
        kinds: (D,) int8 kind of each detection: RIGHT, IGNORED, LOC, SIM, OTH or BG.
        groups: groups of similar classes; without any, no error is "Sim".
        normal: the number of objects N to which precision is normalised.
        classes: the analysis of each class.
        trend_at: numbers n of best false positives, as far as there are so many.
        trend: (len(trend_at), 4) counts of each of KINDS among the n best false positives.
    """

    kinds: np.ndarray
    groups: tuple[tuple[str, ...], ...]
    normal: float
    classes: tuple[HoiemClass, ...]
    trend_at: tuple[int, ...]
    trend: np.ndarray


@dataclass(frozen=True, eq=False)
class StrongMatch:
    """The matching of each class's detections at one IoU: each takes the best free ground truth.

    Args:
        labels: (D,) int8: 1 right, 0 ignored (it took a difficult object), -1 wrong.
        truth: (D,) int64 the ground truth that it took, -1 for none.
        largest: (D,) float64 its largest overlap with any ground truth of its class.
    """

    labels: np.ndarray
    truth: np.ndarray
    largest: np.ndarray


def similar_groups(
    class_names: Sequence[str], groups: Sequence[Sequence[str]] | None = None
) -> tuple[tuple[str, ...], ...]:
    """The groups of similar classes: the given ones, else VOC's if all classes are VOC's, else none.

    Raises:
        ValueError: if a group names an unknown class.
    """
    if groups is not None:
        unknown = sorted({name for group in groups for name in group} - set(class_names))
        if unknown:
            raise ValueError(f"similar classes: no class {unknown[0]!r}; expected some of {', '.join(class_names)}")
        return tuple(tuple(group) for group in groups)
    return VOC_GROUPS if set(class_names) <= VOC_CLASSES else ()


def hoiem(outcome: Outcome, groups: Sequence[Sequence[str]] | None = None) -> Hoiem:
    """Hoiem's analysis of false positives.

    All figures here use the tests of the authors' code in turn, which accept any object of a similar class. Their chart
    of the best detections differs: it uses the object of largest overlap.

    Args:
        outcome: detections and ground truths.
        groups: names of similar classes; None takes VOC's groups for VOC's classes.
    """
    known = similar_groups(outcome.class_names, groups)
    strong, weak = match_classes(outcome, STRONG), match_classes(outcome, WEAK)
    kinds = _kinds(outcome, strong, _similar(outcome.class_names, known))
    normal = SHARE_OF_IMAGES * outcome.num_images
    classes = tuple(_of_class(outcome, label, kinds, strong, weak, normal) for label in range(outcome.num_classes))
    wrong = kinds[outcome.order]
    wrong = wrong[wrong >= LOC]
    at = tuple(count for count in TREND if count <= len(wrong))
    trend = np.array([np.bincount(wrong[:n] - LOC, minlength=len(KINDS)) for n in at], np.int64).reshape(-1, 4)
    return Hoiem(kinds, known, normal, classes, at, trend)


def match_classes(outcome: Outcome, iou: float) -> StrongMatch:
    """Each detection, best first, takes the free ground truth of its class with the largest overlap.

    Difficult objects, crowds and objects of a class that is not selected are taken as well; such a detection is
    ignored.
    """
    pairs = outcome.overlaps[outcome.own_class]
    largest = np.zeros(len(outcome.det_scores))
    np.maximum.at(largest, pairs.det, pairs.iou)
    close = pairs[pairs.iou >= iou]
    truth = first_free(close[np.lexsort((close.truth, -close.iou, outcome.rank[close.det]))], outcome)
    labels = np.full(len(largest), -1, np.int8)
    found = truth >= 0
    labels[found] = np.where(outcome.ignored[truth[found]], 0, 1)
    return StrongMatch(labels, truth, largest)


def _similar(class_names: Sequence[str], groups: Sequence[Sequence[str]]) -> np.ndarray:
    """(K, K) bool: two different classes that a group holds both."""
    member = np.array([[name in group for group in groups] for name in class_names], int).reshape(len(class_names), -1)
    similar: np.ndarray = (member @ member.T > 0) & ~np.eye(len(class_names), dtype=bool)
    return similar


def _kinds(outcome: Outcome, strong: StrongMatch, similar: np.ndarray) -> np.ndarray:
    pairs = outcome.overlaps
    asked = (pairs.iou >= WEAK) & (outcome.truth_labels[pairs.truth] >= 0)
    det, own = pairs.det[asked], outcome.det_labels[pairs.det[asked]]
    other = outcome.truth_labels[pairs.truth[asked]]
    near_similar, near_other = (np.zeros(len(strong.labels), bool) for _ in range(2))
    near_similar[det[similar[own, other]]] = True
    near_other[det[own != other]] = True
    conditions = [strong.labels == 1, strong.labels == 0, strong.largest >= WEAK, near_similar, near_other]
    return np.select(conditions, [RIGHT, IGNORED, LOC, SIM, OTH], BG).astype(np.int8)


def _of_class(
    outcome: Outcome, label: int, kinds: np.ndarray, strong: StrongMatch, weak: StrongMatch, normal: float
) -> HoiemClass:
    rows = outcome.order[outcome.det_labels[outcome.order] == label]
    own, labels, count = kinds[rows], strong.labels[rows], int(outcome.num_truths[label])

    def without(*gone: int) -> NormalizedAP:
        return normalized_ap(labels[~np.isin(own, gone)], count, normal)

    placed = weak.labels[rows].copy()
    again = (placed == -1) & (weak.largest[rows] >= WEAK)
    impact = {
        "without Loc": without(LOC),
        "Loc right": normalized_ap(placed[~again], count, normal),
        "without Sim": without(SIM),
        "without Oth": without(OTH),
        "without BG": without(BG),
        "without Oth and BG": without(OTH, BG),
    }
    best = own[:count]
    top = {"right": int((best < LOC).sum())}
    top |= {kind: int((best == LOC + place).sum()) for place, kind in enumerate(KINDS)}
    return HoiemClass(outcome.class_names[label], count, top, normalized_ap(labels, count, normal), impact)
