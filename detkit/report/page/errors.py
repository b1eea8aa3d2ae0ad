"""The errors: false positives by kind, the AP that each kind costs, and confusion of classes."""

from __future__ import annotations

import numpy as np

from detkit.diagnosis import confusion_matrix, hoiem, tide
from detkit.diagnosis.hoiem import KINDS, Hoiem
from detkit.report.diagnosis import Groups, groups_of
from detkit.report.page.blocks import Block, Plot, Plots, Section
from detkit.report.page.inputs import Inputs
from detkit.report.page.judged import Judged
from detkit.visualize.plots.bars import confusion, gains, stacked_shares

MOST_CLASSES = 24
TOLD = {"Loc": "badly placed", "Sim": "similar class", "Oth": "other class", "BG": "background"}
COLORS = ("blue", "orange", "purple", "yellow", "sky")
MENDED = {
    "Loc right": "bad boxes placed right",
    "without Loc": "without bad boxes",
    "without Sim": "without similar classes",
    "without Oth": "without other classes",
    "without BG": "without background",
}
TIDE = {
    "Cls": "class (Cls)",
    "Loc": "place (Loc)",
    "Both": "class and place (Both)",
    "Dupe": "found twice (Dupe)",
    "Bkg": "background (Bkg)",
    "Miss": "missed (Miss)",
}


def errors(inputs: Inputs) -> Section:
    """The section with errors after Hoiem and after TIDE, and the confusion matrix.

    Raises:
        ConfigError: if DIAGNOSIS.SIMILAR_CLASSES names an unknown class.
    """
    title, judged = "Errors", inputs.judged
    if judged is None:
        return Section("errors", title, missing=inputs.no_judgement)
    lead = (
        "Two ways to sort mistakes: Hoiem et al. look at the highest ranks of each class, TIDE at what AP would be won "
        "if one kind of mistake were mended."
    )
    groups = groups_of(inputs.config, judged.class_names)
    blocks: list[Block] = [_kinds(judged, groups), _confusion(judged)]
    return Section("errors", title, lead, blocks)


def _kinds(judged: Judged, groups: Groups) -> Plots:
    found, mistakes = hoiem(judged.outcome, groups), tide(judged.outcome)
    known = [one for one in found.classes if one.num_truths]
    total = {kind: sum(one.top[kind] for one in known) for kind in ("right", *KINDS)}
    known, left_out = known[:MOST_CLASSES], known[MOST_CLASSES:]
    shares = {kind: np.array([one.top[kind] / max(sum(one.top.values()), 1) for one in known]) for kind in total}
    drawn = {TOLD.get(kind, kind): own for kind, own in shares.items() if total[kind] or kind != "Sim"}
    colors = [color for kind, color in zip(shares, COLORS) if TOLD.get(kind, kind) in drawn]
    top = stacked_shares("Best ranks by kind", [one.class_name for one in known], drawn, colors)
    told = ", ".join(
        f"{TOLD.get(kind, kind)} {100 * own / max(sum(total.values()), 1):.0f} %" for kind, own in total.items()
    )
    costs = gains("Gain in AP, Hoiem", impact(found), xlabel="percent of AP at IoU 0.5")
    mended = ", ".join(f"{name} {100 * gain:.1f}" for name, gain in impact(found).items())
    won = {TIDE[kind]: gain for kind, gain in mistakes.gains.items()}
    counts = [f" ({mistakes.counts[kind]:,})" for kind in mistakes.gains]
    tided = gains("Gain in AP, TIDE", won, xlabel="percent of AP at IoU 0.5 (and how many)", notes=counts)
    plots = [
        Plot("errors_top", top, f"Kinds among the best ranks of each class, over all: {told}"),
        Plot("errors_hoiem", costs, f"AP won, in percent: {mended}"),
        Plot("errors_tide", tided, f"AP won, in percent: {', '.join(f'{n} {100 * g:.1f}' for n, g in won.items())}"),
    ]
    caption = (
        "Left, of each class as many best detections as it has objects. The longest bar of the others is the mistake "
        "that pays most to mend; gains do not add up, as each is taken with all other mistakes still there."
    )
    if left_out:
        caption += f" Shown are the first {len(known)} of {len(known) + len(left_out)} classes with objects."
    if not found.groups:
        caption += " No classes are known to be similar to each other, so none of the errors is one of a similar class."
    return Plots(plots, caption)


def impact(found: Hoiem) -> dict[str, float]:
    """The gain in AP, as a mean over classes, from the correction of each kind of error."""
    known = [one for one in found.classes if one.num_truths]
    gained = {
        told: float(np.mean([one.impact[key].ap - one.all.ap for one in known]))
        for key, told in MENDED.items()
        if key != "without Sim" or found.groups
    }
    return dict(sorted(gained.items(), key=lambda pair: -pair[1]))


def _confusion(judged: Judged) -> Plots:
    matrix = confusion_matrix(judged.outcome, judged.thresholds)
    names, counts = list(matrix.names), matrix.counts
    more = ""
    if len(names) > MOST_CLASSES:
        wrong = counts.sum(1) + counts.sum(0) - 2 * np.diag(counts)
        kept = np.sort(np.argsort(-wrong[:-1], kind="stable")[: MOST_CLASSES - 1])
        rows = np.append(kept, len(names) - 1)
        names, counts = [names[row] for row in rows], counts[np.ix_(rows, rows)]
        more = f" Shown are the {len(kept)} classes with the most mistakes."
    right, missed = int(np.diag(matrix.counts).sum()), int(matrix.counts[:-1, -1].sum())
    alt = (
        f"Objects by detected class: {right} right, {missed} missed, {int(matrix.counts[-1, :-1].sum())} on background"
    )
    caption = (
        "Rows are what is there, columns what is shown: the last column holds missed objects, the last row detections "
        f"without an object.{more}"
    )
    return Plots([Plot("confusion", confusion(names, counts), alt)], caption)
