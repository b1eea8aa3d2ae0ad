"""Where detkit keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """The cache folder: ``$DETKIT_CACHE``, else ``$XDG_CACHE_HOME/detkit``, else ``~/.cache/detkit``.

    The folder need not exist yet. An empty variable counts as unset.
    """
    if own := os.environ.get("DETKIT_CACHE"):
        return Path(own)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "detkit"
    return Path.home() / ".cache" / "detkit"
