"""The table of mistakes stays in step with the code; ``make mutants`` shows that tests see each of them."""

import re
import runpy
from pathlib import Path

import pytest

TABLE = runpy.run_path(str(Path(__file__).with_name("mutations.py")))
ROWS = TABLE["ROWS"]


@pytest.mark.parametrize("row", ROWS, ids=[row.mistake for row in ROWS])
def test_a_mistake_changes_one_place_and_its_tests_exist(row):
    assert TABLE["mutated"](row) != (TABLE["ROOT"] / row.file).read_text()
    files = re.findall(r"\S+\.py", row.tests)
    assert files and all((TABLE["ROOT"] / "tests" / file).is_file() for file in files)


def test_every_mistake_has_a_name_of_its_own():
    assert len({row.mistake for row in ROWS}) == len(ROWS) > 35
