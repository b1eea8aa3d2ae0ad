"""Display thresholds, and the reliability of probabilities."""

from __future__ import annotations

import numpy as np

from detkit.diagnosis import reliability, threshold_curves
from detkit.diagnosis.curves import ThresholdCurve
from detkit.diagnosis.reliability import scores_as_probabilities
from detkit.report.page.blocks import Block, Cell, Plot, Plots, Section, Table, percent
from detkit.report.page.inputs import Inputs
from detkit.report.page.judged import Judged
from detkit.visualize.plots.bars import reliability_diagram
from detkit.visualize.plots.curves import thinned
from detkit.visualize.plots.lines import over_steps

MOST_LINES = 6


def thresholds(inputs: Inputs) -> Section:
    """The section with F1 over the threshold, calibration, and the figures at each class's threshold."""
    title, judged = "Thresholds and probabilities", inputs.judged
    if judged is None:
        return Section("thresholds", title, missing=inputs.no_judgement)
    curves = threshold_curves(judged.outcome, judged.thresholds, strict=judged.strict)
    blocks: list[Block] = [_plots(judged, [one for one in curves if one.num_truths]), _table(judged, curves)]
    return Section("thresholds", title, blocks=blocks)


def _plots(judged: Judged, curves: list[ThresholdCurve]) -> Plots:
    shown = sorted(curves, key=lambda one: -one.num_truths)[:MOST_LINES]
    lines = {}
    for one in shown:
        rows = thinned(-one.thresholds)
        lines[one.class_name] = (one.thresholds[rows].tolist(), one.f1[rows].tolist())
    best = ", ".join(f"{one.class_name} {one.best_f1 or 0:.2f}" for one in shown)
    figure = over_steps("F1 by threshold", lines, xlabel="threshold on the score", ylabel="F1", share=True)
    plots = [Plot("f1", figure, f"F1 over the threshold of each class; at best {best}")]
    few = "" if len(shown) == len(curves) else f" Shown are the {MOST_LINES} classes with the most objects."
    caption = f"A broad top is a threshold that need not be exact.{few}"
    probabilities = judged.probabilities
    if probabilities is None:
        probabilities = scores_as_probabilities(judged.outcome)
    if probabilities is None:
        return Plots(plots, f"{caption} The scores are no probabilities, and no curve to these was learnt.")
    found = reliability(judged.outcome, probabilities, strict=judged.strict)
    diagram = reliability_diagram(found.confidence, found.accuracy, found.counts)
    error = "unknown" if found.ece is None else f"{100 * found.ece:.1f} percentage points"
    plots.append(Plot("calibration", diagram, f"Share of right detections over their probability; mean error {error}"))
    return Plots(plots, f"{caption} Below the dashed line the probabilities are too high; the mean error is {error}.")


def _table(judged: Judged, curves: tuple[ThresholdCurve, ...]) -> Table:
    rows: list[list[Cell]] = []
    for one in curves:
        limit = one.own_threshold if one.own_threshold is not None and np.isfinite(one.own_threshold) else None
        own = [percent(value) for value in (one.own_precision, one.own_recall, one.own_f1)]
        best = None if one.best_threshold is None else f"{one.best_threshold:.2f}"
        row: list[Cell] = [one.class_name, None if limit is None else f"{limit:.2f}", *own]
        rows.append(row if judged.source == "best F1" else [*row, best, percent(one.best_f1)])
    head = ["class", "threshold", "precision", "recall", "F1"]
    at = f"At the threshold {judged.threshold_words}"
    if judged.source == "best F1":
        return Table(head, rows, f"{at}, so the figures look a little too good.")
    caption = f"{at}, and beside it the best that one could choose on these images."
    return Table([*head, "best threshold", "best F1"], rows, caption)
