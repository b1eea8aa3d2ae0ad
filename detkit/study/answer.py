"""The answer of a study: a paragraph, tables, pictures and the settings that were run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from detkit.study.lab import Lab
from detkit.study.setting import Setting
from detkit.study.text import NOTHING, Language, Text
from detkit.study.verdict import Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Cell = Text | str | float | int | None


@dataclass(frozen=True)
class Table:
    """Rows under headings.

    Args:
        heading: heading of the whole table.
        columns: heading of each column.
        rows: texts, numbers (shown with one decimal), and None for a dash.
        note: a text below the table.
    """

    heading: Text
    columns: Sequence[Text]
    rows: Sequence[Sequence[Cell]]
    note: Text = NOTHING


@dataclass(frozen=True)
class Answer:
    """The answer of one study.

    Args:
        paragraph: the answer in words, with the numbers of the runs.
        tables: the figures.
        verdicts: claims, and whether they hold.
        figures: pictures by file name without its ending.
        settings: the settings that were run.
    """

    paragraph: Text
    tables: Sequence[Table] = ()
    verdicts: Sequence[Verdict] = ()
    figures: Mapping[str, Figure] = field(default_factory=dict)
    settings: Sequence[Setting] = ()

    def plain(self, lab: Lab, language: Language) -> dict[str, Any]:
        """The answer as JSON values; texts in one language, numbers in full."""
        return {
            "text": self.paragraph.of(language),
            "verdicts": [
                {
                    "claim": v.claim.of(language),
                    "difference": v.difference.value,
                    "interval": [v.difference.low, v.difference.high],
                    "verdict": v.word,
                }
                for v in self.verdicts
            ],
            "tables": [
                {
                    "heading": table.heading.of(language),
                    "columns": [column.of(language) for column in table.columns],
                    "rows": [[c.of(language) if isinstance(c, Text) else c for c in row] for row in table.rows],
                    "note": table.note.of(language),
                }
                for table in self.tables
            ],
            "pictures": [f"{name}.png" for name in self.figures],
            "settings": [
                {
                    "label": setting.label.of(language),
                    "keys": dict(setting.keys),
                    "steps": lab.hashes(setting),
                    "missing": lab.missing(setting),
                }
                for setting in self.settings
            ],
        }
