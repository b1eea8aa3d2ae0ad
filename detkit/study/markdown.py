"""An answer as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from detkit.study.answer import Answer, Cell, Table
from detkit.study.lab import Lab, last_step
from detkit.study.setting import AS_IT_IS, Setting
from detkit.study.text import Language, Text

WIDTH = 100
CONFIG = Text("Settings", "设置")
COLUMNS = (Text("setting", "设置"), Text("keys", "配置键"), Text("hash of its result", "结果的哈希"))


def markdown(title: str, answer: Answer, lab: Lab, language: Language) -> str:
    """The answer as a Markdown page: paragraph, tables, pictures, and settings with their hashes."""
    parts = [f"# {title}", _wrapped(answer.paragraph.of(language), language)]
    parts += [_table(table, language) for table in answer.tables]
    parts += [f"![{name}]({name}.png)" for name in answer.figures]
    if answer.settings:
        parts += [f"## {CONFIG.of(language)}", _settings(answer.settings, lab, language)]
    return "\n\n".join(parts) + "\n"


def _wrapped(text: str, language: Language) -> str:
    """Lines of at most 100 columns; Chinese has no spaces to break at and stays whole."""
    return text if language == "zh" else textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _table(table: Table, language: Language) -> str:
    rows = [[shown(cell, language) for cell in row] for row in table.rows]
    lines = [f"**{table.heading.of(language)}**", "", *_grid([c.of(language) for c in table.columns], rows)]
    note = _wrapped(table.note.of(language), language)
    return "\n".join([*lines, *(["", note] if note else [])])


def _settings(settings: Sequence[Setting], lab: Lab, language: Language) -> str:
    rows: list[list[str]] = []
    for setting in {s.identity: s for s in reversed(settings)}.values():
        missing = lab.missing(setting)
        words = ", ".join(f"`{word}`" for word in setting.words) or AS_IT_IS.label.of(language)
        found = missing or last_step(lab.run(setting), setting.kind, setting.role).digest[:12]
        rows.insert(0, [setting.label.of(language), words, found if missing else f"`{found}`"])
    return "\n".join(_grid([column.of(language) for column in COLUMNS], rows))


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |" for line in lines]


def shown(cell: Cell, language: Language) -> str:
    """The text of a table's cell."""
    if isinstance(cell, Text):
        return cell.of(language)
    if isinstance(cell, float):
        return f"{cell:.1f}"
    return "-" if cell is None else str(cell)
