"""Softmax against SVMs."""

from __future__ import annotations

from detkit.config.node import Config
from detkit.registry import QUESTIONS
from detkit.study.comparison import Claim
from detkit.study.setting import Setting
from detkit.study.text import Text

from .common import Compared

SVM = {"CLASSIFIER.NAME": "LinearSVM"}
SOFTMAX = {"CLASSIFIER.NAME": "Softmax", "CLASSIFIER.LAYER": ""}


@QUESTIONS.register(name="q3.3")
class SoftmaxOrSVM(Compared):
    """The fine-tuned softmax instead of the SVMs."""

    title = Text(
        "Why SVMs, and not the softmax that fine-tuning leaves?", "微调已经留下一个 Softmax，为什么还要训练 SVM？"
    )
    source = "appendix B"
    said = Text(
        "On VOC2007 the paper loses 3.3 points with the softmax: its labels take in loosely placed boxes, and its "
        "negatives are drawn at random. The question `causes` takes the two apart.",
        "论文在 VOC2007 上用 Softmax 损失 3.3 个百分点：它的标签包含定位宽松的框，负样本是随机抽取的。"
        "问题 `causes` 把这两个原因分开。",
    )
    claims = (Claim("SVM", "softmax"),)

    def settings(self, config: Config) -> list[Setting]:
        """Settings of both, on the layer that the head reads."""
        return [
            Setting(label=Text("SVM"), keys=SVM, paper=54.2),
            Setting(label=Text("softmax"), keys=SOFTMAX, paper=50.9),
        ]
