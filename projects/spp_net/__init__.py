"""SPP-net (He et al., ECCV 2014), put together from registered components and the one extractor in this folder."""

from . import pyramid as pyramid
