"""The plan of a folder's last run, and its differences from another plan."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from detkit.data.base import Dataset
from detkit.data.fingerprint import ImageFacts, annotation_columns, inspect_images
from detkit.run.plan import Step
from detkit.system.files import write_atomically, write_json
from detkit.system.reading import MIB, bounded_text

PLAN = "plan.json"
DATA = "plan.safetensors"
COLUMNS = ("the list of images", "the image", "the annotations")
KNOWN = {"stage", "settings", "parts", "content", "data", "inputs"}
"""What is hashed for a step."""
MAX_BYTES = 256 * MIB

Plan = Mapping[str, Mapping[str, Any]]
"""What is hashed for each step, by the step's label."""


def described(steps: Sequence[Step]) -> Plan:
    """The plan of these steps as JSON values."""
    plan: Plan = json.loads(json.dumps({step.label: step.description for step in steps}))
    return plan


@dataclass(frozen=True)
class LastRun:
    """The records of a folder's last run.

    Args:
        plan: its plan; empty if there was no run, or the file cannot be read.
        content: for each role (N, 3) checksums of each image's id, file and annotations; empty in the same cases.
    """

    plan: Plan
    content: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, folder: Path) -> LastRun:
        """The records in a run's folder."""
        try:
            content = load((folder / DATA).read_bytes())
        except (OSError, SafetensorError):
            content = {}
        return cls(last_plan(folder), content)


def keep_plan(folder: Path, steps: Sequence[Step]) -> None:
    """Writes the hashed values of each step, and checksums of each image, to a run's folder."""
    # First the plan: it is the mark that all else in the folder is a run's.
    write_json(folder / PLAN, described(steps))
    data = {role: dataset for step in steps for role, dataset in step.data.items()}
    rows = {dataset: _content(dataset) for dataset in data.values()}
    write_atomically(folder / DATA, save({role: rows[dataset] for role, dataset in data.items()}))


def last_plan(folder: Path) -> Plan:
    """The plan of a folder's last run; empty if there was none, or its file cannot be read.

    Steps of an earlier format are left out, because they cannot be compared.
    """
    plan = _read_plan(folder) or {}
    return {label: step for label, step in plan.items() if KNOWN <= step.keys()}


def has_plan(folder: Path) -> bool:
    """Whether a run has written to the folder: it holds a plan that can be read."""
    return _read_plan(folder) is not None


def _read_plan(folder: Path) -> Plan | None:
    try:
        plan = json.loads(bounded_text(folder / PLAN, MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return None
    return plan if isinstance(plan, dict) and all(map(_is_description, plan.values())) else None


def _is_description(step: Any) -> bool:
    return isinstance(step, dict) and {"stage", "data"} <= step.keys() and isinstance(step.get("inputs"), dict)


def differences(step: Step, last: LastRun) -> list[str]:
    """Why a step's result is not that of the last run; empty if it is, or if the last run had no such step.

    Returns:
        Settings as "FINETUNE.LR: 0.01, was 0.02", then what else changed, then the steps whose results it reads and
        that changed themselves.
    """
    if step.label not in last.plan:
        return []
    old, new = last.plan[step.label], described([step])[step.label]
    changes = [*changed_settings(old["settings"], new["settings"]), *changed_settings(old["content"], new["content"])]
    lines = [f"{key}: {shown_setting(now)}, was {shown_setting(before)}" for key, before, now in changes]
    for (role, dataset), before, now in zip(step.data.items(), old["data"], new["data"]):
        if before != now:
            others = "the classes are others" if role in step.reads.annotated else "its images are hashed otherwise"
            change = first_change(dataset, last.content.get(role)) or others
            lines.append(f"{role if '.' in role else f'DATA.{role}'}: {change}")
    if len(old["data"]) != len(new["data"]):
        lines.append(f"reads the data of {', '.join(step.data)}: {len(new['data'])} sets, was {len(old['data'])}")
    lines += _changes_of_code({"stage": old["stage"], **old["parts"]}, {"stage": new["stage"], **new["parts"]})
    inputs = step.inputs.items()
    lines += [f"reads {read.label}, which changed" for name, read in inputs if old["inputs"].get(name) != read.digest]
    return lines


def _content(dataset: Dataset) -> np.ndarray:
    samples = list(dataset)
    facts = inspect_images([sample.path for sample in samples])
    rows = [
        (sample.image_id, found.sha256 if isinstance(found, ImageFacts) else "", annotation_columns(sample))
        for sample, found in zip(samples, facts)
    ]
    sums = [[zlib.crc32(str(part).encode(errors="replace")) for part in row] for row in rows]
    return np.array(sums, np.int64).reshape(-1, len(COLUMNS))


def first_change(dataset: Dataset, before: np.ndarray | None) -> str:
    """The first image of a data set that differs, and how; empty if none does."""
    if before is None:
        return "other images or annotations"
    now = _content(dataset)
    shared = min(len(before), len(now))
    differs = before[:shared] != now[:shared]
    if len(before) != len(now) or differs[:, 0].any():
        first = int(np.argmax([*differs[:, 0], True]))
        place = f"from {dataset[first].image_id} on" if first < len(now) else "at its end"
        return f"{COLUMNS[0]} is another {place}: {len(now)}, was {len(before)}"
    for column in (1, 2):
        rows = np.flatnonzero(differs[:, column])
        if len(rows):
            more = f" and of {len(rows) - 1} more" if len(rows) > 1 else ""
            return f"{COLUMNS[column]} of {dataset[int(rows[0])].image_id}{more} changed"
    return ""


def changed_settings(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key, old, new) of every setting that differs. The settings of a component that only one selects are left out."""
    path = path.removesuffix(".*")
    if isinstance(old or new, Mapping) and None in (old, new):
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*new, *old]):
            yield from changed_settings(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new:
        yield "COMPUTE.DTYPE" if path == "COMPUTE" else path, old, new


def _changes_of_code(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """A line for each part that is the same class as before and another code."""
    for key in old.keys() & new.keys():
        before, now = old[key], new[key]
        if before == now or before["name"] != now["name"]:
            continue
        name = now["name"].rpartition(".")[2]
        if before["version"] != now["version"]:
            yield f"the code of {name}: version {now['version']}, was {before['version']}"
        else:
            yield f"the code of {name}: its sources changed"


def shown_setting(value: Any) -> str:
    """A value in the form for messages."""
    return "not set" if value in (None, "") else str(value)
