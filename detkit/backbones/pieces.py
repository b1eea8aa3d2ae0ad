"""Work on many images a few at a time."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

PIECE_NUMBERS = 1 << 19
"""Numbers that a piece on the CPU holds at most, unless it is one image: 2 MB in float32."""


def pieces(images: Tensor) -> Iterator[slice]:
    """Slices of (N, ...) images that are processed one after the other, so that intermediate tensors stay small.

    The C library returns blocks of more than 32 MB to the system as soon as they are freed. The system then maps and
    clears every page of the next such tensor, which takes longer than the arithmetic. Smaller tensors are used again
    and stay in the processor's cache. On a GPU all N images are one slice.
    """
    step = len(images)
    if images.device.type == "cpu":
        step = PIECE_NUMBERS * step // max(images.numel(), 1)
    step = max(step, 1)
    return (slice(start, start + step) for start in range(0, len(images), step))
