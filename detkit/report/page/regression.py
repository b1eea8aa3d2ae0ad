"""The effect of the box head."""

from __future__ import annotations

import numpy as np
import torch

from detkit.box_heads.identity import Identity
from detkit.registry import BOX_HEADS
from detkit.report.page.blocks import Block, Gallery, Picture, Plot, Plots, Section
from detkit.report.page.crops import crop
from detkit.report.page.inputs import FOREIGN, Inputs
from detkit.report.page.judged import Judged
from detkit.visualize.plots.refinement import iou_before_and_after, iou_histogram

NEAR = 0.3
"""Detections whose proposal overlaps an object of their class by this much are followed."""
PICTURES = 6


def regression(inputs: Inputs) -> Section:
    """The section with IoU of detections before and after box regression, and the boxes that moved most."""
    title, judged = "Box regression", inputs.judged
    if not inputs.is_run:
        return Section("boxes", title, missing=FOREIGN)
    if judged is None or inputs.dataset is None or not inputs.proposals:
        return Section("boxes", title, missing=inputs.no_proposals)
    name = inputs.config.BOX_HEAD.NAME
    if issubclass(BOX_HEADS.get(name), Identity):
        return Section("boxes", title, missing=f"BOX_HEAD.NAME is {name}, so boxes stay where the proposals lie")
    moved = _moved(inputs, judged)
    if not len(moved):
        return Section("boxes", title, missing=f"no detection lies near an object of its class (IoU {NEAR})")
    before, after = moved["before"], moved["after"]
    gained = 100 * float((after > before).mean())
    means = f"mean IoU {before.mean():.3f} before, {after.mean():.3f} after"
    plots = [
        Plot("boxes_moved", iou_before_and_after(before, after), f"IoU after regression over IoU before: {means}"),
        Plot("boxes_spread", iou_histogram(before, after), f"Boxes by IoU before and after regression: {means}"),
    ]
    caption = (
        f"Of {len(moved):,} detections near an object of their class {gained:.0f} % came nearer: {means}; dots above "
        "the line gained."
    )
    order = np.argsort(after - before, kind="stable")
    blocks: list[Block] = [Plots(plots, caption)]
    for title_of, rows, said in (
        ("Moved nearer", order[::-1], "The largest gains: from the orange proposal to the blue box."),
        ("Moved away", order, "The largest losses: from the orange proposal to the blue box."),
    ):
        chosen = moved[rows[:PICTURES]]
        gains = chosen["after"] > chosen["before"]
        chosen = chosen[gains if title_of == "Moved nearer" else ~gains]
        if len(chosen):
            blocks.append(Gallery(title_of, said, [_picture(inputs, judged, one) for one in chosen]))
    return Section("boxes", title, blocks=blocks)


def _moved(inputs: Inputs, judged: Judged) -> np.ndarray:
    """For each object the best detection of its class whose proposal is near it, with IoU before and after."""
    assert inputs.dataset is not None
    rows = []
    for i, sample in enumerate(inputs.dataset):
        found, truths = inputs.detections[i], sample.annotations
        if truths is None or not len(truths) or not len(found):
            continue
        before = inputs.proposals[i].boxes[found.proposal_rows].iou(truths.boxes)
        after = found.boxes.iou(truths.boxes)
        of_class = found.labels[:, None] == truths.labels[None]
        near = torch.where(of_class & (before >= NEAR) & ~truths.ignored[None], found.scores[:, None], -torch.inf)
        best = near.max(0)
        for truth in (~best.values.isneginf()).nonzero()[:, 0].tolist():
            row = int(best.indices[truth])
            rows.append((i, row, truth, int(found.labels[row]), float(before[row, truth]), float(after[row, truth])))
    return np.array(rows, _MOVED)


def _picture(inputs: Inputs, judged: Judged, one: np.void) -> Picture:
    assert inputs.dataset is not None
    sample, found = inputs.dataset[int(one["image"])], inputs.detections[int(one["image"])]
    assert sample.annotations is not None
    row = int(one["row"])
    proposal = inputs.proposals[int(one["image"])].boxes.tensor[int(found.proposal_rows[row])]
    boxes = (sample.annotations.boxes.tensor[int(one["truth"])], proposal, found.boxes.tensor[row])
    outlines = [(box.tolist(), color) for box, color in zip(boxes, ("green", "orange", "blue"))]
    name, line = judged.class_names[one["label"]], f"IoU {one['before']:.2f} to {one['after']:.2f}"
    return crop(sample, outlines, f"Box of {name} in image {sample.image_id}, {line}", (name, line))


_MOVED = np.dtype(
    [
        ("image", np.int64),
        ("row", np.int64),
        ("truth", np.int64),
        ("label", np.int64),
        ("before", float),
        ("after", float),
    ]
)
