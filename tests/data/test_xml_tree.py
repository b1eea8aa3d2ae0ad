"""Annotation files as trees, read in the short way or in the one that tells lines itself."""

from __future__ import annotations

import pytest

from detkit.data.xml_tree import parse_xml
from detkit.errors import DataError

PLAIN = b"<annotation>\n<object><name>cat</name></object>\n\n<object>\n<name>dog</name></object></annotation>"
FILES = {
    "plain": (PLAIN, [2, 4]),
    "none": (b"<annotation/>", []),
    "CRLF": (PLAIN.replace(b"\n", b"\r\n"), [2, 4]),
    "lone carriage returns": (PLAIN.replace(b"\n", b"\r"), [2, 4]),
    "a comment": (PLAIN.replace(b"\n\n", b"\n<!-- <object> -->\n"), [2, 4]),
    "an instruction": (PLAIN.replace(b"\n\n", b"\n<?tool <object> ?>\n"), [2, 4]),
    "one inside another": (PLAIN.replace(b"<name>cat</name>", b"<part>\n<object/></part>"), [2, 5]),
    "a longer name": (PLAIN.replace(b"\n\n", b"\n<objects/>\n"), [2, 4]),
    "UTF-8 declared": (b'<?xml version="1.0" encoding="UTF-8"?>\n' + PLAIN, [3, 5]),
    "Latin-1 declared": (b"<?xml version='1.0' encoding='latin-1'?>\n" + PLAIN.replace(b"cat", b"b\xe4r"), [3, 5]),
    "UTF-16": (PLAIN.decode().encode("utf-16"), [2, 4]),
}


@pytest.mark.parametrize(("data", "lines"), FILES.values(), ids=FILES)
def test_lines_of_objects(tmp_path, data, lines):
    (tmp_path / "a.xml").write_bytes(data)
    root, found = parse_xml(tmp_path / "a.xml", "object")
    assert (root.tag, found, len(root.findall("object"))) == ("annotation", lines, len(lines))


EBCDIC = '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("cp037")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "EntitiesForbidden"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16"), "EntitiesForbidden"),
        (b"<?xml version='1.0' encoding='cp037'?>" + EBCDIC, "not readable as XML"),
        (b"<annotation>\n<object>", r"a\.xml:2: not readable as XML"),
        (b"\xff\xfe\xfa", "not readable as XML"),
    ],
)
def test_what_declares_entities_or_is_broken_is_refused(tmp_path, data, told):
    (tmp_path / "a.xml").write_bytes(data)
    with pytest.raises(DataError, match=told):
        parse_xml(tmp_path / "a.xml", "object")
