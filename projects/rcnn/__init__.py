"""R-CNN (Girshick et al., CVPR 2014), put together from registered components: the recipes beside this file.

Registered here are the questions that ``detkit paper`` answers and a classifier that one of them compares.
"""

from . import mined_softmax, questions  # noqa: F401 (importing registers)
