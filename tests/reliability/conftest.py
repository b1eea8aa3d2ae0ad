"""The uninterrupted run and empty jobs."""

from __future__ import annotations

import pytest

from tests.reliability.harness import Job, Whole, whole_run


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Whole:
    """The uninterrupted run that others are compared with."""
    return whole_run(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def job(tmp_path) -> Job:
    """A job in an empty folder."""
    (tmp_path / "job").mkdir()
    return Job(tmp_path / "job")
