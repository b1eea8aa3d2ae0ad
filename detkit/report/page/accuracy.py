"""The accuracy of the detections: AP by class, and precision over recall."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from detkit.report.page.blocks import Block, Cell, Plot, Plots, Section, Spread, Table, percent
from detkit.report.page.inputs import Inputs
from detkit.report.page.judged import Judged
from detkit.visualize.plots.curves import precision_recall

OWN = ("VOC07", "ProposalRecall")
"""Metrics with a place of their own on the page."""
MOST_CURVES = 24
"""Classes with a plot: of more the highest and the lowest AP."""


def accuracy(inputs: Inputs) -> Section:
    """The section with AP of each class, its interval, and all other figures of the evaluators."""
    judged, title = inputs.judged, "Average precision"
    if judged is None:
        return Section("ap", title, missing=inputs.no_judgement)
    blocks: list[Block] = [_by_class(inputs, judged)]
    for name, numbers in inputs.metrics.items():
        if name not in OWN and not isinstance(numbers.get("AP"), Mapping):
            values = [(key, value) for key, value in numbers.items() if not isinstance(value, (dict, list))]
            caption = f"The figures of the evaluator {name}, in percent where they are fractions."
            blocks.append(
                Table([key for key, _ in values], [[_shown(value) for _, value in values]], caption, named=False)
            )
    lead = (
        "A detection is right when its IoU with an object of its class is at least 0.5 and no better one has found it. "
        "The bar shows where 95 % of 1,000 sets of test images lie, drawn with replacement from these."
    )
    return Section("ap", title, lead, blocks)


def _by_class(inputs: Inputs, judged: Judged) -> Table:
    by_class, mean = judged.intervals
    before = inputs.judged_unrefined
    others = {n: m for n, m in inputs.metrics.items() if n not in OWN and isinstance(m.get("AP"), Mapping)}
    head = ["class", "objects", "AP (VOC07) with 95 % interval", *(["before box head"] if before else []), *others]
    rows: list[list[Cell]] = []
    aps_before = before.aps if before else []
    for label, (name, interval) in enumerate(zip(judged.class_names, by_class)):
        row: list[Cell] = [name, f"{judged.matches[label].num_truths:,}"]
        row.append(None if interval is None else Spread(interval.value, interval.low, interval.high))
        row += [percent(aps_before[label])] if before else []
        rows.append([*row, *(percent(metrics["AP"].get(name)) for metrics in others.values())])
    known = [ap for ap in aps_before if ap is not None]
    last: list[Cell] = ["mean", f"{judged.num_truths:,}", Spread(mean.value, mean.low, mean.high)]
    last += [percent(float(np.mean(known)))] if before else []
    rows.append([*last, *(percent(_mean(metrics)) for metrics in others.values())])
    caption = (
        "AP in percent. Two classes whose bars overlap widely may stand in the other order on other images."
        if len(rows) > 2
        else "AP in percent."
    )
    return Table(head, rows, caption, emphasis=True)


def _mean(metrics: Mapping[str, Any]) -> float | None:
    known = [ap for ap in metrics["AP"].values() if ap is not None]
    mean: float | None = metrics.get("mAP", sum(known) / len(known) if known else None)
    return mean


def _shown(value: object) -> str | None:
    if isinstance(value, float) and 0 <= value <= 1:
        return percent(value)
    return f"{value:.6g}" if isinstance(value, float) else None if value is None else str(value)


def curves(inputs: Inputs) -> Section:
    """The section with precision over recall of each class, with and without the box head."""
    judged, title = inputs.judged, "Precision and recall"
    if judged is None:
        return Section("pr", title, missing=inputs.no_judgement)
    before = inputs.judged_unrefined
    known = sorted(((ap, label) for label, ap in enumerate(judged.aps) if ap is not None), reverse=True)
    if len(known) > MOST_CURVES:
        known = known[: MOST_CURVES // 2] + known[-MOST_CURVES // 2 :]
    plots = []
    for place, (ap, label) in enumerate(known):
        drawn = {"detections": judged.matches[label].curve()}
        if before is not None:
            drawn["before box head"] = before.matches[label].curve()
        recall, precision = judged.at_threshold(label)
        marked = (recall, precision) if np.isfinite(judged.thresholds[label]) else None
        name = judged.class_names[label]
        figure = precision_recall(f"{name}  {100 * ap:.1f}", drawn, marked=marked, legend=place == 0)
        at = f"; at the threshold recall {recall:.2f}, precision {precision:.2f}" if marked else ""
        plots.append(Plot(f"pr_{name}", figure, f"Precision over recall of {name}: AP {100 * ap:.1f}{at}"))
    caption = (
        "Precision falls as more detections are shown; the number is AP in percent, the dot lies at the threshold "
        f"{judged.threshold_words}."
    )
    if len(plots) < sum(ap is not None for ap in judged.aps):
        caption += f" Shown are the {MOST_CURVES // 2} classes of the highest and as many of the lowest AP."
    return Section("pr", title, blocks=[Plots(plots, caption)])
