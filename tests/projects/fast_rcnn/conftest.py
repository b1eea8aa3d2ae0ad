"""The project's parts, imported as a recipe imports them."""

import sys
from pathlib import Path

import pytest

from detkit.config.project import import_project

FOLDER = Path(__file__).resolve().parents[3] / "projects/fast_rcnn"


@pytest.fixture(scope="session")
def project():
    """The package ``projects/fast_rcnn``."""
    import_project(FOLDER, "tests")
    return next(m for name, m in sys.modules.items() if getattr(m, "__file__", None) == str(FOLDER / "__init__.py"))
