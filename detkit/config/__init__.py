"""Config files: YAML in, a checked and frozen node out."""
