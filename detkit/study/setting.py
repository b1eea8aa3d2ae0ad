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
    """Config keys that take the place of the recipe's.

    Args:
        label: what tables call it.
        keys: the keys, such as ``{"CLASSIFIER.NAME": "Softmax"}``; none for the recipe as it is.
        paper: the published mAP in percent, where there is one.
        refined: whether the detections after the box head are judged, or those before it.
        at: where it stands on the axis of a picture.
        kind: the last kind of result that is needed of its test split.
        role: the split whose detections are judged: TEST, or TRAIN for those that ``DetectFolds`` gives.
        stage: a stage that the run must have, as the keys mean nothing without it; empty for none.
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
        """The same for settings that need the same run."""
        return json.dumps([sorted(self.words), self.kind, self.role, self.stage])


AS_IT_IS = Setting(label=Text("the recipe as it is", "配方原样"))
