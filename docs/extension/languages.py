"""The switch between English pages and their Chinese counterparts below ``zh/``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sphinx.application import Sphinx

NAMES = {"en": "English", "zh": "中文"}
PAIRS = {"paper": "paper.zh"}
"""English pages whose Chinese page does not lie below zh/."""
BACK = {chinese: english for english, chinese in PAIRS.items()}


def counterpart(page: str, pages: set[str]) -> tuple[str, str]:
    """The page in the other language and that language; where there is none, that language's start page."""
    is_chinese = page.startswith("zh/") or page in BACK
    if is_chinese:
        other = BACK.get(page, page.removeprefix("zh/"))
        return (other if other in pages else "index"), "en"
    other = PAIRS.get(page, f"zh/{page}")
    return (other if other in pages else "zh/index"), "zh"


def _add_switch(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    other, language = counterpart(page, app.env.found_docs)
    context["language"] = "en" if language == "zh" else "zh-CN"
    context |= {"other_page": other, "other_language": language, "other_name": NAMES[language]}


def setup(app: Sphinx) -> Mapping[str, bool]:
    """Called by Sphinx."""
    app.connect("html-page-context", _add_switch)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
