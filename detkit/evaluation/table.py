"""Metrics as plain text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any


def ap_table(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """AP in percent: a line for each class, one for the mean, and one for its 95 % interval if a column has one.

    Args:
        columns: metrics by heading: {"AP": {class: fraction or None}}, if there is one "mAP", and if there is one
            "interval": [low, high]. Without "mAP", the mean is over the classes that have a number. A class that a
            column lacks, or that has no ground truth, shows a dash.

    Returns:
        Lines without a trailing newline; an empty text if there are no columns.
    """
    if not columns:
        return ""
    class_names = list(dict.fromkeys(name for column in columns.values() for name in column["AP"]))
    rows = [["class", *columns]]
    rows += [[name, *(_percent(c["AP"].get(name)) for c in columns.values())] for name in class_names]
    rows.append(["mAP", *(_percent(_mean_ap(c)) for c in columns.values())])
    if any("interval" in c for c in columns.values()):
        rows.append(["95 %", *("-".join(map(_percent, c.get("interval", [None]))) for c in columns.values())])
    return aligned(rows)


def _mean_ap(column: Mapping[str, Any]) -> float | None:
    if "mAP" in column:
        given: float | None = column["mAP"]
        return given
    known = [ap for ap in column["AP"].values() if ap is not None]
    return sum(known) / len(known) if known else None


def results_table(results: Mapping[str, Any]) -> str:
    """The metrics of a results.json, AP before the box head beside AP after it."""
    columns: dict[str, Any] = {}
    if "pretrain" in results:
        columns["pretrain"] = {name: v for name, v in results["pretrain"].items() if not isinstance(v, str)}
    before = results.get("metrics_before_box_head", {})
    for name, metrics in results.get("metrics", {}).items():
        if isinstance(metrics.get("AP"), Mapping) and name in before:
            columns[f"{name} before box head"] = before[name]
        columns[name] = metrics
    return metrics_table(columns)


def metrics_table(metrics: Mapping[str, Mapping[str, Any]]) -> str:
    """The metrics of a run: the AP of the classes side by side, then a line for each other number.

    Lists and tables of tables, such as recall by threshold and number of proposals, stay in results.json.
    """
    by_class = {name: m for name, m in metrics.items() if isinstance(m.get("AP"), Mapping)}
    parts = [ap_table(by_class)] if by_class else []
    for name, numbers in metrics.items():
        if name not in by_class:
            rows = [[f"  {key}", _number(value)] for key, value in _one_deep(numbers)]
            parts.append(aligned([[name, ""], *rows]))
    return "\n\n".join(parts)


def _one_deep(numbers: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in numbers.items():
        if not isinstance(value, Mapping):
            value, prefix = {key: value}, ""
        else:
            prefix = f"{key} "
        if not any(isinstance(v, (Mapping, list, tuple)) for v in value.values()):
            yield from ((f"{prefix}{k}", v) for k, v in value.items())


def _number(value: Any) -> str:
    """A fraction in percent; a text, and a count such as boxes an image, as it is."""
    if isinstance(value, str):
        return value
    is_fraction = value is None or (isinstance(value, float) and 0 <= value <= 1)
    return _percent(value) if is_fraction else f"{value:.6g}"


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.1f}"


def aligned(rows: list[list[str]]) -> str:
    """Lines of columns two spaces apart; the first is aligned to the left, the others to the right."""
    widths = [max(map(_width, column)) for column in zip(*rows)]
    lines = []
    for first, *rest in rows:
        cells = [first + " " * (widths[0] - _width(first))]
        cells += [" " * (w - _width(cell)) + cell for w, cell in zip(widths[1:], rest)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    """Columns of a terminal: Chinese, Japanese and Korean characters take two, combining marks none."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(unicodedata.combining(c) > 0 for c in text)
