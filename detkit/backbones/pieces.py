"""Work on many images a few at a time."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

PIECE_NUMBERS = 1 << 19
"""Numbers that a piece on the CPU holds at most, unless it is one image: 2 MB in float32."""


def pieces(images: Tensor) -> Iterator[slice]:
    """Slices of (N, ...) images that are worked on one after the other, so that what is made of each stays small.

    The C library gives memory of more than 32 MB back to the system as soon as it is freed, and every page of the next
    such tensor is then mapped and cleared anew, which takes longer than the arithmetic; smaller tensors are used again
    and stay in the processor's cache. A GPU has none of this: there all N are one piece.
    """
    step = len(images)
    if images.device.type == "cpu":
        step = PIECE_NUMBERS * step // max(images.numel(), 1)
    step = max(step, 1)
    return (slice(start, start + step) for start in range(0, len(images), step))
