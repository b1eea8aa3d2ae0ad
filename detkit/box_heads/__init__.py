"""Box heads."""
