"""A comparison as text and as a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from detkit.data.images import sample_image
from detkit.errors import one_line
from detkit.evaluation.bootstrap import Paired, PairedAPs
from detkit.evaluation.changes import KINDS
from detkit.evaluation.table import aligned
from detkit.evaluation.voc import RIGHT, WRONG
from detkit.report.compare import ComparedDetectors
from detkit.run.last_run import shown_setting
from detkit.visualize import picture_grid

MOST = 6
"""Images on the sheet, and in the list of those that changed most."""
BOXES = 12
"""Boxes of a picture, the best."""


def comparison_text(found: ComparedDetectors, settings: Sequence[tuple[str, Any, Any]] = ()) -> str:
    """The text of a comparison: differing settings, AP, thresholds, changes by class, images with most changes.

    Args:
        found: the comparison.
        settings: (key, first, second) of the settings that differ.
    """
    parts = ["\n".join(f"{letter}: {one_line(side.name)}" for letter, side in zip("AB", found.sides, strict=True))]
    if settings:
        parts.append("\n".join(one_line(f"{key}: {shown_setting(a)} -> {shown_setting(b)}") for key, a, b in settings))
    parts += [_ap_table(metric, found.class_names, aps) for metric, aps in found.aps.items()]
    parts += [_counts(found), *_most(found)]
    return "\n\n".join(parts)


def comparison_sheet(found: ComparedDetectors) -> np.ndarray | None:
    """The images with the most changes, a row each: changed detections of the first run left, of the second right.

    Returns:
        (H, W, 3) uint8 RGB; None if nothing changed, or the image files are missing.
    """
    ranked = [image for image, _ in found.most_changed(MOST)]
    if not ranked or not all(found.samples[image].path.is_file() for image in ranked):
        return None
    places = [(image, side) for image in ranked for side in (0, 1)]
    images = {image: sample_image(found.samples[image]) for image in ranked}
    shown = [found.shown[side][image][_rows(found, image, side)] for image, side in places]
    truths = [found.samples[image].annotations for image, _ in places]
    pictures = [images[image] for image, _ in places]
    return picture_grid(
        pictures, shown, found.class_names, truths=truths, columns=2, cell=480, min_score=-np.inf, most=BOXES
    )


def _rows(found: ComparedDetectors, image: int, side: int) -> torch.Tensor:
    """The changed detections of one run in one image."""
    rows = [(change.first, change.second)[side] for change in found.changes if change.image == image]
    return torch.tensor([row for row in rows if row >= 0], dtype=torch.int64)


def _ap_table(metric: str, class_names: Sequence[str], aps: PairedAPs) -> str:
    """AP in percent by class; a star where the interval of the difference does not hold 0."""
    rows = [[metric, "A", "B", "B - A", "95 %", ""]]
    for name, own in zip((*class_names, "mAP"), (*aps.classes, aps.mean), strict=True):
        rows.append([name, *(_figures(own) if own else ["-", "-", "-", "-", ""])])
    return aligned(rows)


def _figures(own: Paired) -> list[str]:
    low, high = own.difference.low, own.difference.high
    interval = f"{100 * low:+.1f} to {100 * high:+.1f}"
    sure = "*" if low > 0 or high < 0 else ""
    return [f"{100 * own.first:.1f}", f"{100 * own.second:.1f}", f"{100 * own.difference.value:+.1f}", interval, sure]


def _counts(found: ComparedDetectors) -> str:
    """How many detections changed, by class and kind, and from which score on detections are shown."""
    columns = [(kind, verdict) for kind in KINDS for verdict in (RIGHT, WRONG)]
    limits = [side.thresholds.tolist() for side in found.sides]
    rows = [["shown detections", "A from", "B from", *(f"{kind} {verdict}" for kind, verdict in columns)]]
    for label, name in enumerate(found.class_names):
        counted = Counter((change.kind, change.verdict) for change in found.changes if change.label == label)
        rows.append([name, *(f"{own[label]:.2f}" for own in limits), *(str(counted[column]) for column in columns)])
    counted = Counter((change.kind, change.verdict) for change in found.changes)
    sources = "; ".join(f"{letter}: {side.source}" for letter, side in zip("AB", found.sides, strict=True))
    totals = ["all", "", "", *(str(counted[column]) for column in columns)]
    return aligned([*rows, totals]) + f"\nthresholds: {sources}"


def _most(found: ComparedDetectors) -> list[str]:
    ranked = found.most_changed(MOST)
    lines = [[one_line(found.samples[image].image_id), str(number)] for image, number in ranked]
    return [aligned([["images that changed most", "detections"], *lines])] if ranked else []
