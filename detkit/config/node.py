"""The frozen config tree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml
from fvcore.common.config import CfgNode

from detkit.config.layout import SLOTS


class Config(CfgNode):
    """A checked config; values are read as attributes, ``cfg.CLASSIFIER.NAME``."""

    def selected(self) -> dict[str, Any]:
        """The config as plain values, without the nodes of components that are not chosen."""
        plain = _plain(self)
        for key, slot in SLOTS.items():
            if "NAME" in plain.get(key, ()):
                chosen = plain[key]["NAME"]
                plain[key] = {k: v for k, v in plain[key].items() if k == chosen or k not in slot.registry}
        if "EVALUATION" in plain:
            plain["EVALUATION"] = {k: v for k, v in plain["EVALUATION"].items() if k in plain["EVALUATORS"]}
        return plain

    def component(self, slot: str) -> dict[str, Any]:
        """The chosen component of a slot: its NAME and its own settings, without the keys beside NAME."""
        name = self[slot].NAME
        return {"NAME": name, name: _plain(self[slot][name])}

    def restricted(self, keys: Iterable[str]) -> Config:
        """A frozen config with these keys alone.

        Args:
            keys: sections ("FINETUNE"), single keys ("DATA.TRAIN_DIFFICULT"), or a slot's chosen component without the
                keys beside NAME ("BACKBONE.*").
        """
        selected = self.selected()
        tree: dict[str, Any] = {}
        for key in keys:
            section, _, rest = key.partition(".")
            if rest == "*":
                tree.setdefault(section, {}).update(self.component(section))
            elif rest:
                tree.setdefault(section, {})[rest] = selected[section][rest]
            else:
                tree[section] = selected[section]
        config = Config(tree)
        config.freeze()
        return config

    def text(self) -> str:
        """The selected config as YAML."""
        return yaml.safe_dump(self.selected(), sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
