"""The questions to R-CNN, registered for ``detkit paper``: each file answers one or a few that belong together."""

from . import boxes, crops, layers, negatives, softmax  # noqa: F401 (importing registers)
