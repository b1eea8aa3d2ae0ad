"""An explanation of one region as text and as JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import numpy as np

from detkit.detection.detector import Detector
from detkit.detection.explanation import AsClass, Explanation
from detkit.detection.fate import Fate
from detkit.errors import counted
from detkit.regions.base import RegionView

NAMED = 3
"""Features of each sign, and suppressed regions, that a line names."""


def explanation_lines(found: Explanation, detector: Detector, view: RegionView | None) -> list[str]:
    """The lines of an explanation, a block for each step: proposals, crop, units, scores, shares, box, suppression."""
    focus = found.focus
    return [
        *_proposal(found),
        _line("seen", view_text(view, detector)),
        *_units(found, is_crop=view is not None and view.is_crop),
        *_classes(found),
        *_shares(found),
        *_box(found),
        _line("in the end", f"as {focus.name}: {fate_text(focus.fate, found.steps.settings.nms_iou)}"),
    ]


def explanation_plain(found: Explanation, detector: Detector, view: RegionView | None) -> dict[str, Any]:
    """The explanation as JSON values. Scores that are not finite are null."""
    proposals, moved = found.steps.proposals, found.moved
    return {
        "region": found.row,
        "box": _rounded(found.box.tensor[0].numpy()),
        "proposals": {
            "count": len(proposals),
            "is_proposed": found.is_proposed,
            "objectness": float(proposals.objectness[found.row]),
            "neighbours": [asdict(one) for one in found.neighbours],
        },
        "seen": {
            "text": view_text(view, detector),
            "is_crop": None if view is None else view.is_crop,
            "window": None if view is None else _rounded(view.window),
            "area": None if view is None else _rounded(view.area),
        },
        "layer": {"name": found.layer, "sees": found.field.size, "apart": found.field.stride, "of": found.field.side},
        "units": [asdict(one) for one in found.units],
        "score_kind": detector.score_kind,
        "classes": [{**asdict(one), "score": one.score if math.isfinite(one.score) else None} for one in found.classes],
        "focus": found.focus.name,
        "shares": None if found.shares is None else asdict(found.shares),
        "box_head": {
            "name": type(detector.scorer.box_head).__name__,
            "before": _rounded(moved.before),
            "after": _rounded(moved.after),
            "clipped": _rounded(moved.clipped),
            **dict(zip(("dx", "dy", "dw", "dh"), moved.deltas.tolist(), strict=True)),
        },
    }


def view_text(view: RegionView | None, detector: Detector) -> str:
    """A text that says what the network sees of the region."""
    extractor = type(detector.network.extractor).__name__
    if view is None:
        return f"{extractor} does not show what it sees"
    height, width = view.pixels.shape[:2]
    if not view.is_crop:
        return f"{extractor} pools the region from the map of the whole image, scaled to {width}x{height} pixels"
    across, down = (view.window[2:] - view.window[:2]).tolist()
    real = (view.area[2:] - view.area[:2]).astype(float)
    beyond = 1 - float(real.prod()) / (width * height)
    rest = f"; {beyond:.0%} of it has no pixel and is filled with the mean" if beyond >= 0.005 else ""
    return f"{extractor} warps {across}x{down} pixels, the region with its context, to {width}x{height}{rest}"


def fate_text(fate: Fate, nms_iou: float) -> str:
    """A text that says what happened to a region."""
    if fate.by is not None:
        return (
            f"suppressed by region {fate.by.region}, whose box overlaps it by {fate.by.iou:.2f} (more than {nms_iou:g})"
        )
    if fate.kind != "detected":
        return _LOST[fate.kind]
    taken = ", ".join(f"{one.region} ({one.iou:.2f})" for one in fate.suppressed[:NAMED])
    more = f" and {len(fate.suppressed) - NAMED} more" if len(fate.suppressed) > NAMED else ""
    return f"detected; it suppresses {taken}{more}" if taken else "detected; it suppresses no other"


_LOST = {
    "never fires": "the class never fires: it had nothing to learn from",
    "below threshold": "not shown: the score is below the class's threshold",
    "other class": "left to another class of the same region, as one_class_per_region asks",
    "beyond the cap": "cut by top_per_image: too many regions score more",
    "no area": "its box has no area inside the image",
}


def _line(head: str, text: str) -> str:
    return f"{head:11} {text}"


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(v), 2) for v in values]


def _proposal(found: Explanation) -> list[str]:
    proposals = found.steps.proposals
    box = ", ".join(f"{v:g}" for v in _rounded(found.box.tensor[0].numpy()))
    x1, y1, x2, y2 = found.box.tensor[0].tolist()
    if found.is_proposed:
        ranked = (
            f", objectness {float(proposals.objectness[found.row]):.3g}" if bool(proposals.objectness.any()) else ""
        )
        where = f"place {found.row + 1} of {len(proposals)} proposals{ranked}"
    else:
        where = f"none of the {len(proposals) - 1} proposals; followed as if it had been the last one"
    near = ", ".join(f"{one.region} ({one.iou:.2f})" for one in found.neighbours) or "none"
    return [
        _line("region", f"{found.row}: {box} (x1, y1, x2, y2), {x2 - x1:g}x{y2 - y1:g} pixels"),
        _line("proposals", where),
        _line("", f"neighbours (IoU): {near}"),
    ]


def _units(found: Explanation, *, is_crop: bool) -> list[str]:
    if not found.units:
        return [_line("units", f"{found.layer}: the region excites none")]
    lines = [f"of {found.layer}; each sees {found.field.text}"] if is_crop else []
    for one in found.units:
        others = ", ".join(f"{row} ({share:.0%})" for row, share in one.others)
        also = f"also excited by {others}" if others else "nothing else in the image excites it"
        lines.append(f"{one.unit}: {one.activation:.3g}, {one.relative:.0%} of its channel's largest here; {also}")
    return [_line("units", lines[0]), *(_line("", line) for line in lines[1:])]


def _classes(found: Explanation) -> list[str]:
    width = max(5, *(len(one.name) for one in found.classes))
    lines = [_line("scores", f"{'class':{width}} {'score':>8} {'shown from':>10} {'probability':>11} {'place':>5}")]
    return lines + [_line("", _class_row(one, width)) for one in found.classes]


def _class_row(one: AsClass, width: int) -> str:
    probability = "-" if one.probability is None else f"{one.probability:.1%}"
    numbers = f"{one.score:8.3f} {one.threshold:10.3f} {probability:>11} {one.fate.place:5}"
    return f"{one.name:{width}} {numbers}  {one.fate.kind}"


def _shares(found: Explanation) -> list[str]:
    shares = found.shares
    if shares is None:
        return [_line("shares", f"the score of {found.focus.name} is not taken apart: it is no sum over features")]
    lines = [
        f"{shares.output} of {found.focus.name} {shares.total:+.3f} = bias {shares.bias:+.3f}, "
        f"{counted(shares.num_support, 'feature')} {shares.support:+.3f}, "
        f"{counted(shares.num_against, 'feature')} {shares.against:+.3f}"
    ]
    for sign in (1, -1):
        own = [one for one in shares.largest if one.share * sign > 0][:NAMED]
        lines += [f"{one.unit}: {one.value:.3g} x {one.weight:+.3g} = {one.share:+.3f}" for one in own]
    return [_line("shares", lines[0]), *(_line("", line) for line in lines[1:])]


def _box(found: Explanation) -> list[str]:
    moved = found.moved
    dx, dy, dw, dh = moved.deltas.tolist()
    before, after = (", ".join(f"{v:.1f}" for v in box) for box in (moved.before, moved.clipped))
    return [
        _line("box", f"{before} -> {after}"),
        _line("", f"dx {dx:+.3f}, dy {dy:+.3f} (of width and height), dw {dw:+.3f}, dh {dh:+.3f} (logarithms)"),
    ]
