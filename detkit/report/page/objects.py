"""The objects that are found, by size, shape, truncation and required IoU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detkit.diagnosis import ap_by_iou, sensitivity
from detkit.diagnosis.sensitivity import LEAST_OBJECTS, Sensitivity
from detkit.report.page.blocks import Plot, Plots, Section
from detkit.report.page.inputs import Inputs
from detkit.visualize.plots.bars import parts
from detkit.visualize.plots.lines import over_steps

WORDS = {"N": "whole", "T": "cut"}
TOLD = {"area": "size", "aspect": "shape", "truncation": "truncation"}


def objects(inputs: Inputs) -> Section:
    """The section with AP by properties of objects, and AP over the required IoU."""
    title, judged = "Size, shape and place", inputs.judged
    if judged is None:
        return Section("objects", title, missing=inputs.no_judgement)
    known = [one for one in sensitivity(judged.outcome) if one.all.num_truths]
    whole = float(np.mean([one.all.apn for one in known]))
    groups = {told: own for key, told in TOLD.items() if (own := _means(known, key))}
    plots = []
    if groups:
        alt = "; ".join(
            f"by {name} {', '.join(f'{k} {v:.2f}' for k, v in own.items())}" for name, own in groups.items()
        )
        plots.append(Plot("sensitivity", parts("AP by kind of object", groups, whole, ylabel="normalised AP"), alt))
    exact = ap_by_iou(judged.outcome, strict=judged.strict)
    lines = {
        "VOC, area": (exact.ious.tolist(), exact.voc_mean.tolist()),
        "COCO, 101 points": (exact.ious.tolist(), exact.coco_mean.tolist()),
    }
    figure = over_steps("AP by IoU", lines, xlabel="IoU that makes a detection right", ylabel="mean AP")
    told = ", ".join(f"{v:.2f} at {t:g}" for t, v in zip(exact.ious, exact.voc_mean))
    plots.append(Plot("ap_by_iou", figure, f"Mean AP over the IoU that is asked for: {told}"))
    caption = (
        "XS to XL are the smallest tenth, the next fifth, the middle, the next fifth and the largest tenth of a "
        "class's objects, XT to XW the same from tall to wide; a steep line is a weakness. Left out are parts with "
        f"fewer than {LEAST_OBJECTS} objects. AP that falls fast with the IoU asks for better boxes."
    )
    return Section("objects", title, blocks=[Plots(plots, caption)])


def _means(known: Sequence[Sensitivity], key: str) -> dict[str, float]:
    """The mean normalised AP of each part over the classes that have enough such objects; empty if none has."""
    found: dict[str, list[float]] = {}
    for one in known:
        if key in one.characteristics:
            for name, part in one.characteristics[key].bins.items():
                own = found.setdefault(WORDS.get(name, name) if key == "truncation" else name, [])
                if part.num_truths >= LEAST_OBJECTS:
                    own.append(part.apn)
    means = {name: float(np.mean(own)) if own else float("nan") for name, own in found.items()}
    return means if any(np.isfinite(list(means.values()))) else {}
