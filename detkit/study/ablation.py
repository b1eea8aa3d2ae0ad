"""A table of mean AP over all combinations of values of any keys."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from detkit.config import load_config
from detkit.config.node import Config
from detkit.config.yaml_file import parse_value, value_text
from detkit.errors import ConfigError
from detkit.stages.detect_folds import DetectFolds
from detkit.study.comparison import Comparison
from detkit.study.lab import Lab
from detkit.study.setting import Setting
from detkit.study.text import Text

OPENING, CLOSING, QUOTES = "[{(", "]})", "'\""
MOST = 100
"""Combinations of one table; more is most often a mistake."""

SAID = Text(
    "Mean AP under {count} settings of {keys}; all else is the recipe's.",
    "{keys} 的 {count} 种设置下的 mAP；其余与配方相同。",
)


class Ablation(Comparison):
    """Compares all combinations of values with the first one, after the box head.

    Args:
        values: values of each config key.
        role: TEST, or TRAIN to evaluate the training images in folds, see ``DetectFolds``.
        ious: IoU thresholds from which an object counts as found; there is a table for each.
    """

    def __init__(self, values: dict[str, list[str]], role: str = "TEST", ious: Sequence[float] = (0.5,)) -> None:
        count = len(self._combinations(values))
        if count > MOST:
            raise ConfigError(f"ablate: {count} combinations of {', '.join(values)} are too many; allowed: {MOST}")
        self.values, self.role, self.ious = values, role, ious
        self.title = Text(", ".join(values))
        self.said = SAID.format(count=count, keys=", ".join(values))

    @staticmethod
    def _combinations(values: dict[str, list[str]]) -> list[tuple[str, ...]]:
        return list(itertools.product(*values.values()))

    def settings(self, config: Config) -> list[Setting]:
        """A setting for each combination; the values of the last key change first."""
        found = []
        for chosen in self._combinations(self.values):
            keys = dict(zip(self.values, map(parse_value, chosen)))
            short = ", ".join(f"{key.rpartition('.')[2]}={text}" for key, text in zip(self.values, chosen))
            found.append(Setting(label=Text(short), keys=keys, refined=True, role=self.role))
        return found

    def refuse_unfit(self, lab: Lab) -> None:
        """Refuses a value that the recipe cannot use, before anything runs.

        Raises:
            ConfigError: if there is such a value; it names the value.
        """
        settings = self.settings(lab.config)
        lab.plan(settings)
        for setting in settings:
            if lacks := lab.missing(setting):
                raise ConfigError(lacks)


def swept(words: Sequence[str]) -> tuple[dict[str, list[str]], list[str]]:
    """The keys that have several values, and the other words.

    Args:
        words: ``KEY=V1,V2`` and ``KEY=VALUE``; a comma in brackets or quotes belongs to its value.

    Raises:
        ConfigError: if no key has several values, or a key has an empty or repeated value.
    """
    values: dict[str, list[str]] = {}
    others = []
    for word in words:
        key, equals, text = word.partition("=")
        given = _parts(text)
        if not equals or len(given) < 2:
            others.append(word)
            continue
        if "" in given or len(set(given)) < len(given) or key in values:
            raise ConfigError(f"ablate: {word}: expected different values, as {key}=V1,V2")
        values[key] = given
    if not values:
        raise ConfigError(
            "ablate: no key has several values; write KEY=V1,V2, for example CLASSIFIER.NAME=LinearSVM,Softmax"
        )
    return values, others


def in_folds(recipe: str | Path, words: Sequence[str]) -> list[str]:
    """The word that adds the stage ``DetectFolds`` to a recipe; empty if the recipe has it.

    Args:
        recipe: the config file.
        words: overrides for all runs.
    """
    stages = list(load_config(recipe, list(words)).STAGES)
    name = DetectFolds.__name__
    if any(name in (stage, stage.get("NAME") if isinstance(stage, dict) else None) for stage in stages):
        return []
    return [f"STAGES={value_text([*stages, name])}"]


def _parts(text: str) -> list[str]:
    """The text split at commas outside of brackets and quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if character == "," and not depth and not quote:
            parts.append("")
            continue
        parts[-1] += character
        if quote:
            quote = "" if character == quote else quote
        elif character in QUOTES:
            quote = character
        else:
            depth += (character in OPENING) - (character in CLOSING)
    return [part.strip() for part in parts]
