"""Writes answers into a folder."""

from __future__ import annotations

from detkit.diagnosis.plain import plain
from detkit.study.answer import Answer
from detkit.study.lab import Lab
from detkit.study.markdown import markdown
from detkit.study.text import Language
from detkit.system.files import write_atomically, write_json
from detkit.visualize.plots.figures import write_plot


def write_answer(name: str, title: str, answer: Answer, lab: Lab, language: Language) -> str:
    """Writes NAME/answer.md, NAME/answer.json and the pictures below the study's folder.

    Returns:
        The page.
    """
    folder = lab.folder / name
    folder.mkdir(parents=True, exist_ok=True)
    page = markdown(title, answer, lab, language)
    for picture, figure in answer.figures.items():
        write_plot(folder / f"{picture}.png", figure)
    head = {"name": name, "title": title, "recipe": str(lab.recipe), "overrides": lab.overrides}
    write_json(folder / "answer.json", {**head, **plain(answer.plain(lab, language))})
    write_atomically(folder / "answer.md", page.encode())
    return page
