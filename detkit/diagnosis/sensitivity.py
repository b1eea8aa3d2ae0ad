"""The dependence of AP on the size, the shape and the truncation of objects, after Hoiem et al."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from detkit.diagnosis.hoiem import SHARE_OF_IMAGES, STRONG, match_classes
from detkit.diagnosis.normalized import NormalizedAP, normalized_ap
from detkit.diagnosis.outcome import Outcome

SIZES = ("XS", "S", "M", "L", "XL")
ASPECTS = ("XT", "T", "M", "W", "XW")
TRUNCATIONS = ("N", "T")
QUANTILES = np.array([1, 3, 7, 9]) / 10
LEAST_OBJECTS = 5
"""A bin with fewer objects is left out of the best and the worst."""


@dataclass(frozen=True, eq=False)
class Characteristic:
    """AP of one class by one property of its objects.

    Args:
        bins: AP by bin, smallest first: extra small to extra large, extra tall to extra wide, or N and T for whole and
            truncated objects. For a bin, objects of other bins are neither right nor missed.
        best: the largest normalised AP of a bin with at least 5 objects; None if no bin has so many.
        worst: the smallest normalised AP of such a bin.
        sensitivity: best - worst.
        impact: best - normalised AP of all objects.
    """

    bins: Mapping[str, NormalizedAP]
    best: float | None
    worst: float | None
    sensitivity: float | None
    impact: float | None


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """The properties of one class's objects.

    Args:
        class_name: name of the class.
        all: AP of all its objects.
        characteristics: results by property: "area", "height", "aspect" (width / height), and "truncation" if the data
            set gives it for every object.
    """

    class_name: str
    all: NormalizedAP
    characteristics: Mapping[str, Characteristic]


def sensitivity(outcome: Outcome) -> tuple[Sensitivity, ...]:
    """AP of the bins of each class.

    Bins end at the 10, 30, 70 and 90 percentiles of the class's objects that are not difficult.
    Source: Hoiem, Chodpathumwan and Dai, 2012, section 4; analyzeTrueDetections.m.
    """
    strong = match_classes(outcome, STRONG)
    sides = outcome.truth_boxes[:, 2:] - outcome.truth_boxes[:, :2]
    with np.errstate(divide="ignore", invalid="ignore"):
        values = {"area": (sides.prod(1), SIZES), "height": (sides[:, 1], SIZES)}
        values["aspect"] = (sides[:, 0] / sides[:, 1], ASPECTS)
    normal = SHARE_OF_IMAGES * outcome.num_images
    found = []
    for label, name in enumerate(outcome.class_names):
        rows = outcome.order[outcome.det_labels[outcome.order] == label]
        labels, taken = strong.labels[rows], strong.truth[rows]
        truths = np.flatnonzero((outcome.truth_labels == label) & ~outcome.ignored)
        everything = normalized_ap(labels, len(truths), normal)
        binned: dict[str, tuple[np.ndarray, tuple[str, ...]]] = {
            key: (_bins(value[truths]), names) for key, (value, names) in values.items()
        }
        if len(truths) and (outcome.truncated[truths] >= 0).all():
            binned["truncation"] = (outcome.truncated[truths], TRUNCATIONS)
        own = {}
        for key, (places, names) in binned.items():
            place = np.full(len(outcome.truth_labels) + 1, -1)  # the last one is of what took nothing
            place[truths] = places
            parts = {}
            for number, bin_name in enumerate(names):
                outside = (labels == 1) & (place[taken] != number)
                counted = int((place == number).sum())
                parts[bin_name] = normalized_ap(np.where(outside, 0, labels), counted, normal)
            own[key] = _characteristic(parts, everything)
        found.append(Sensitivity(name, everything, own))
    return tuple(found)


def _bins(values: np.ndarray) -> np.ndarray:
    """(n,) from 0 to 4; with too few values for a first percentile all are in the middle."""
    places = np.floor(QUANTILES * len(values) + 0.5).astype(int)
    if len(values) == 0 or places[0] == 0:
        return np.full(len(values), 2)
    limits = np.sort(values)[places - 1]
    found: np.ndarray = (values[:, None] > limits).sum(1)
    return found


def _characteristic(parts: Mapping[str, NormalizedAP], everything: NormalizedAP) -> Characteristic:
    known = [part.apn for part in parts.values() if part.num_truths >= LEAST_OBJECTS]
    if not known:
        return Characteristic(parts, None, None, None, None)
    best, worst = max(known), min(known)
    return Characteristic(parts, best, worst, best - worst, best - everything.apn)
