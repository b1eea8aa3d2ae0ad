"""Why fine-tuning and SVMs use different labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from detkit.config.node import Config
from detkit.registry import QUESTIONS
from detkit.study.answer import Answer, Cell, Table
from detkit.study.by_image import ByImage
from detkit.study.comparison import Claim
from detkit.study.lab import Lab
from detkit.study.learnt import finetune_regions
from detkit.study.setting import Setting
from detkit.study.text import Text
from detkit.training.finetune import FinetuneSettings

from .causes import LOOSE, STRICT
from .common import Compared
from .softmax import SVM

COUNTED = Text(
    "Labels from IoU {iou:g} on make {positives} positives of {truths} ground truths: {factor:.1f} times as many, 95 % "
    "interval {low:.1f} to {high:.1f} over the training images; the paper says about 30.",
    "IoU 不小于 {iou:g} 的标签把 {truths} 个真实框变成 {positives} 个正样本：{factor:.1f} 倍，"
    "对训练图像的 95 % 区间为 {low:.1f} 到 {high:.1f}；论文说约 30 倍。",
)
POSITIVES = Text("Positives of fine-tuning", "微调的正样本")
COLUMNS = (
    Text("class", "类别"),
    Text("ground truths", "真实框"),
    Text("positives from IoU {iou:g}", "IoU 不小于 {iou:g} 的正样本"),
    Text("times", "倍数"),
)


@QUESTIONS.register(name="q3.2")
class OtherLabels(Compared):
    """Labels of fine-tuning and of SVMs. Source: R-CNN, section 2.3 and appendix B."""

    title = Text(
        "Why do the softmax and the SVMs have different positives and negatives?",
        "Softmax 与 SVM 的正负样本标准为何不一样？",
    )
    source = "section 2.3, appendix B"
    said = Text(
        "Fine-tuning needs many positives, so the paper takes every region from IoU 0.5 on; SVMs learn from ground "
        "truths against regions below 0.3, which the paper found better by validation (see `negatives`).",
        "微调需要大量正样本，所以论文把 IoU 不小于 0.5 的区域都当作正样本；SVM 用真实框对 IoU 小于 0.3 的区域，"
        "这是验证集上更好的选择（见 `negatives`）。",
    )
    claims = (Claim("SVM labels", "fine-tuning's labels"), Claim("SVM labels", "network tuned from IoU 0.7"))

    def settings(self, config: Config) -> list[Setting]:
        """Settings of SVMs on their own labels, on those of fine-tuning, and on a network tuned to fewer positives."""
        return [
            Setting(label=Text("SVM labels", "SVM 的标签"), keys=SVM),
            Setting(label=Text("fine-tuning's labels", "微调的标签"), keys=LOOSE),
            Setting(
                label=Text("network tuned from IoU 0.7", "微调阈值 0.7 的网络"),
                keys={**SVM, **STRICT},
                stage="Finetune",
            ),
        ]

    def extended(self, lab: Lab, answer: Answer) -> Answer:
        """The answer with the number of positives."""
        run = lab.run(answer.settings[0])
        index = finetune_regions(run)
        truths, positives = index.truth_label >= 0, index.foreground_rows
        counts = [np.bincount(index.image[rows], minlength=index.num_images) for rows in (truths, positives)]
        times = ByImage(counts[1].astype(float), counts[0].astype(float)).interval()
        iou = run.config.settings("FINETUNE", FinetuneSettings).foreground_iou
        told = COUNTED.format(
            iou=iou,
            positives=len(positives),
            truths=int(truths.sum()),
            factor=times.value,
            low=times.low,
            high=times.high,
        )
        names = run.datasets("FINETUNE").class_names
        rows: list[list[Cell]] = []
        for k, name in enumerate(names):
            own, many = int((index.truth_label == k).sum()), int((index.label == k).sum())
            rows.append([Text(name), own, many, many / own if own else None])
        table = Table(POSITIVES, [column.format(iou=iou) for column in COLUMNS], rows)
        return replace(answer, paragraph=answer.paragraph + told, tables=[*answer.tables, table])
