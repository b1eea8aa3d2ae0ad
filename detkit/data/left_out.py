"""The share of a data set's images that are left out, and its limit."""

from __future__ import annotations

import math

from detkit.data.base import Dataset
from detkit.errors import DataError


def left_out(dataset: Dataset) -> str:
    """The number of images that were left out, as "68 of 180 images (37.8%)"; empty if there are none."""
    skipped = len(dataset.skipped)
    total = skipped + len(dataset)
    return f"{skipped} of {total} images ({skipped / total:.1%})" if skipped else ""


def refuse_many_left_out(dataset: Dataset, name: str, slot: str, most: float) -> None:
    """Refuses a data set of which too many images are left out.

    Args:
        dataset: opened with ``on_bad="skip"``.
        name: its name in the message.
        slot: DATA or PRETRAIN_DATA.
        most: share of its images that may be left out, 0 to 1; a single image always may.

    Raises:
        DataError: if more are left out; the message says how to allow it.
    """
    skipped = len(dataset.skipped)
    share = skipped / (skipped + len(dataset))
    if skipped > 1 and share > most:
        raise DataError(
            f"{name}: {left_out(dataset)} would be left out, more than {slot}.MAX_BAD: {most:g} allows; the first: "
            f"{dataset.skipped[0]}; mend them (detkit data check lists them all), or add "
            f"{slot}.MAX_BAD={math.ceil(share * 100) / 100:g}"
        )
