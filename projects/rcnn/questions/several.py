"""Regions that are detected as several classes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from detkit.config.node import Config
from detkit.registry import QUESTIONS
from detkit.study.answer import Answer, Cell, Table
from detkit.study.comparison import Claim
from detkit.study.lab import Lab
from detkit.study.learnt import ScoredRegions
from detkit.study.setting import Setting
from detkit.study.text import Text

from .common import Compared
from .softmax import SVM

ONE = "POSTPROCESS.ONE_CLASS_PER_REGION"
MARGINS = (-1.0, -0.5, 0.0)
COUNTED = Text(
    "Here {several} of {any} regions with a positive margin are claimed by two classes or more.",
    "这里有正间隔的 {any} 个区域中，{several} 个被两个或更多类别同时认领。",
)
CLAIMED = Text("Test regions that classes claim", "被类别认领的测试区域")
COLUMNS = (
    Text("margin above", "间隔大于"),
    Text("by one class or more", "至少一个类别"),
    Text("by two or more", "两个或更多"),
    Text("share, %", "比例，%"),
)


@QUESTIONS.register(name="q3.10")
class Several(Compared):
    """One class per region or several. The paper does not discuss it; each class is evaluated alone."""

    title = Text("What if several SVMs claim one region?", "几个 SVM 同时认领一个区域时怎么办？")
    source = "section 2.2"
    said = Text(
        "The paper suppresses within each class alone, so a region may be detected as several; the notes let "
        "the best "
        "score win.",
        "论文只在每个类别内做抑制，所以一个区域可以被检测为多个类别；笔记的答案是选得分最高的。",
    )
    claims = (Claim("best score wins", "each class keeps its claim"),)

    def settings(self, config: Config) -> list[Setting]:
        """Settings as in the paper, then as in the notes."""
        return [
            Setting(
                label=Text("each class keeps its claim", "每个类别各自保留"), keys={**SVM, ONE: False}, refined=True
            ),
            Setting(label=Text("best score wins", "得分最高者获胜"), keys={**SVM, ONE: True}, refined=True),
        ]

    def extended(self, lab: Lab, answer: Answer) -> Answer:
        """The answer with the number of regions by number of classes."""
        test = ScoredRegions.of(lab.run(answer.settings[0]))
        claims = np.zeros((len(MARGINS), 2), np.int64)
        for _, features in test.features.source(test.scorer.classifier_layer).blocks():
            scores = test.scorer.classifier.score(features).numpy()
            for at, margin in enumerate(MARGINS):
                classes = (scores > margin).sum(1)
                claims[at] += (classes >= 1).sum(), (classes >= 2).sum()
        rows: list[list[Cell]] = [
            [Text(f"{margin:g}"), int(any_), int(several), 100 * float(several) / any_ if any_ else None]
            for margin, (any_, several) in zip(MARGINS, claims)
        ]
        told = COUNTED.format(several=int(claims[-1, 1]), any=int(claims[-1, 0]))
        table = Table(CLAIMED, COLUMNS, rows)
        return replace(answer, paragraph=answer.paragraph + told, tables=[*answer.tables, table])
