"""The base classes of questions about R-CNN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from detkit.config.node import Config
from detkit.study.comparison import Comparison
from detkit.study.question import Question

PRESETS = {name: f"projects/rcnn/paper_{name}.yaml" for name in ("tiny", "photographs")}


class OfRCNN(Question):
    """A question about R-CNN."""

    presets: ClassVar[Mapping[str, str]] = PRESETS


class Compared(OfRCNN, Comparison):
    """A question about R-CNN that compares settings."""


def without_stage(config: Config, name: str) -> dict[str, Any]:
    """The keys that leave a stage out of the recipe."""
    stages: Sequence[Any] = config.plain()["STAGES"]
    return {"STAGES": [s for s in stages if (s if isinstance(s, str) else s["NAME"]) != name]}
