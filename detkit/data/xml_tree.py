"""Annotation files as trees of elements, with the lines on which some of them begin."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder, XMLParser

from defusedxml.ElementTree import DefusedXMLParser

from detkit.system.reading import MIB, bounded_bytes, told

MAX_BYTES = 16 * MIB
_OTHER_ENCODING = re.compile(rb"<\?xml[^>]*encoding(?!\s*=\s*[\"'](?i:utf-8|us-ascii)[\"'])")


def parse_xml(file: Path, tag: str) -> tuple[Element, list[int]]:
    """The root element of a file, and the line of each element of that tag directly below it.

    Raises:
        DataError: if the file is missing, cannot be read or parsed, or declares entities.
    """
    missing = f"{file}: no such annotation file; an image without objects needs one without <object>"
    with told(file, "annotation", "a VOC annotation", form="XML", missing=missing):
        data = bounded_bytes(file, MAX_BYTES)
        if _is_plain(data):
            parser = XMLParser()
            parser.feed(data)
            root: Element = parser.close()
            lines = _lines_of(data, tag)
            if len(lines) == len(root.findall(tag)):
                return root, lines
        return _slowly(data, tag)


def _is_plain(data: bytes) -> bool:
    """Whether Python's own parser, which is fast and tells no lines, may read it: nothing can be declared in it.

    In another encoding a declaration could be written in other bytes.
    """
    return b"<!" not in data and b"\0" not in data and not _OTHER_ENCODING.search(data)


def _lines_of(data: bytes, tag: str) -> list[int]:
    """The lines of all places that look like the start of such an element."""
    lines, line, end = [], 1, 0
    for match in re.finditer(rb"<%s(?=[\s/>])" % tag.encode(), data):
        line += data.count(b"\n", end, match.start())
        lines.append(line)
        end = match.start()
    return lines if data.count(b"\r") == data.count(b"\r\n") else []


class _LineBuilder(TreeBuilder):
    """Gives each element its line as the attribute ``line``."""

    expat: Any

    def start(self, tag: Any, attrs: Any, /) -> Element:
        return super().start(tag, {**attrs, "line": str(self.expat.CurrentLineNumber)})


def _slowly(data: bytes, tag: str) -> tuple[Element, list[int]]:
    builder = _LineBuilder()
    parser = DefusedXMLParser(target=builder)
    builder.expat = parser.parser
    parser.feed(data)
    root = parser.close()
    return root, [int(node.get("line")) for node in root.findall(tag)]
