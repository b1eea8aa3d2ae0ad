"""One region, followed through a detector from proposal to detection."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.receptive_fields import receptive_fields
from detkit.box_heads.coding import encode_boxes
from detkit.detection.detector import Detector, Steps
from detkit.detection.explanation import AsClass, Excited, Explanation, Moved
from detkit.detection.fate import Fate, Overlap
from detkit.detection.shares import Shares
from detkit.detection.units import UNIT_IOU, channel_peak, strongest_regions, strongest_units
from detkit.errors import ConfigError, DataError
from detkit.proposals.base import checked_proposals
from detkit.registry import nearest
from detkit.structures import Boxes, Proposals

NEIGHBOURS, UNITS, OTHERS, FEATURES = 5, 6, 3, 6
"""Regions of largest IoU that are named; units; other regions of each; features of each sign."""


def explain(
    detector: Detector,
    image: np.ndarray,
    *,
    region: int | None = None,
    box: Sequence[float] | None = None,
    class_name: str = "",
    min_score: float | None = None,
    image_id: str = "",
) -> Explanation:
    """Follows one region of an image through a detector: a proposal, a given box, or the best region of a class.

    Args:
        detector: the detector.
        image: (H, W, 3) uint8 RGB.
        region: the row of a proposal.
        box: x1, y1, x2, y2 in pixels, clipped to the image; it is treated as a proposal.
        class_name: class whose best region is followed, if neither ``region`` nor ``box`` is given.
        min_score: as in ``Detector.detect``.
        image_id: as in ``How``.

    Raises:
        ConfigError: if none of the three is given, there is no such region or class, or the box has no area in the
            image.
        DataError: if the image has no proposals.
    """
    if region is None and box is None and not class_name:
        raise ConfigError("explain: expected a region, a box or a class, got none of them")
    label = _label(detector.class_names, class_name) if class_name else None
    proposals = checked_proposals(detector.generator, detector.generator.propose(image, image_id), image, image_id)
    row, is_proposed = region, True
    if box is not None:
        proposals, row, is_proposed = _with_box(proposals, box)
    if not len(proposals):
        raise DataError("the image has no proposals; give a --box")
    if row is not None and not 0 <= row < len(proposals):
        raise ConfigError(f"region {row}: the image has the regions 0 to {len(proposals) - 1}")
    layer = next(iter(detector.network.layers))
    steps = detector.steps(image, min_score, image_id=image_id, proposals=proposals, layers=[layer])
    if row is None:
        row = int(steps.candidates.every_score[:, label].argmax())
    classes = _as_classes(detector, steps, row)
    focus = next(one for one in classes if label in (None, one.label))
    read = detector.scorer.classifier_layer
    return Explanation(
        steps=steps,
        row=row,
        is_proposed=is_proposed,
        neighbours=_neighbours(proposals.boxes, row),
        classes=classes,
        focus=focus,
        shares=Shares.of(
            detector.scorer.classifier,
            steps.features[read][row],
            focus.label,
            read,
            detector.network.layers[read],
            FEATURES,
        ),
        moved=_moved(detector, steps, row, focus),
        layer=layer,
        field=receptive_fields(detector.network.backbone)[layer],
        units=_units(detector, steps, row, layer),
    )


def _label(names: Sequence[str], wanted: str) -> int:
    if wanted not in names:
        raise ConfigError(
            f"--class: the model has no class {wanted!r}.{nearest(wanted, names)} It has {', '.join(names)}."
        )
    return list(names).index(wanted)


def _with_box(proposals: Proposals, box: Sequence[float]) -> tuple[Proposals, int, bool]:
    """The proposals with a box behind them, its row, and whether it was there before."""
    height, width = proposals.image_size
    given = Boxes.of([list(box)]).clip(proposals.image_size)
    if not bool(given.area() > 0):
        raise ConfigError(
            f"box {','.join(f'{v:g}' for v in box)}: no area in the image of {width}x{height} pixels; expected "
            "x1,y1,x2,y2 with x1 < x2 and y1 < y2"
        )
    same = (proposals.boxes.tensor == given.tensor).all(1).nonzero()
    if len(same):
        return proposals, int(same[0]), True
    objectness = torch.cat([proposals.objectness, torch.zeros(1)])
    with_box = Proposals(Boxes.cat([proposals.boxes, given]), objectness, proposals.image_size)
    return with_box, len(proposals), False


def _neighbours(boxes: Boxes, row: int) -> tuple[Overlap, ...]:
    overlaps = boxes[[row]].iou(boxes)[0]
    overlaps[row] = 0
    best = overlaps.argsort(descending=True, stable=True)[:NEIGHBOURS].tolist()
    return tuple(Overlap(other, float(overlaps[other])) for other in best if overlaps[other] > 0)


def _as_classes(detector: Detector, steps: Steps, row: int) -> tuple[AsClass, ...]:
    scores, labels = steps.candidates.every_score[row], torch.arange(len(detector.class_names))
    probabilities = detector.calibration.probability(scores, labels)
    least = steps.min_score
    order = (scores - least if probabilities is None else probabilities).argsort(descending=True, stable=True)
    return tuple(
        AsClass(
            name=detector.class_names[k],
            label=k,
            score=float(scores[k]),
            threshold=float(least[k]),
            probability=None if probabilities is None else float(probabilities[k]),
            fate=Fate.of(steps, row, k),
        )
        for k in order.tolist()
    )


def _moved(detector: Detector, steps: Steps, row: int, focus: AsClass) -> Moved:
    head, box = detector.scorer.box_head, steps.proposals.boxes[[row]]
    features = steps.features[detector.scorer.box_layer][[row]] if head.reads_features else torch.zeros(1, 0)
    label, score = torch.tensor([focus.label]), torch.tensor([focus.score])
    after = detector.scorer.refined(box, features, label, score, steps.settings)
    found = steps.candidates
    at = ((found.rows == row) & (found.labels == focus.label)).nonzero()[:, 0]
    if len(at):  # it may have been moved several times
        after = found.refined[at]
    deltas = encode_boxes(box, after, inclusive=bool(getattr(head, "inclusive", False)))
    clipped = after.clip(steps.proposals.image_size)
    return Moved(*(_four(t) for t in (box.tensor, after.tensor, clipped.tensor, deltas)))


def _four(rows: Tensor) -> np.ndarray:
    array: np.ndarray = rows[0].double().numpy()
    return array


def _units(detector: Detector, steps: Steps, row: int, layer: str) -> tuple[Excited, ...]:
    features, boxes = steps.features[layer], steps.proposals.boxes
    apart = (boxes[[row]].iou(boxes)[0] <= UNIT_IOU).nonzero()[:, 0]
    found = []
    for unit in strongest_units(features, row, layer, detector.network.layers[layer], UNITS):
        own, peak = features[:, unit.number], channel_peak(features, unit)
        others = apart[strongest_regions(boxes[apart], own[apart], OTHERS)].tolist()
        relative = tuple((other, float(own[other]) / peak) for other in others)
        found.append(Excited(unit, float(own[row]), float(own[row]) / peak, relative))
    return tuple(found)
