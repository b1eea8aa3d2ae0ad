"""The questions about R-CNN for ``detkit paper``; each file answers one or a few related questions."""

from . import (  # noqa: F401 (importing registers)
    boxes,
    causes,
    crops,
    iterations,
    labels,
    layers,
    nearness,
    negatives,
    reach,
    receptive,
    sampling,
    scales,
    several,
    softmax,
)
