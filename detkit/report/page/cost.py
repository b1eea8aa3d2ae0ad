"""The cost of a run."""

from __future__ import annotations

from detkit.report.page.blocks import Cell, Section, Spread, Table
from detkit.report.page.inputs import FOREIGN, Inputs


def cost(inputs: Inputs) -> Section:
    """Time and memory of each step."""
    title = "Time and memory"
    if not inputs.is_run:
        return Section("cost", title, missing=FOREIGN)
    known = [inputs.steps[label] for label in inputs.labels if label in inputs.steps]
    if not known:
        return Section("cost", title, missing="an earlier run has made all results, in another folder")
    total = sum(line["seconds"] for line in known)
    rows: list[list[Cell]] = []
    for label in inputs.labels:
        line = inputs.steps.get(label)
        if line is None:
            rows.append([label, "made by another run, or not needed", None, None])
            continue
        share = line["seconds"] / total if total else 0.0
        others = line.get("settings", 1) - 1
        what = f"{label}, with {others} other settings" if others else label
        rows.append([what, duration(line["seconds"]), Spread(share, 0.0, share), memory(line.get("peak_memory"))])
    rows.append(["total", duration(total), None, None])
    caption = "Memory is the most that the process, and the largest of its workers beside it, had held by then."
    return Section(
        "cost", title, blocks=[Table(["step", "time", "share in %", "memory"], rows, caption, emphasis=True)]
    )


def duration(seconds: float) -> str:
    """Seconds as text: 4.2 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def memory(count: int | None) -> str | None:
    """Bytes as text; None if they were not counted."""
    return f"{count / 2**30:.2f} GiB" if count else None
