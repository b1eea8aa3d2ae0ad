"""R-CNN (Girshick et al., CVPR 2014), put together from registered components: the recipes beside this file.

The questions that ``detkit paper`` answers are registered here.
"""

from . import questions  # noqa: F401 (importing registers)
