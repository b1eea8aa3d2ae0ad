"""What the last run of a folder had planned, and how another plan differs from it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from detkit.files import write_json
from detkit.reading import MIB, bounded_text
from detkit.stages.plan import Step

PLAN = "plan.json"
MAX_BYTES = 256 * MIB

Plan = Mapping[str, Mapping[str, Any]]
"""What is hashed for each step, by the step's label."""


def described(steps: Sequence[Step]) -> Plan:
    """The plan of these steps as JSON values."""
    plan: Plan = json.loads(json.dumps({step.label: step.description for step in steps}))
    return plan


def keep_plan(folder: Path, steps: Sequence[Step]) -> None:
    """Writes down in a run's folder what is hashed for each of its steps."""
    write_json(folder / PLAN, described(steps))


def last_plan(folder: Path) -> Plan:
    """What the last run of a folder had planned; empty where there was none, or its file cannot be read."""
    try:
        plan = json.loads(bounded_text(folder / PLAN, MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return plan if isinstance(plan, dict) and all(map(_is_description, plan.values())) else {}


def _is_description(step: Any) -> bool:
    known = {"config", "extra", "data", "version", "inputs"}
    return isinstance(step, dict) and known <= step.keys() and isinstance(step["inputs"], dict)


def differences(step: Step, last: Plan) -> list[str]:
    """Why a step's result is not that of the last run; nothing where it is, or where the last run had no such step.

    Returns:
        Settings as "FINETUNE.LR: 0.01, was 0.02", then what else changed, then the steps whose results it reads and
        that changed themselves.
    """
    if step.label not in last:
        return []
    old, new = last[step.label], described([step])[step.label]
    changes = [*_changes(old["config"], new["config"]), *_changes(old["extra"], new["extra"])]
    lines = [f"{key}: {_shown(now)}, was {_shown(before)}" for key, before, now in changes]
    if old["data"] != new["data"] and step.data:
        lines.append(f"other images or annotations in {', '.join(step.data)}")
    if old["version"] != new["version"]:
        lines.append(f"detkit's way of doing it: version {new['version']}, was {old['version']}")
    inputs = step.inputs.items()
    lines += [f"reads {read.label}, which changed" for name, read in inputs if old["inputs"].get(name) != read.digest]
    return lines


def _changes(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key, old, new) of every setting that differs; a part that only one of them chooses follows from its NAME."""
    if isinstance(old or new, Mapping) and None in (old, new):
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*new, *old]):
            yield from _changes(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield path, old, new


def _shown(value: Any) -> str:
    return "not set" if value in (None, "") else str(value)
