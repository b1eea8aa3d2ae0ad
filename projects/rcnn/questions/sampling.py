"""The share of positives in a step of fine-tuning."""

from __future__ import annotations

from dataclasses import replace

from detkit.config.node import Config
from detkit.registry import QUESTIONS
from detkit.study.answer import Answer
from detkit.study.comparison import Claim
from detkit.study.lab import Lab
from detkit.study.learnt import finetune_regions
from detkit.study.setting import Setting
from detkit.study.text import Text

from .common import Compared
from .softmax import SOFTMAX, SVM

SHARE = Text(
    "Of the windows {share:.1f} % are positives; the biased steps have {biased:.0f} %.",
    "所有窗口中正样本占 {share:.1f} %；偏向采样的每一步中占 {biased:.0f} %。",
)


@QUESTIONS.register(name="q3.1")
class Sampling(Compared):
    """The share of positives, 32 + 96 in the paper. Source: R-CNN, section 2.3."""

    title = Text(
        "Why is fine-tuning biased towards positives, instead of drawing them as rare as they are?",
        "微调为什么多取正样本，而不按它们本来的稀少程度抽样？",
    )
    source = "section 2.3"
    said = Text(
        "The paper draws a quarter positives, as they are extremely rare among all windows; it gives no figure "
        "for the "
        "natural proportion. The notes expect a model that calls everything background.",
        "论文每步抽取四分之一正样本，因为正样本在所有窗口中极少；没有给出自然比例的数字。"
        "笔记认为否则模型会倾向于把所有区域都判为背景。",
    )
    claims = (Claim("biased, SVM", "natural, SVM"), Claim("biased, softmax", "natural, softmax"))

    def settings(self, config: Config) -> list[Setting]:
        """Settings of both samplers, evaluated with SVMs on the network and with its softmax."""
        size = config.REGION_SAMPLER.FixedFraction.BATCH_SIZE
        biased = {"REGION_SAMPLER.NAME": "FixedFraction"}
        natural = {"REGION_SAMPLER.NAME": "Uniform", "REGION_SAMPLER.Uniform.BATCH_SIZE": size}
        return [
            Setting(label=Text(f"{name}, {judge}", f"{zh}，{judge}"), keys={**keys, **sampler}, stage="Finetune")
            for judge, keys in (("SVM", SVM), ("softmax", SOFTMAX))
            for name, zh, sampler in (("biased", "偏向采样", biased), ("natural", "自然比例", natural))
        ]

    def extended(self, lab: Lab, answer: Answer) -> Answer:
        """The answer with the natural share of positives."""
        index = finetune_regions(lab.run(answer.settings[0]))
        drawn = len(index.foreground_rows) + len(index.background_rows)
        biased = 100 * lab.config.REGION_SAMPLER.FixedFraction.FOREGROUND_FRACTION
        share = SHARE.format(share=100 * len(index.foreground_rows) / drawn, biased=biased)
        return replace(answer, paragraph=answer.paragraph + share)
