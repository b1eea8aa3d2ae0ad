"""The questions to R-CNN, registered for ``detkit paper``: each file answers one or a few that belong together."""

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
