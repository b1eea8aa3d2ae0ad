"""SPP-net (He et al., ECCV 2014), built from registered components and the one extractor in this folder."""

from . import pyramid as pyramid
