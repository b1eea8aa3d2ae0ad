"""Data sets and the one image decoder."""
