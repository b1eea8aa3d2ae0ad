"""What reading and parsing raise, in one line that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree.ElementTree import fromstring

import pytest

from detkit.errors import DataError
from detkit.system.reading import bounded_bytes, bounded_json, bounded_text, told

READ = {
    "text": lambda file: bounded_text(file, 9),
    "JSON": lambda file: bounded_json(file, 99_999),
    "XML": lambda file: fromstring(bounded_bytes(file, 99)),
}


@pytest.mark.parametrize(
    ("form", "content", "message"),
    [
        ("text", b"ten bytes.", "cannot read the labels: 10 bytes, at most 9 are read"),
        ("text", b"\xff", "not a text file in UTF-8; expected rows"),
        ("JSON", b"[\n1,", ":2: not readable as JSON: Expecting value; expected rows"),
        ("JSON", b'{"a": 1, "a": 2}', "not readable as JSON: an object has the key 'a' twice; expected rows"),
        ("JSON", b"[" * 50_000, "not readable as JSON: "),
        ("XML", b"<a>\n<b>", ":2: not readable as XML: no element found"),
        ("XML", b"<?xml version='1.0' encoding='klingon'?><a/>", "not readable as XML: unknown encoding"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_one_line(tmp_path, form, content, message):
    file = tmp_path / "a.file"
    file.write_bytes(content)
    with pytest.raises(DataError) as error, told(file, "labels", "rows", form=form):
        READ[form](file)
    assert str(error.value).startswith(f"{file}{'' if message[0] == ':' else ': '}{message}")
    assert "\n" not in str(error.value)


def test_a_missing_file_has_the_readers_own_words_or_the_systems():
    gone = Path("gone.txt")
    system = r"^gone\.txt: cannot read the labels: No such file or directory$"
    for missing, message in (("", system), ("draw some first", r"^draw some first$")):
        with pytest.raises(DataError, match=message), told(gone, "labels", "rows", missing=missing):
            bounded_text(gone, 9)


def test_what_is_read_is_handed_on(tmp_path):
    file = tmp_path / "a.json"
    file.write_text(json.dumps([1]))
    with told(file, "labels", "rows", form="JSON"):
        found = bounded_json(file, 99)
    assert found == [1]
