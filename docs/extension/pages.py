"""Pages of the repository that lie outside docs/, and links that lead out of it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from sphinx.application import Sphinx

DOCS = Path(__file__).resolve().parent.parent
ROOT = DOCS.parent
GENERATED = DOCS / "generated"
OUTSIDE = {
    "projects/rcnn/README.md": "generated/rcnn.md",
    "projects/spp_net/README.md": "generated/spp_net.md",
    "projects/fast_rcnn/README.md": "generated/fast_rcnn.md",
    "CHANGELOG.md": "generated/changelog.md",
    "CONTRIBUTING.md": "generated/contributing.md",
    "packages/blood_cells/README.md": "generated/blood_cells.md",
    "README.md": "index.md",
    "README.zh.md": "zh/index.md",
}
"""Files of the repository and the pages of the site that stand for them."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)#\s]*)(#[^)\s]*)?\)")


def on_site(text: str, source: Path, page: Path) -> str:
    """A page's Markdown with its links as they lead on the site; a link to a file that is no page becomes plain text.

    Args:
        text: Markdown.
        source: where the text lies in the repository.
        page: where its page lies in docs/.
    """

    def moved(found: re.Match[str]) -> str:
        mark, label, target, anchor = found[1], found[2], found[3], found[4] or ""
        file = (source.parent / target).resolve()
        if file.is_relative_to(ROOT) and str(file.relative_to(ROOT)) in OUTSIDE:
            file = DOCS / OUTSIDE[str(file.relative_to(ROOT))]
        elif not file.is_relative_to(DOCS):
            return label
        return f"{mark}[{label}]({os.path.relpath(file, page.parent)}{anchor})"

    return LINK.sub(moved, text)


def write_if_new(path: Path, text: str) -> None:
    """Writes a page, but leaves one alone that says the same, so that Sphinx does not read it again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _generate(app: Sphinx) -> None:
    for name, page in OUTSIDE.items():
        if page.startswith("generated/"):
            text = (ROOT / name).read_text(encoding="utf-8")
            write_if_new(DOCS / page, on_site(text, ROOT / name, DOCS / page))


def _rewrite(app: Sphinx, page: str, content: list[str]) -> None:
    source = Path(app.env.doc2path(page))
    if source.suffix == ".md" and not source.is_relative_to(GENERATED):
        content[0] = on_site(content[0], source, source)


def setup(app: Sphinx) -> Mapping[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", _generate)
    app.connect("source-read", _rewrite)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
