"""A diagnosis as short tables for the terminal."""

from __future__ import annotations

import numpy as np

from detkit.diagnosis import Diagnosis
from detkit.diagnosis.hoiem import KINDS as HOIEM_KINDS
from detkit.evaluation.table import aligned

WORST, LOST, CONFUSED, MATRIX = 5, 10, 8, 12
"""Lines of worst images, lost objects and confusions, and the most classes of which a matrix is shown."""


def diagnosis_text(found: Diagnosis) -> str:
    """The sections of a diagnosis as text, each with a heading. All figures are in diagnosis.json."""
    sections = [
        ("Is anything broken?", _ladder(found)),
        ("AP and the threshold of each class", _classes(found)),
        ("From VOC's mAP to COCO's AP", _rules(found)),
        ("Confusion", _confusion(found)),
        ("Calibration", _calibration(found)),
        ("False positives (Hoiem)", _hoiem(found)),
        ("Sensitivity (Hoiem)", _sensitivity(found)),
        ("Errors (TIDE)", _tide(found)),
        ("Worst images", _images(found)),
        ("Lost objects", _lost(found)),
    ]
    head = f"{found.num_images} images, {found.num_truths} objects that count, {found.num_detections} detections"
    return "\n\n".join([head, *(f"{title}\n{_indented(text)}" for title, text in sections)])


def _ladder(found: Diagnosis) -> str:
    marks = {True: "ok", False: "BROKEN", None: "?"}
    lines = [f"{marks[rung.holds]:7}{rung.name:13}{rung.told}" for rung in found.ladder.rungs]
    broken = found.ladder.first_broken
    return "\n".join([*lines, f"first broken: {broken}" if broken else "no rung is broken"])


def _classes(found: Diagnosis) -> str:
    aps = found.ap_by_iou
    at_75 = int(np.abs(aps.ious - 0.75).argmin())
    own = found.thresholds_from == "model"
    rows = [
        ["class", "objects", "AP50", "AP75", "AP50:95", "shown from", "precision", "recall", "F1", "best F1", "from"]
    ]
    for label, curve in enumerate(found.threshold_curves):
        rows.append(
            [curve.class_name, str(curve.num_truths), *map(_percent, (aps.voc[label, 0], aps.voc[label, at_75]))]
        )
        rows[-1].append(_percent(aps.coco[label].mean()))
        figures = (curve.own_precision, curve.own_recall, curve.own_f1) if own else (None,) * 3
        rows[-1] += [_score(curve.own_threshold), *map(_percent, figures), _percent(curve.best_f1)]
        rows[-1].append(_score(curve.best_threshold))
    means = (aps.voc_mean[0], aps.voc_mean[at_75], aps.coco_mean.mean())
    rows.append(["mean", str(found.num_truths), *map(_percent, means), *[""] * 6])
    notes = "AP50 and AP75: area, VOC10; AP50:95: COCO."
    if not own:
        notes += " No threshold of a model is known: what follows shows each class from its best F1 on these images."
    return f"{aligned(rows)}\n{notes}"


def _rules(found: Diagnosis) -> str:
    rows = [["rule", "mAP", "change", "judged otherwise", "why"]]
    for line in found.rules.changes:
        change = "" if line.change is None else f"{100 * line.change:+.2f}"
        rows.append([line.rule, "-" if line.mean_ap is None else f"{100 * line.mean_ap:.2f}", change])
        rows[-1] += [str(line.verdicts)]
    table = aligned([row[:4] for row in rows]).splitlines()
    reasons = ["why", *(line.why for line in found.rules.changes)]
    width = max(map(len, table))
    lines = [f"{row:{width}}  {reason}" for row, reason in zip(table, reasons)]
    areas = ", ".join(f"{name} {_percent(a.ap50)} of {a.objects}" for name, a in found.rules.areas.items())
    return "\n".join([*lines, f"AP50 by COCO's ranges of area: {areas} objects"])


def _confusion(found: Diagnosis) -> str:
    matrix = found.confusion
    if len(matrix.names) <= MATRIX:
        short = [name[:8] for name in matrix.names]
        rows = [["true \\ shown as", *short[:-1], "nothing"]]
        rows += [[name, *map(str, row)] for name, row in zip(matrix.names, matrix.counts.tolist())]
        rows[-1][-1] = ""
        return aligned(rows)
    inner = matrix.counts[:-1, :-1] * (1 - np.eye(len(matrix.names) - 1, dtype=np.int64))
    order = np.argsort(-inner, axis=None, kind="stable")[:CONFUSED]
    pairs = [divmod(int(place), len(inner)) for place in order]
    rows = [["shown as", "true", "times"]]
    rows += [
        [matrix.names[seen], matrix.names[true], str(inner[true, seen])] for true, seen in pairs if inner[true, seen]
    ]
    right, missed, alone = np.trace(matrix.counts), matrix.counts[:-1, -1].sum(), matrix.counts[-1].sum()
    sums = f"{right} right, {inner.sum()} of another class, {alone} on background, {missed} objects missed"
    return f"{sums}\n{aligned(rows)}" if len(rows) > 1 else sums


