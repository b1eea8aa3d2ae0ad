"""Region classifiers."""
