"""The pages: their length, their lines, their notebooks, and how the site rewrites links."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT / "docs/extension"))

languages = pytest.importorskip("languages", reason="needs Sphinx: pip install -e '.[docs]'")
import links  # noqa: E402
import pages  # noqa: E402

MARKDOWN = sorted(
    p
    for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("projects/*/*.md")]
    if "generated" not in str(p)
)
NOTEBOOKS = sorted(ROOT.glob("docs/tutorial/*.ipynb"))


def prose(page):
    """The lines of a page that stand in no fenced block and in no table."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [line for line in text.splitlines() if not line.startswith("|") and not line.startswith("![")]


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_line_of_prose_is_longer_than_120_characters(page):
    assert [line for line in prose(page) if len(line) > 120] == []


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_a_readme_has_at_most_180_lines(name):
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= 180


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.name)
def test_chinese_notebook_has_the_cells_of_the_english_one(notebook):
    english, chinese = (
        json.loads(path.read_text(encoding="utf-8"))["cells"]
        for path in (notebook, ROOT / "docs/zh/tutorial" / notebook.name)
    )
    assert [cell["cell_type"] for cell in english] == [cell["cell_type"] for cell in chinese]
    for one, other in zip(english, chinese, strict=True):
        assert one["cell_type"] == "markdown" or one["source"] == other["source"]


def test_a_link_out_of_the_site_leads_to_the_page_that_stands_for_the_file():
    source = page = pages.DOCS / "how_to/voc.md"
    text = "[a](../../projects/rcnn/README.md#x) [b](../../setup.cfg) [c](../paper.md) [d](https://x.org) [e](#f)"
    expected = "[a](../generated/rcnn.md#x) b [c](../paper.md) [d](https://x.org) [e](#f)"
    assert pages.on_site(text, source, page) == expected


def test_a_moved_page_keeps_its_links():
    moved = pages.on_site("[p](../../docs/paper.md)", ROOT / "projects/rcnn/README.md", pages.GENERATED / "rcnn.md")
    assert moved == "[p](../paper.md)"


def test_the_switch_finds_the_other_language():
    known = {"index", "glossary", "paper", "paper.zh", "zh/index", "zh/tutorial/a", "tutorial/a"}
    assert languages.counterpart("tutorial/a", known) == ("zh/tutorial/a", "zh")
    assert languages.counterpart("zh/tutorial/a", known) == ("tutorial/a", "en")
    assert languages.counterpart("paper.zh", known) == ("paper", "en")
    assert languages.counterpart("glossary", known) == ("zh/index", "zh")


def test_broken_links_are_found(tmp_path):
    (tmp_path / "a.html").write_text('<p id="x"></p><a href="b.html#y">1</a><a href="#x">2</a><a href="c.html">3</a>')
    (tmp_path / "b.html").write_text('<a href="https://x.org">1</a><a href="a.html#x">2</a>')
    assert links.broken(tmp_path) == ["a.html: b.html#y", "a.html: c.html"]


@pytest.mark.notebook
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda p: p.name)
def test_a_notebook_runs_from_its_first_cell_to_its_last(notebook, tmp_path):
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    nbclient.NotebookClient(
        nbformat.read(notebook, as_version=4), timeout=1800, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
