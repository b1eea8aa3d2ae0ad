"""The IoU from which a region is no negative of the SVMs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from detkit.config.node import Config
from detkit.registry import QUESTIONS
from detkit.study.answer import Answer, Cell, Table
from detkit.study.comparison import Claim
from detkit.study.lab import Lab
from detkit.study.learnt import support_vectors
from detkit.study.setting import Setting
from detkit.study.text import Text

from .common import Compared
from .softmax import SVM

THRESHOLDS = (0.3, 0.0, 0.1, 0.2, 0.4, 0.5)

VECTORS = Text("Support vectors of all classes", "所有类别的支持向量")
COLUMNS = (
    Text("IoU of negatives below", "负样本 IoU 小于"),
    Text("negatives to choose from", "可选的负样本"),
    Text("support vectors", "支持向量"),
    Text("of them negatives", "其中负样本"),
)


@QUESTIONS.register(name="negatives")
class Negatives(Compared):
    """The sweep of this IoU. Source: R-CNN, section 2.3."""

    title = Text("Below which overlap is a region a negative of the SVM?", "SVM 的负样本阈值取多少？")
    source = "section 2.3, appendix B"
    said = Text(
        "The paper chose 0.3 out of 0 to 0.5 on a validation set: 0.5 costs 5 points of mAP, 0 costs 4.",
        "论文在验证集上从 0 到 0.5 中选择了 0.3：取 0.5 时 mAP 降低 5 个百分点，取 0 时降低 4 个百分点。",
    )
    claims = (Claim("IoU < 0.3", "IoU < 0.5"), Claim("IoU < 0.3", "IoU < 0"))
    axis = Text("IoU below which a region is a negative")

    def settings(self, config: Config) -> list[Setting]:
        """Settings with the paper's threshold first."""
        return [
            Setting(label=Text(f"IoU < {iou:g}"), keys={**SVM, "CLASSIFIER.LinearSVM.NEGATIVE_IOU": iou}, at=iou)
            for iou in THRESHOLDS
        ]

    def extended(self, lab: Lab, answer: Answer) -> Answer:
        """The answer with a table of support vectors."""
        rows: list[list[Cell]] = []
        for setting in sorted(answer.settings, key=lambda s: s.at or 0.0):
            if not lab.missing(setting):
                found = support_vectors(lab.run(setting))
                positives, negatives, candidates = (int(np.sum(count)) for count in found)
                rows.append([setting.label, candidates, positives + negatives, negatives])
        return replace(answer, tables=[*answer.tables, Table(VECTORS, COLUMNS, rows)])