def _calibration(found: Diagnosis) -> str:
    one = found.reliability
    if one is None:
        return "scores are no probabilities, and no curve of the model gives any"
    if one.ece is None:
        return "no detections"
    rows = [["probability", "detections", "mean", "right"]]
    for low, high, count, mean, right in zip(one.edges, one.edges[1:], one.counts, one.confidence, one.accuracy):
        rows.append([f"{low:.1f} to {high:.1f}", str(count), _percent(mean), _percent(right)])
    return f"{aligned(rows)}\nexpected calibration error {one.ece:.3f}, largest {one.mce:.3f}"


def _hoiem(found: Diagnosis) -> str:
    kinds = found.hoiem
    rows = [
        ["class", "objects", "right", *HOIEM_KINDS, "AP_N", "error", "Loc right", *(f"no {k}" for k in HOIEM_KINDS)]
    ]
    for one in kinds.classes:
        impact = [
            one.impact[key].ap - one.all.ap for key in ("Loc right", *(f"without {kind}" for kind in HOIEM_KINDS))
        ]
        rows.append([one.class_name, str(one.num_truths), *(str(one.top[key]) for key in ("right", *HOIEM_KINDS))])
        rows[-1] += [_percent(one.all.apn), _percent(one.all.apn_error), *map(_gain, impact)]
    lines = [
        aligned(rows),
        "Counts: among as many best detections as the class has objects. Gains: AP with one kind mended.",
    ]
    if not kinds.groups:
        lines.append("No groups of similar classes are known, so Sim is empty; set DIAGNOSIS.SIMILAR_CLASSES.")
    for count, mix in zip(kinds.trend_at, kinds.trend.tolist()):
        lines.append(f"of the best {count} false positives: " + ", ".join(f"{n} {k}" for n, k in zip(mix, HOIEM_KINDS)))
    return "\n".join(lines)


def _sensitivity(found: Diagnosis) -> str:
    keys = ("area", "height", "aspect", "truncation")
    rows = [["property", "classes", "worst AP_N", "best AP_N", "sensitivity", "impact"]]
    for key in keys:
        known = [one.characteristics[key] for one in found.sensitivity if key in one.characteristics]
        usable = [one for one in known if one.best is not None]
        means = [
            _percent(float(np.mean([getattr(one, name) for one in usable]))) if usable else "-"
            for name in ("worst", "best", "sensitivity", "impact")
        ]
        rows.append([key, str(len(usable)), *means])
    return f"{aligned(rows)}\nMeans over the classes that have a bin of at least 5 objects."


def _tide(found: Diagnosis) -> str:
    errors = found.tide
    rows = [
        ["error", "count", "dAP"],
        *([kind, str(errors.counts[kind]), _gain(g)] for kind, g in errors.gains.items()),
    ]
    rows += [[kind, "", _gain(gain)] for kind, gain in errors.special.items()]
    return f"{aligned(rows)}\nAP50 of 101 recalls {_percent(errors.ap)}; the gains do not add up, on purpose."


def _images(found: Diagnosis) -> str:
    rows = [["image", "wrong", "missed", "right", "F1"]]
    for one in found.images[:WORST]:
        rows.append([one.image_id, str(one.wrong), str(one.missed), str(one.right), _percent(one.f1)])
    return aligned(rows)


def _lost(found: Diagnosis) -> str:
    lost = found.lost
    if not lost.objects:
        return f"none of {lost.num_truths}"
    steps = ", ".join(f"{step} {count}" for step, count in lost.counts.items() if count)
    lines = [f"{len(lost.objects)} of {lost.num_truths}, by the step that lost them: {steps}"]
    if lost.unknown_steps:
        lines.append(f"not known here: {', '.join(lost.unknown_steps)}")
    for one in lost.objects[:LOST]:
        corners = ", ".join(f"{edge:.0f}" for edge in one.box)
        lines.append(f"{one.image_id} {one.class_name} ({corners}): {one.step}: {one.why}")
    if len(lost.objects) > LOST:
        lines.append(f"... and {len(lost.objects) - LOST} more in diagnosis.json")
    return "\n".join(lines)


def _percent(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) else f"{100 * value:.1f}"


def _gain(value: float) -> str:
    return "-" if np.isnan(value) else f"{100 * value:+.1f}"


def _score(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.3g}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
