"""Small data for the examples in docstrings."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from detkit.regions.index import RegionIndex
from detkit.regions.source import ArraySource
from detkit.structures import Annotations, Boxes, Proposals, Sample


def example_source() -> ArraySource:
    """Two features for each of four regions of one image: an object of class 0, two good proposals and a bad one.

    Example:
        >>> source = example_source()
        >>> source.index.truth_label.tolist(), source.index.label.tolist()
        ([0, -1, -1, -1], [0, 0, 0, 1])
    """
    truths = Annotations.of(Boxes.of([[10, 10, 60, 60]]), [0])
    sample = Sample("000001", Path("000001.jpg"), (100, 100), truths)
    boxes = Boxes.of([[12, 8, 64, 60], [10, 14, 60, 66], [60, 60, 99, 99]])
    index = RegionIndex.build([sample], [Proposals.unranked(boxes, (100, 100))], num_classes=1)
    return ArraySource(index, np.array([[1.0, 0.2], [0.9, 0.4], [0.8, 0.3], [0.1, 1.0]]))
