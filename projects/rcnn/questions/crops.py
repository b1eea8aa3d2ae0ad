"""The warp of a region to the network's input."""

from __future__ import annotations

from typing import Any

from detkit.config.node import Config
from detkit.registry import QUESTIONS
from detkit.study.comparison import Claim
from detkit.study.setting import Setting
from detkit.study.text import Text

from .common import Compared

WARPED = {"REGION_EXTRACTOR.NAME": "WarpedCrops"}
CONTEXT, MODE, OUTSIDE = (f"REGION_EXTRACTOR.WarpedCrops.{key}" for key in ("PADDING", "MODE", "CONTEXT"))


@QUESTIONS.register(name="warp")
class Warp(Compared):
    """The modes of the warp. Each setting fine-tunes its own network. Source: R-CNN, appendix A."""

    title = Text("Warp or square, with context or without?", "拉伸还是正方形？要不要上下文？")
    source = "appendix A"
    said = Text(
        "In the paper's pilot experiments warping with 16 px of context beats the others by 3 to 5 points of mAP.",
        "论文的初步实验中，带 16 像素上下文的拉伸比其他方式高 3 到 5 个百分点。",
    )
    claims = (Claim("warp, context", "warp"), Claim("warp, context", "square, context"))

    def settings(self, config: Config) -> list[Setting]:
        """Settings with the recipe's amount of context. Figure 7 of the paper shows all modes."""
        none = {CONTEXT: 0}
        lines: dict[Text, dict[str, Any]] = {
            Text("warp, context", "拉伸，带上下文"): {MODE: "warp"},
            Text("warp", "拉伸"): {MODE: "warp", **none},
            Text("square, context", "正方形，带上下文"): {MODE: "square"},
            Text("square", "正方形"): {MODE: "square", **none},
            Text("square, own pixels", "正方形，只有自身像素"): {MODE: "square", OUTSIDE: False, **none},
        }
        return [Setting(label=label, keys={**WARPED, **keys}) for label, keys in lines.items()]
