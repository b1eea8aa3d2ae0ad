"""Results as JSON values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from detkit.diagnosis.curves import PRCurve, ThresholdCurve
from detkit.diagnosis.hoiem import Hoiem
from detkit.diagnosis.tide import Tide

CURVE_POINTS = 200
"""The most points of a curve that are written."""
OF_EACH_DETECTION = {Hoiem: ("kinds",), Tide: ("kinds", "points_at")}
"""Columns that only stand beside an outcome, so they are not written."""


def plain(value: Any) -> Any:
    """JSON values of a result: dataclasses become dicts, arrays lists, and nan or infinite numbers None.

    Curves are thinned to ``CURVE_POINTS`` points, ends included. Columns with a row for each detection are left out.
    """
    if isinstance(value, (PRCurve, ThresholdCurve)):
        value = thinned(value)
    if is_dataclass(value) and not isinstance(value, type):
        left_out = OF_EACH_DETECTION.get(type(value), ())
        return {f.name: plain(getattr(value, f.name)) for f in fields(value) if f.name not in left_out}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.item() if isinstance(value, np.generic) else value


def thinned(curve: Any, points: int = CURVE_POINTS) -> Any:
    """The same curve with at most this number of points; its figures stay those of all points."""
    columns = {f.name: getattr(curve, f.name) for f in fields(curve)}
    columns = {name: column for name, column in columns.items() if isinstance(column, np.ndarray)}
    count = len(next(iter(columns.values())))
    if count <= points:
        return curve
    rows = np.unique(np.linspace(0, count - 1, points).round().astype(int))
    return replace(curve, **{name: column[rows] for name, column in columns.items()})
