"""The frozen config tree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import yaml
from fvcore.common.config import CfgNode

from detkit.config.layout import SLOTS

Made = TypeVar("Made")


class Config(CfgNode):
    """A checked and frozen config. Read values as attributes: ``cfg.CLASSIFIER.NAME``.

    Attributes:
        memory: objects that ``once`` made, by their keys; views of the config share it.
    """

    memory: dict[Any, Any]

    @classmethod
    def of(cls, values: Mapping[str, Any], memory: dict[Any, Any] | None = None) -> Config:
        """A frozen config of nested values."""
        config = cls(values)
        config.__dict__["memory"] = {} if memory is None else memory
        config.freeze()
        return config

    def once(self, key: Any, make: Callable[[], Made]) -> Made:
        """The result of ``make``, which is called only for the first request of this key."""
        if key not in self.memory:
            self.memory[key] = make()
        made: Made = self.memory[key]
        return made

    def settings(self, section: str, kind: Callable[..., Made]) -> Made:
        """The settings object of a section: ``kind`` called with the section's keys."""
        return kind(**{k.lower(): v for k, v in self[section].items()})

    def plain(self) -> dict[str, Any]:
        """All keys as plain values."""
        plain: dict[str, Any] = _plain(self)
        return plain

    def selected(self) -> dict[str, Any]:
        """The config as plain values, without the settings of components that are not selected."""
        plain = _plain(self)
        for key, slot in SLOTS.items():
            if "NAME" in plain.get(key, ()):
                chosen = plain[key]["NAME"]
                plain[key] = {k: v for k, v in plain[key].items() if k == chosen or k not in slot.registry}
        if "EVALUATION" in plain:
            plain["EVALUATION"] = {k: v for k, v in plain["EVALUATION"].items() if k in plain["EVALUATORS"]}
        return plain

    def component(self, slot: str) -> dict[str, Any]:
        """The selected component of a slot: NAME and the component's settings, without the other keys of the slot."""
        name = self[slot].NAME
        return {"NAME": name, name: _plain(self[slot][name])}

    def restricted(self, keys: Iterable[str]) -> Config:
        """A frozen config with these keys only.

        Args:
            keys: sections ("FINETUNE"), single keys ("DATA.TRAIN_DIFFICULT"), or the selected component of a slot
                without the other keys of the slot ("BACKBONE.*").
        """
        selected = self.selected()
        tree: dict[str, Any] = {}
        for key in keys:
            section, _, rest = key.partition(".")
            if rest == "*":
                tree.setdefault(section, {}).update(self.component(section))
            elif rest:
                *above, name = key.split(".")
                node, value = tree, selected
                for part in above:
                    node, value = node.setdefault(part, {}), value[part]
                node[name] = value[name]
            else:
                tree[section] = selected[section]
        return Config.of(tree, self.memory)

    def text(self) -> str:
        """The selected config as YAML."""
        return yaml.safe_dump(self.selected(), sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
