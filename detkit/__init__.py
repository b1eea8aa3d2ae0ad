"""detkit: a small detection framework of registered, interchangeable parts, and R-CNN built from them."""

__version__ = "0.1.0"
