"""The reports of ``detkit data check`` as text."""

from __future__ import annotations

from collections.abc import Sequence

from detkit.evaluation.table import aligned
from detkit.report.data_check import SHARES, SplitReport


def report_text(reports: Sequence[SplitReport]) -> str:
    """The reports as text: objects of each class, sizes, then each problem and warning in a line."""
    parts = list(dict.fromkeys(report.taken_for for report in reports if report.taken_for))
    parts.append(_counts(reports))
    for report in reports:
        if report.quantiles:
            heads = [f"pixels in {report.name}", *("least" if s == 0 else f"{s:.0%}" for s in SHARES)]
            rows = [[name, *(f"{v:g}" for v in values)] for name, values in report.quantiles.items()]
            parts.append(aligned([heads, *rows]))
    for report in reports:
        kind = "stops" if report.stops else "left out"
        lines = [f"{kind}: {line}" for line in report.problems] + [f"warning: {line}" for line in report.warnings]
        if lines:
            parts.append("\n".join([f"{report.name}:", *lines]))
    return "\n\n".join(parts)


def _counts(reports: Sequence[SplitReport]) -> str:
    names = dict.fromkeys(name for report in reports for name in report.objects)
    rows = [["", *(report.name for report in reports)]]
    rows += [["images", *(str(report.num_images) for report in reports)]]
    if any(report.left_out for report in reports):
        rows += [["left out", *(report.left_out or "-" for report in reports)]]
    rows += [["images without objects", *(str(report.num_empty) for report in reports)]]
    rows += [["objects", *(str(sum(report.objects.values())) for report in reports)]]
    rows += [["  difficult", *(str(report.num_difficult) for report in reports)]]
    rows += [["  crowd", *(str(report.num_crowd) for report in reports)]]
    rows += [["  out of reach", *(str(report.num_unreachable) for report in reports)]]
    if any(report.num_other for report in reports):
        rows += [["of other classes, ignored", *(str(report.num_other) for report in reports)]]
    rows += [[f"  {name}", *(str(report.objects.get(name, "-")) for report in reports)] for name in names]
    return aligned(rows)
