from pathlib import Path

from detkit.data.cache import cache_dir


def test_the_first_variable_that_is_set_wins(monkeypatch, tmp_path):
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "own"
    monkeypatch.setenv("DETKIT_CACHE", "")
    assert cache_dir() == tmp_path / "xdg" / "detkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "detkit"
