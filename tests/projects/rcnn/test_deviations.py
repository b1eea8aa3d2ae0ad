"""The tables of DEVIATIONS say something in every cell, and the keys that they name are there."""

import re
from pathlib import Path

import pytest
import yaml

from detkit.config import load_config

FOLDER = Path(__file__).resolve().parents[3] / "projects/rcnn"
TABLES = (FOLDER / "README.md").read_text(encoding="utf-8").partition("## DEVIATIONS")[2]
ROWS = [line.strip("|").split("|") for line in TABLES.splitlines() if line.startswith("|") and "---" not in line]
KEYS = [pair for row in ROWS for pair in re.findall(r"`([A-Z][A-Z_]+(?:\.\w+)+): ([^`]+)`", row[-1])]


def test_no_cell_is_empty_and_every_row_has_the_columns_of_its_table():
    assert len(ROWS) > 50
    columns = {len(row) for row in ROWS}
    assert columns == {5, 6}
    assert [row for row in ROWS if any(cell.strip() in ("", "-") for cell in row)] == []


def test_every_row_ends_with_a_key_a_file_or_the_reason_why_there_is_none():
    heads = ("key for the other", "key that gives the notes' reading")
    ends = [row[-1].strip() for row in ROWS if row[-1].strip() not in heads]
    assert len(ends) == len(ROWS) - 2
    named = r"`[A-Z][A-Z_]+(\.\w+)+(: [^`]+)?`|`\w+\.yaml`|`\.\w+`|none: \w+"
    assert [end for end in ends if not re.search(named, end)] == []


@pytest.mark.parametrize(("key", "value"), dict.fromkeys(KEYS), ids=": ".join)
def test_a_key_takes_the_value_that_the_table_gives_it(key, value):
    found = load_config(FOLDER / "quick.yaml", [f"{key}={value}"])
    for word in key.split("."):
        found = found[word]
    assert found == yaml.safe_load(value)


def test_files_that_the_tables_name_are_recipes():
    named = {name for name in re.findall(r"`([\w*]+\.yaml)`", TABLES) if "*" not in name}
    assert named and all((FOLDER / name).is_file() for name in named)


@pytest.mark.parametrize(
    ("topic", "told"),
    [
        ("class without positives", "never fires"),
        ("forced training", "each pass"),
        ("inclusive widths", "0.001 px"),
        ("shown of one image", "-1"),
        ("options of regression", "`robust`"),
        ("options of regression", "`binarize`"),
        ("appendix F", "not built"),
        ("released models", "not imported"),
        ("crop pixels", "FEATURE_PIXELS"),
    ],
)
def test_differences_that_readers_of_the_released_code_asked_for_have_a_row(topic, told):
    assert [row for row in ROWS if topic in row[0] and any(told in cell for cell in row[1:])]
