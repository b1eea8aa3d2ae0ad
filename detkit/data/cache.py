"""Where detkit keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path

from detkit.errors import ConfigError


def cache_dir() -> Path:
    """The cache folder: ``$DETKIT_CACHE``, else ``$XDG_CACHE_HOME/detkit``, else ``~/.cache/detkit``.

    The folder need not exist yet. An empty variable counts as unset.

    Raises:
        ConfigError: none of the variables is set, and the system knows no home of this user.
    """
    if own := os.environ.get("DETKIT_CACHE"):
        return Path(own)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "detkit"
    try:
        return Path.home() / ".cache" / "detkit"
    except RuntimeError:
        raise ConfigError("no folder for the cache: this user has no home; set DETKIT_CACHE to a folder") from None
