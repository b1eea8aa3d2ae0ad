"""One way to run a recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from detkit.config.yaml_file import value_text
from detkit.run.kinds import DETECTIONS
from detkit.study.text import Text


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Config keys that override the recipe's.

    Args:
        label: its name in tables.
        keys: the keys, such as ``{"CLASSIFIER.NAME": "Softmax"}``; empty for the recipe itself.
        paper: the published mAP in percent, if there is one.
        refined: whether to evaluate the detections after the box head, or those before it.
        at: its position on the axis of a plot.
        kind: the last kind of result that is needed for its test split.
        role: the split whose detections are evaluated: TEST, or TRAIN for those of ``DetectFolds``.
        stage: a stage that the run must have, because the keys have no effect without it; empty for none.
    """

    label: Text
    keys: Mapping[str, Any] = field(default_factory=dict)
    paper: float | None = None
    refined: bool = False
    at: float | None = None
    kind: str = DETECTIONS
    role: str = "TEST"
    stage: str = ""

    @property
    def words(self) -> list[str]:
        """The keys as words of the command line."""
        return [f"{key}={value_text(value)}" for key, value in self.keys.items()]

    @property
    def identity(self) -> str:
        """A value that is equal for settings that need the same run."""
        return json.dumps([sorted(self.words), self.kind, self.role, self.stage])


AS_IT_IS = Setting(label=Text("the recipe as it is", "配方原样"))
