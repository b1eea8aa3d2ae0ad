"""Fixtures that several test folders use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("DETKIT_TEST_DATA", ROOT.parent / "shared"))

torch.set_num_threads(2)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photographs, weights and oracles; a test that asks for it is skipped where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"needs the shared photographs at {SHARED} (set DETKIT_TEST_DATA to their folder)")
    return SHARED


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads or fills the user's cache."""
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path / "cache"))
