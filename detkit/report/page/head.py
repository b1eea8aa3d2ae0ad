"""The head of the page: what was run, and the few numbers that matter most."""

from __future__ import annotations

from dataclasses import dataclass

from detkit.report.page.cost import duration
from detkit.report.page.inputs import Inputs


@dataclass(frozen=True)
class Figure:
    """A number in large type.

    Args:
        value: the number.
        unit: its unit.
        label: its name.
        note: one short line below.
    """

    value: str
    unit: str
    label: str
    note: str = ""


def subtitle(inputs: Inputs) -> list[str]:
    """The main settings of the run, a few words each."""
    config = inputs.config
    split = config.DATA.TEST if isinstance(config.DATA.TEST, str) else "+".join(config.DATA.TEST)
    words = [f"{config.DATA.NAME} {split}"]
    if inputs.dataset is not None:
        words.append(f"{len(inputs.dataset):,} images")
    if not inputs.is_run:
        return [*words, "detections of another program"]
    return [*words, config.PROPOSALS.NAME, config.BACKBONE.NAME, config.CLASSIFIER.NAME, config.BOX_HEAD.NAME]


def key_figures(inputs: Inputs) -> list[Figure]:
    """Mean AP with its interval, F1, COCO's AP, recall of the proposals and time, as far as they are known."""
    figures, judged = [], inputs.judged
    if judged is not None:
        _, mean = judged.intervals
        note = f"95 % interval {100 * mean.low:.1f} to {100 * mean.high:.1f}"
        figures.append(Figure(f"{100 * mean.value:.1f}", "%", "mean AP, VOC07 at IoU 0.5", note))
        note = f"from the threshold {judged.threshold_words}"
        figures.append(Figure(f"{100 * judged.f1():.1f}", "%", "F1 of what is shown", note))
    coco = inputs.metrics.get("COCO", {}).get("AP")
    if coco is not None:
        figures.append(Figure(f"{100 * coco:.1f}", "%", "COCO AP", "mean over IoU 0.5 to 0.95"))
    recall = inputs.metrics.get("ProposalRecall", {})
    if "0.5" in recall.get("recall", {}):
        note = f"{recall['boxes_per_image']:,.0f} proposals an image"
        figures.append(Figure(f"{100 * recall['recall']['0.5']:.1f}", "%", "objects that proposals reach", note))
    if inputs.steps:
        seconds = sum(line["seconds"] for line in inputs.steps.values())
        number, _, unit = duration(seconds).partition(" ")
        figures.append(Figure(number, unit, "time of all steps"))
    return figures
