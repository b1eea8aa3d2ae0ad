"""The recall of the proposals."""

from __future__ import annotations

from detkit.evaluation.recall import ProposalRecall
from detkit.report.page.blocks import Block, Plot, Plots, Section, Table, percent
from detkit.report.page.inputs import FOREIGN, Inputs
from detkit.structures import Detections
from detkit.visualize.plots.recall import recall_by_count, recall_by_iou

COUNTS = (10, 30, 100, 300, 1000, 3000)
THRESHOLDS = tuple(n / 20 for n in range(10, 21))
SHOWN_IOUS = (0.5, 0.7, 0.9)


def proposals(inputs: Inputs) -> Section:
    """The section with recall by IoU and by number of proposals, and the mean best overlap of each class."""
    title = "Proposals"
    if not inputs.is_run:
        return Section("proposals", title, missing=FOREIGN)
    if inputs.dataset is None or not inputs.proposals or inputs.judged is None:
        return Section("proposals", title, missing=inputs.no_proposals)
    set_by = inputs.config.EVALUATION.ProposalRecall
    recall = ProposalRecall(
        class_names=inputs.dataset.class_names,
        thresholds=THRESHOLDS,
        counts=COUNTS,
        strict=set_by.STRICT,
        seed=set_by.SEED,
    )
    for sample, found in zip(inputs.dataset, inputs.proposals, strict=True):
        if sample.annotations is not None:
            recall.add(sample, Detections.of(found.boxes, found.objectness, [0] * len(found)))
    figures = recall.compute()["ProposalRecall"]
    mean = figures["boxes_per_image"]
    counts = [count for count in COUNTS if count < mean] + [0]
    by_count = {count: figures["by_count"][str(count)] if count else figures for count in counts}
    told = {count: f"first {count:,}" if count else f"all, {mean:,.0f} an image" for count in counts}
    by_iou = {told[c]: {float(t): r for t, r in by_count[c]["recall"].items()} for c in counts[-5:]}
    by_number = {f"IoU {t:g}": {c or round(mean): by_count[c]["recall"][f"{t:g}"] for c in counts} for t in SHOWN_IOUS}
    reached = figures["recall"]["0.5"]
    at = ", ".join(f"{100 * figures['recall'][f'{t:g}']:.1f} % at IoU {t:g}" for t in SHOWN_IOUS)
    plots = [
        Plot("proposals_by_iou", recall_by_iou(by_iou), f"Share of objects that proposals reach: {at}"),
        Plot("proposals_by_count", recall_by_count(by_number), f"The same by number of proposals: with all {at}"),
    ]
    rest = "no classifier can find the rest." if reached < 1 else "what is missed later, another step loses."
    caption = f"Proposals reach {100 * reached:.1f} % of {figures['num_truths']:,} objects at IoU 0.5; {rest}"
    rows = [[name, percent(best)] for name, best in figures["ABO"].items()]
    table = Table(
        ["class", "mean best overlap"],
        [*rows, ["mean", percent(figures["MABO"])]],
        "IoU in percent of the best proposal of an object, averaged over a class.",
        emphasis=True,
    )
    blocks: list[Block] = [Plots(plots, caption), table]
    return Section("proposals", title, blocks=blocks)
