"""The AP that the proposals allow."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from detkit.config.node import Config
from detkit.evaluation.recall import ProposalRecall
from detkit.evaluation.voc import VOC
from detkit.registry import QUESTIONS
from detkit.run.kinds import PROPOSALS, PROPOSALS_FILE
from detkit.run.runner import Run
from detkit.run.shards import split_images
from detkit.structures import Annotations, Boxes, Detections
from detkit.study.answer import Answer, Cell, Table
from detkit.study.lab import Lab, last_step
from detkit.study.measured import truths_of
from detkit.study.setting import Setting
from detkit.study.text import Text

from .common import OfRCNN

COUNTS = (10, 30, 100, 300, 1000)
SAID = Text(
    "The paper has about 2,000 proposals an image that reach 98 % of VOC's objects at IoU 0.5. Here the "
    "recipe's reach "
    "{recall:.1f} % with {count:.0f} an image, {tight:.1f} % at IoU 0.7; a detector that tells every proposal right "
    "would have a mAP of {ap:.1f}, this one has {own}.",
    "论文每张图像约有 2,000 个候选框，在 IoU 0.5 时覆盖 VOC 98 % 的物体。这里配方的候选框每张 {count:.0f} 个，"
    "覆盖 {recall:.1f} %，"
    "IoU 0.7 时为 {tight:.1f} %；若每个候选框都判断正确，mAP 为 {ap:.1f}，而这个检测器为 {own}。",
)
BY_METHOD = Text("Proposals of the test images", "测试图像的候选框")
BY_NUMBER = Text("The recipe's proposals, the first n of an image", "配方的候选框，每张图像的前 n 个")
COLUMNS = (
    Text("proposals", "候选框"),
    Text("of an image", "每张图像"),
    Text("recall at 0.5, %", "IoU 0.5 召回，%"),
    Text("recall at 0.7, %", "IoU 0.7 召回，%"),
    Text("MABO, %", "MABO，%"),
    Text("mAP that they allow, %", "允许的 mAP，%"),
)


@QUESTIONS.register(name="proposals")
class Reach(OfRCNN):
    """The limit by proposals. Other generators only propose boxes. Source: R-CNN, sections 2.2 and 4.2."""

    title = Text(
        "How many proposals are there, what do they reach, and which AP do they allow?",
        "候选框有多少、覆盖多少物体、允许多高的 AP？",
    )
    source = "sections 2.2 and 4.2"

    def settings(self, config: Config) -> Sequence[Setting]:
        """Settings with the recipe's proposals and detections, then with the proposals of other generators."""
        own = Setting(label=Text("the recipe's", "配方的"), kind=PROPOSALS)
        search = {"PROPOSALS.NAME": "SelectiveSearch", "PROPOSALS.SelectiveSearch.MAX_BOXES": 0}
        others = [
            Setting(
                label=Text(f"selective search, {mode}"),
                keys={**search, "PROPOSALS.SelectiveSearch.MODE": mode},
                kind=PROPOSALS,
            )
            for mode in ("single", "fast", "paper")
        ]
        names = {"EdgeBoxes": "edge boxes", "SlidingWindow": "sliding windows"}
        others += [
            Setting(label=Text(label), keys={"PROPOSALS.NAME": name}, kind=PROPOSALS) for name, label in names.items()
        ]
        return [own, *others, Setting(label=Text("detections", "检测"), refined=True)]

    def answer(self, lab: Lab) -> Answer:
        """The answer with a table by generator and a table by number of proposals."""
        settings = self.settings(lab.config)
        *generators, detector = settings
        lab.make(settings)
        rows: list[list[Cell]] = []
        for setting in generators:
            found = None if lab.missing(setting) else _judged(lab.run(setting))
            rows.append([setting.label, *(_cells(found) if found else [Text("not run", "未运行"), *[None] * 4])])
        run = lab.run(generators[0])
        own = _judged(run)
        by_number: list[list[Cell]] = [[f"{n}", *_cells(_judged(run, n))] for n in COUNTS if n < own["count"]]
        ap = "-" if lab.missing(detector) else f"{lab.measured(detector).mean_ap:.1f}"
        return Answer(
            paragraph=SAID.format(own=ap, **own),
            tables=[Table(BY_METHOD, COLUMNS, rows), Table(BY_NUMBER, COLUMNS, by_number)],
            settings=settings,
        )


def _cells(found: dict[str, float]) -> list[Cell]:
    return [found[name] for name in ("count", "recall", "tight", "mabo", "ap")]


def _judged(run: Run, most: int = 0) -> dict[str, float]:
    """Proposals an image, and in percent recall at IoU 0.5 and 0.7, MABO and the mAP that they allow.

    Args:
        run: with finished proposals of the test split.
        most: only the first so many of each image, in the order of ``ProposalRecall``.

    Raises:
        DataError: a test image has no annotations.
    """
    folder = run.result(last_step(run, PROPOSALS))
    assert folder is not None, "the run is finished"
    dataset = run.datasets("TEST")
    names = dataset.class_names
    recall, voc = (
        ProposalRecall(class_names=names, thresholds=(0.5, 0.7), counts=(max(most, 1),)),
        VOC(class_names=names),
    )
    for sample, one in zip(dataset, split_images(folder / PROPOSALS_FILE), strict=True):
        truths = truths_of(sample)
        order = recall.order(sample.image_id, one["objectness"].numpy())[: most or None]
        boxes, scores = Boxes(one["boxes"][order]), one["objectness"][order]
        recall.add(sample, Detections.of(boxes, scores, torch.zeros(len(boxes), dtype=torch.int64)))
        voc.add(sample, _told_right(boxes, truths))
    reached = recall.compute()["ProposalRecall"]
    found = {
        "recall": reached["recall"]["0.5"],
        "tight": reached["recall"]["0.7"],
        "mabo": reached["MABO"],
        "ap": voc.compute()["VOC07"]["mAP"],
    }
    return {"count": reached["boxes_per_image"], **{name: 100 * value for name, value in found.items()}}


def _told_right(boxes: Boxes, truths: Annotations) -> Detections:
    """The best proposal of each object, with the object's class and its IoU as score."""
    if len(truths) == 0 or len(boxes) == 0:
        return Detections.of(Boxes.of([]), torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    truths = truths[~truths.ignored]
    best, which = boxes.iou(truths.boxes).max(0)
    return Detections.of(boxes[which], best.float(), truths.labels)
