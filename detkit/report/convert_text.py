"""The report of a conversion as text."""

from __future__ import annotations

from pathlib import Path

from detkit.data.labels.convert import Conversion
from detkit.errors import counted, one_line
from detkit.evaluation.table import aligned

SHOWN = 3
LINES = 20


def conversion_text(done: Conversion, place: str, folder: Path) -> str:
    """The text of a conversion: what was read, what was written, and what was lost, by kind and image."""
    splits = ", ".join(f"{name} {count}" for name, count in done.splits.items()) or "not divided into splits"
    parts = [
        f"{place}: {done.source} ({done.why})\n{counted(done.num_images, 'image')} ({splits}), "
        f"{counted(done.num_objects, 'object')} of {len(done.class_names)} classes"
    ]
    if done.lost:
        rows = [["not carried over", "times", "images", "such as"]]
        for kind, images in sorted(done.lost.items(), key=lambda item: -sum(item[1].values())):
            named = [one_line(name) for name in images if name]
            shown = ", ".join(named[:SHOWN]) + (", ..." if len(named) > SHOWN else "")
            rows.append([one_line(kind), str(sum(images.values())), str(len(named) or "-"), shown or "the whole file"])
        parts.append(aligned(rows))
    for title, lines in (("left out", done.left_out), ("note", done.notes)):
        told = [f"{title}: {one_line(line)}" for line in lines[:LINES]]
        if len(lines) > LINES:
            told.append(f"{title}: and {len(lines) - LINES} more, in {folder / 'conversion.json'}")
        parts += ["\n".join(told)] if told else []
    parts.append(f"{folder}: written; conversion.json there has every image of each kind")
    return "\n\n".join(parts)
