"""What a benchmark gives, and how it is written down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- benchmarks/run.py writes from here -->", "<!-- to here -->"


@dataclass(frozen=True)
class Figure:
    """One figure: a value beside what it is compared with, both measured in one run.

    Args:
        family: the benchmark.
        name: what was measured.
        value: its median.
        unit: of the value and of ``base``.
        against: what it is compared with.
        base: the median of that, or None where the value is a ratio by itself.
        ratio: how many times better; its definition stands in ``against``.
        low: least ratio of the repetitions.
        high: greatest ratio of the repetitions.
        aim: what it should reach.
    """

    family: str
    name: str
    value: float
    unit: str
    against: str = ""
    base: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    aim: str = ""


def markdown(machine: Mapping[str, Any], figures: Sequence[Figure]) -> str:
    """A table, the machine above it."""
    lines = [", ".join(f"{name} {value}" for name, value in machine.items()), ""]
    lines += ["| what | median | against | its median | ratio (least to most) | aim |", "|---|---|---|---|---|---|"]
    for f in figures:
        base = "" if f.base is None else f"{f.base:.4g} {f.unit}"
        spread = "" if f.ratio is None else f"{f.ratio:.2f}"
        if f.low is not None and f.high is not None:
            spread += f" ({f.low:.2f} to {f.high:.2f})"
        lines.append(f"| {f.family}: {f.name} | {f.value:.4g} {f.unit} | {f.against} | {base} | {spread} | {f.aim} |")
    return "\n".join(lines) + "\n"


def write(folder: Path, machine: Mapping[str, Any], figures: Sequence[Figure]) -> None:
    """``table.md`` and ``table.json`` in a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "table.md").write_text(markdown(machine, figures), encoding="utf-8")
    plain = {"machine": dict(machine), "figures": [asdict(f) for f in figures]}
    (folder / "table.json").write_text(json.dumps(plain, indent=1), encoding="utf-8")


def put_into(page: Path, machine: Mapping[str, Any], figures: Sequence[Figure]) -> None:
    """Replaces the generated section of a page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{markdown(machine, figures)}{END}{after}", encoding="utf-8")
