"""The folder of files that detkit can make again."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

from detkit.errors import ConfigError


def cache_dir() -> Path:
    """The cache folder: ``$DETKIT_CACHE``, else ``$XDG_CACHE_HOME/detkit``, else the system's own place for caches.

    That is ``~/.cache/detkit`` on Linux, ``~/Library/Caches/detkit`` on macOS, and ``detkit`` in the local application
    data on Windows. The folder need not exist yet. An empty variable counts as unset.

    Raises:
        ConfigError: if none of the variables is set and the user has no home folder.
    """
    if own := os.environ.get("DETKIT_CACHE"):
        return Path(own)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "detkit"
    try:
        Path.home()  # some versions of platformdirs give a folder named "~" where there is no home
        return user_cache_path("detkit", appauthor=False)
    except RuntimeError:
        raise ConfigError("no folder for the cache: this user has no home; set DETKIT_CACHE to a folder") from None
