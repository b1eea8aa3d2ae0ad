"""Text, JSON and XML of label files, with the one-line errors of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from detkit.errors import DataError
from detkit.system.reading import MIB, bounded_bytes, bounded_json, bounded_text, told

MAX_BYTES = 512 * MIB
NUMBER_LIMIT = 1e9


def read_text(file: Path, expected: str) -> str:
    """The text of a file in UTF-8.

    Args:
        file: the file.
        expected: what it should hold, for messages.

    Raises:
        DataError: if the file cannot be read or is no text.
    """
    with told(file, "labels", expected):
        return bounded_text(file, MAX_BYTES)


def read_json(file: Path, expected: str) -> Any:
    """The value of a JSON file in UTF-8.

    Raises:
        DataError: if the file cannot be read or is no JSON.
    """
    with told(file, "labels", expected, form="JSON"):
        return bounded_json(file, MAX_BYTES)


def read_xml(file: Path, expected: str) -> Element:
    """The root element of an XML file.

    Raises:
        DataError: if the file cannot be read or is no XML.
    """
    from defusedxml.ElementTree import fromstring

    with told(file, "labels", expected, form="XML"):
        root: Element = fromstring(bounded_bytes(file, MAX_BYTES))
        return root


def number(value: Any, where: str) -> float:
    """A coordinate, from a number or a text.

    Raises:
        DataError: if it is no number, is not finite, or is too large for any image.
    """
    try:
        found = float(value) if not isinstance(value, bool) else float("nan")
    except (TypeError, ValueError, OverflowError):
        found = float("nan")
    if not abs(found) <= NUMBER_LIMIT:
        raise DataError(f"{where} is {value!r:.60}; expected a finite number")
    return found


def flag(value: Any, where: str) -> bool:
    """A yes or no of a label file, written 0, 1, true or false.

    Raises:
        DataError: if it is anything else.
    """
    text = str(value).strip().lower()
    if text not in _FLAGS:
        raise DataError(f"{where} is {value!r:.60}; expected 0, 1, true or false")
    return _FLAGS[text]


_FLAGS = {"0": False, "1": True, "false": False, "true": True, "no": False, "yes": True}
