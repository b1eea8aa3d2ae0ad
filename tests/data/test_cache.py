import pwd
import sys
from pathlib import Path

import pytest

from detkit.data.cache import cache_dir
from detkit.errors import ConfigError

PLACES = {"darwin": Path("Library", "Caches")}


def test_the_first_variable_that_is_set_wins(monkeypatch, tmp_path):
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "own"
    monkeypatch.setenv("DETKIT_CACHE", "")
    assert cache_dir() == tmp_path / "xdg" / "detkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / PLACES.get(sys.platform, Path(".cache")) / "detkit"


def test_a_user_without_home_is_told_to_choose_a_folder(monkeypatch):
    for name in ("DETKIT_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    with pytest.raises(ConfigError, match="this user has no home; set DETKIT_CACHE to a folder"):
        cache_dir()
