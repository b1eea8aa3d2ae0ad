from __future__ import annotations

import pytest

from detkit.config import load_config
from detkit.errors import ConfigError


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a file below the working folder, which is empty; gives its path."""
    monkeypatch.chdir(tmp_path)

    def to(text: str, name: str = "recipe.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return to


def fails(path, *overrides) -> str:
    """The one line with which a config is refused."""
    with pytest.raises(ConfigError) as error:
        load_config(path, overrides)
    assert "\n" not in str(error.value)
    return str(error.value)
