"""The two causes that the paper names for the softmax's lower AP, tested one by one."""

from __future__ import annotations

from typing import Any

from detkit.config.node import Config
from detkit.registry import QUESTIONS
from detkit.study.comparison import Claim
from detkit.study.setting import Setting
from detkit.study.text import Text

from .common import Compared
from .softmax import SOFTMAX, SVM

OF_SVM = "CLASSIFIER.LinearSVM."
LOOSE = {**SVM, f"{OF_SVM}POSITIVE_IOU": 0.5, f"{OF_SVM}NEGATIVE_IOU": 0.5}
RANDOM = {**SVM, f"{OF_SVM}NEGATIVES": "random"}
STRICT = {"FINETUNE.FOREGROUND_IOU": 0.7}
MINED = {"PROJECT": "projects/rcnn", "CLASSIFIER.NAME": "MinedSoftmax", "CLASSIFIER.LAYER": ""}


@QUESTIONS.register(name="causes")
class Causes(Compared):
    """An experiment that the paper does not have."""

    title = Text(
        "Why does the softmax lose to the SVMs: its labels, or its negatives?",
        "Softmax 为什么不如 SVM：是因为标签，还是因为负样本？",
    )
    source = "appendix B"
    said = Text(
        "The paper names two causes and tests neither: labels from IoU 0.5 on place boxes loosely, and random "
        "negatives are not hard. Here SVMs get each cause alone, and a softmax is freed of it.",
        "论文提出了两个原因，但没有分别检验：IoU 0.5 的标签使定位宽松；随机负样本不是难例。"
        "这里让 SVM 分别承受每个原因，并让 Softmax 摆脱它们。",
    )
    claims = (
        Claim("SVM", "softmax"),
        Claim("SVM", "SVM, loose labels"),
        Claim("SVM", "SVM, random negatives"),
        Claim("SVM", "SVM, both"),
        Claim("softmax, SVM labels, mined negatives", "softmax"),
        Claim("softmax, tuned from IoU 0.7", "softmax"),
    )

    def settings(self, config: Config) -> list[Setting]:
        """Settings of SVMs with each cause, then of the softmax without them."""
        lines: dict[Text, dict[str, Any]] = {
            Text("SVM"): SVM,
            Text("softmax"): SOFTMAX,
            Text("SVM, loose labels", "SVM，宽松标签"): LOOSE,
            Text("SVM, random negatives", "SVM，随机负样本"): RANDOM,
            Text("SVM, both", "SVM，两者"): {**LOOSE, **RANDOM},
            Text("softmax, SVM labels, mined negatives", "Softmax，SVM 的标签和难例"): MINED,
            Text("softmax, tuned from IoU 0.7", "Softmax，微调阈值 0.7"): {**SOFTMAX, **STRICT},
        }
        paper = {"SVM": 54.2, "softmax": 50.9}
        return [
            Setting(label=label, keys=keys, paper=paper.get(label.en), stage="Finetune" if "tuned" in label.en else "")
            for label, keys in lines.items()
        ]
