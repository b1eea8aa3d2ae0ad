from __future__ import annotations

from typing import Annotated, Literal

import pytest

from detkit.config.check import checked, expected
from detkit.config.ranges import Fraction, NonNegative, Positive


@pytest.mark.parametrize(
    ("value", "annotation", "result"),
    [
        (1, float, 1.0),
        (1e-3, float, 0.001),
        (3, int, 3),
        (True, bool, True),
        ("a", str, "a"),
        (2012, str, "2012"),
        (None, str | None, None),
        ("x", str | None, "x"),
        ("b", Literal["a", "b"], "b"),
        (["a"], str | list[str], ["a"]),
        ("a", str | list[str], "a"),
        ([1, 2.5], list[float], [1.0, 2.5]),
        ([1, 2], tuple[int, ...], (1, 2)),
        (0, Annotated[int, NonNegative], 0),
        (1, Annotated[float, Fraction], 1.0),
    ],
)
def test_fitting_value_gets_the_keys_type(value, annotation, result):
    got = checked(value, annotation)
    assert got == result
    assert type(got) is type(result)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        ("1", float),
        (True, int),
        (1, bool),
        (1.5, int),
        (float("nan"), float),
        (float("inf"), float),
        ("c", Literal["a", "b"]),
        ([1, "x"], list[int]),
        (3, list[int]),
        (0, Annotated[float, Positive]),
        (-1, Annotated[int, NonNegative]),
        (1.01, Annotated[float, Fraction]),
        (None, int),
    ],
)
def test_other_value_is_refused_with_what_is_allowed(value, annotation):
    with pytest.raises(ValueError, match="expected") as error:
        checked(value, annotation)
    assert expected(annotation) in str(error.value)
    assert repr(value) in str(error.value)


def test_expected_names_type_and_range():
    assert expected(Annotated[float, Positive]) == "a number greater than 0"
    assert expected(list[int]) == "a list, each a whole number"
    assert expected(Literal["a", "b"]) == "one of a, b"
    assert expected(str | None) == "text or null"
