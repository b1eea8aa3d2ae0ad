from detkit.errors import WriteError, counted


def test_one_thing_is_no_plural():
    assert [counted(n, "problem") for n in (0, 1, 2)] == ["0 problems", "1 problem", "2 problems"]


def test_a_refused_file_is_told_with_where_to_write_instead():
    error = WriteError("a.json: cannot be written: Is a directory", "--output")
    assert str(error) == (
        "a.json: cannot be written: Is a directory; make room, or choose folders that can be written with --output; "
        "what is finished stays"
    )
