"""R-CNN (Girshick et al., CVPR 2014), built from registered components; the recipes are in this folder.

This project registers the questions that ``detkit paper`` answers, and a classifier that one of them compares.
"""

from . import mined_softmax, questions  # noqa: F401 (importing registers)
