"""How Sphinx builds the site; ``make docs`` calls it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent / "extension"), str(Path(__file__).parent.parent)]

import detkit  # noqa: E402  (found by the line above)

project = "detkit"
author = "detkit's authors"
release = version = detkit.__version__
extensions = ["myst_nb", "sphinx_copybutton", "pages", "reference", "mathml", "languages"]
exclude_patterns = ["extension", "_templates"]
language = "en"
templates_path = ["_templates"]

html_theme = "furo"
html_title = f"detkit {version}"
html_math_renderer = "mathml"
html_show_sourcelink = False
html_show_copyright = False
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_static_path = ["_static"]
html_css_files = ["detkit.css"]

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 4
myst_dmath_double_inline = True
nb_execution_mode = "off"
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
# Commands stand in bash blocks with comments and placeholders; a word that the lexer cannot read is no mistake.
suppress_warnings = ["misc.highlighting_failure"]
