"""Every registered component and documented entry point has an example in its docstring, and each runs."""

from __future__ import annotations

import doctest
import inspect
import sys

import pytest

import detkit
from detkit.box_heads import coding
from detkit.components import load_components
from detkit.config.project import bundled_projects, import_named
from detkit.detection.load import load
from detkit.regions.warp import warp_windows
from detkit.registry import ALL_REGISTRIES
from detkit.testing.example import example_source

load_components()
for project in bundled_projects():
    import_named(str(project), "tests")

COMPONENTS = [
    registry.get(name)
    for registry in ALL_REGISTRIES
    for name in registry.names()
    if registry.get(name).__module__.startswith("detkit.")
]
ENTRY_POINTS = [detkit.load, load, coding.encode_boxes, coding.decode_boxes, warp_windows, example_source]


@pytest.mark.parametrize("documented", COMPONENTS + ENTRY_POINTS, ids=lambda d: f"{d.__module__}.{d.__qualname__}")
def test_its_example_runs(documented, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {**vars(sys.modules[documented.__module__])}
    parser = doctest.DocTestParser()
    example = parser.get_doctest(inspect.getdoc(documented), names, documented.__qualname__, None, None)
    assert example.examples, "there is no example in its docstring"
    told = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL)
    runner.run(example, out=told.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(told)
