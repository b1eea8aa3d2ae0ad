"""Layers for SVMs and box regression, with and without fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detkit.backbones.shapes import network_layers
from detkit.config.node import Config
from detkit.registry import QUESTIONS
from detkit.study.comparison import Claim
from detkit.study.setting import Setting
from detkit.study.text import Text

from .common import Compared, without_stage

PAPER = {"pool5": (44.2, 47.3), "fc6": (46.2, 53.1), "fc7": (44.7, 54.2)}
"""Table 2 on VOC2007 test: without and with fine-tuning."""
WITH_BOXES = 58.5
TUNED = "{layer}, fine-tuned"


def layers_of(config: Config) -> list[str]:
    """The paper's layers, which a network may lack, and the other layers of this network."""
    return [*PAPER, *(layer for layer in network_layers(config) if layer not in PAPER)]


def ends_of(config: Config) -> tuple[str, str]:
    """The network's first and last layer, which may be the same."""
    names = list(network_layers(config))
    return names[0], names[-1]


def svm_on(layer: str) -> dict[str, Any]:
    """The keys of SVMs that read a layer."""
    return {"CLASSIFIER.NAME": "LinearSVM", "CLASSIFIER.LAYER": layer}


@QUESTIONS.register(name="layers")
class Layers(Compared):
    """The layers of table 2. Source: R-CNN, section 3.2."""

    title = Text(
        "Which layer do SVMs learn best from, with and without fine-tuning?",
        "SVM 用哪一层的特征最好？微调前后有何不同？",
    )
    source = "section 3.2, table 2"
    said = Text(
        "In the paper fine-tuning gains 8 points, most of them in fc6 and fc7; without it fc6 beats fc7. "
        "Box regression gains 4.3 more.",
        "论文中微调带来 8 个百分点的提升，主要来自 fc6 和 fc7；不微调时 fc6 优于 fc7。边框回归再提升 4.3。",
    )

    def settings(self, config: Config) -> list[Setting]:
        """Settings with SVMs on each layer; the last one is the last layer with box regression."""
        _, last = ends_of(config)
        plain = without_stage(config, "Finetune")
        lines: list[tuple[str, float | None, Mapping[str, Any]]] = []
        for column, (label, stages) in enumerate((("{layer}", plain), (TUNED, {}))):
            for layer in layers_of(config):
                paper = PAPER[layer][column] if layer in PAPER else None
                lines.append((label.format(layer=layer), paper, {**svm_on(layer), **stages}))
        lines.sort(key=lambda line: line[0] != TUNED.format(layer=last))
        found = [
            Setting(label=_label(label), keys=keys, paper=paper, stage="" if "STAGES" in keys else "Finetune")
            for label, paper, keys in lines
        ]
        boxes = f"{TUNED.format(layer=last)}, boxes"
        paper = WITH_BOXES if last == "fc7" else None
        return [*found, Setting(label=_label(boxes), keys=svm_on(last), paper=paper, refined=True, stage="Finetune")]

    def claimed(self, config: Config) -> list[Claim]:
        """The claims of section 3.2, on this network's last layer."""
        first, last = ends_of(config)
        tuned, early = TUNED.format(layer=last), TUNED.format(layer=first)
        told = [Claim(tuned, last), Claim(tuned, early), Claim("fc6", "fc7"), Claim(f"{tuned}, boxes", tuned)]
        return [claim for claim in told if claim.better != claim.worse]


@QUESTIONS.register(name="q3.5")
class BoxesFromPool5(Compared):
    """The layers for box regression (pool5) and for SVMs (fc7)."""

    title = Text("Why pool5 for the boxes, but fc7 for the SVMs?", "为什么边框用 pool5，分类的 SVM 用 fc7？")
    source = "section 3.2, appendix C"
    said = Text(
        "The paper finds that fc7 tells classes apart better than pool5, and takes pool5 for the boxes without a "
        "figure for other layers; the notes suppose that pool5 keeps more of where things are.",
        "论文发现 fc7 的分类效果优于 pool5；边框回归使用 pool5，但没有给出其他层的数字。"
        "笔记认为 pool5 更好地保留了空间信息。",
    )
    ious = (0.5, 0.7)

    def settings(self, config: Config) -> list[Setting]:
        """Settings of SVMs on the first and last layer, then of box regression on each layer for the latter SVMs."""
        first, last = ends_of(config)
        svms = [Setting(label=_label(f"SVM {layer}"), keys=svm_on(layer)) for layer in dict.fromkeys((last, first))]
        regressed = [
            Setting(
                label=Text(f"boxes {layer}", f"{layer} 回归"),
                keys={**svm_on(last), "BOX_HEAD.NAME": "Ridge", "BOX_HEAD.LAYER": layer},
                refined=True,
            )
            for layer in layers_of(config)
        ]
        return [*svms, *regressed]

    def claimed(self, config: Config) -> list[Claim]:
        """The claims of both halves of the question."""
        first, last = ends_of(config)
        return [Claim(f"SVM {last}", f"SVM {first}"), Claim(f"boxes {first}", f"boxes {last}")] if first != last else []


def _label(english: str) -> Text:
    return Text(english, english.replace("fine-tuned", "微调后").replace("boxes", "边框回归").replace(", ", "，"))
