"""Config files: from YAML to a checked, frozen config."""

from detkit.config.build import build
from detkit.config.load import load_config
from detkit.config.node import Config

__all__ = ["Config", "build", "load_config"]
