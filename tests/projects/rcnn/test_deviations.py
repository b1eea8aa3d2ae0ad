"""The differences below DEVIATIONS say all that they must, and the keys that they name are there."""

import re
from pathlib import Path

import pytest
import yaml

from detkit.config import load_config
from tests.projects.deviations import differences

FOLDER = Path(__file__).resolve().parents[3] / "projects/rcnn"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
FOUND = differences(README)
LAST = ("key for the other", "key that gives the notes' reading")
ENDS = [one.get(LAST[0]) or one[LAST[1]] for one in FOUND]
KEYS = [pair for end in ENDS for pair in re.findall(r"`([A-Z][A-Z_]+(?:\.\w+)+): ([^`]+)`", end)]


def test_every_difference_has_the_points_of_its_table():
    assert len(FOUND) > 50
    paper = {"topic", "paper", "released code", "detkit", "why", LAST[0]}
    notes = {"topic", "notes", "paper and detkit", "why", LAST[1]}
    assert [one for one in FOUND if set(one) not in (paper, notes)] == []


def test_every_difference_ends_with_a_key_a_file_or_the_reason_why_there_is_none():
    named = r"`[A-Z][A-Z_]+(\.\w+)+(: [^`]+)?`|`\w+\.yaml`|`\.\w+`|none: \w+"
    assert [end for end in ENDS if not re.search(named, end)] == []


@pytest.mark.parametrize(("key", "value"), dict.fromkeys(KEYS), ids=": ".join)
def test_a_key_takes_the_value_that_the_page_gives_it(key, value):
    found = load_config(FOLDER / "quick.yaml", [f"{key}={value}"])
    for word in key.split("."):
        found = found[word]
    assert found == yaml.safe_load(value)


def test_files_that_the_page_names_are_recipes():
    named = {name for name in re.findall(r"`([\w*]+\.yaml)`", README) if "*" not in name}
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
        ("appendix f", "not built"),
        ("released models", "not imported"),
        ("crop pixels", "FEATURE_PIXELS"),
    ],
)
def test_differences_that_readers_of_the_released_code_asked_for_have_a_row(topic, told):
    assert [one for one in FOUND if topic in one["topic"].lower() and any(told in text for text in one.values())]
