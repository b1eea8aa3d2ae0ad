from __future__ import annotations

import json

import pytest

from detkit.errors import ModelError
from detkit.run.artifacts import ArtifactStore, digest_of

DIGEST = "0123456789abcdef" * 4


def test_digest_ignores_key_order_and_sees_every_value():
    assert digest_of({"a": 1, "b": [2]}) == digest_of({"b": [2], "a": 1})
    assert digest_of({"a": 1, "b": [2]}) != digest_of({"a": 1, "b": [3]})


def test_finished_artifact_is_found_with_its_description(tmp_path):
    store = ArtifactStore(tmp_path)
    with store.make("Detect", DIGEST, {"stage": "Detect"}) as folder:
        assert store.find("Detect", DIGEST) is None
        (folder / "x").write_text("1")
    found = store.find("Detect", DIGEST)
    assert found == tmp_path / "detect" / DIGEST[:12]
    assert (found / "x").read_text() == "1"
    assert json.loads((found / "manifest.json").read_text())["stage"] == "Detect"


def test_interrupted_artifact_stays_partial_and_goes_on(tmp_path):
    store = ArtifactStore(tmp_path)
    with pytest.raises(KeyboardInterrupt), store.make("Detect", DIGEST, {}) as folder:
        (folder / "x").write_text("1")
        raise KeyboardInterrupt
    assert store.find("Detect", DIGEST) is None
    with store.make("Detect", DIGEST, {}) as folder:
        assert (folder / "x").read_text() == "1"


def test_artifact_that_is_there_is_not_made_again(tmp_path):
    store = ArtifactStore(tmp_path)
    with store.make("Detect", DIGEST, {}):
        pass
    with store.make("Detect", DIGEST, {}) as folder:
        assert folder is None


def test_folder_of_another_digest_or_without_manifest_is_named(tmp_path):
    store = ArtifactStore(tmp_path)
    folder = store.folder("Detect", DIGEST)
    folder.mkdir(parents=True)
    with pytest.raises(ModelError, match=r"no readable manifest\.json; delete the folder"):
        store.find("Detect", DIGEST)
    for text in ("[]", "5", '{"digest"', "[" * 100_000):
        (folder / "manifest.json").write_text(text)
        with pytest.raises(ModelError, match=r"no readable manifest\.json; delete the folder"):
            store.find("Detect", DIGEST)
    (folder / "manifest.json").write_text('{"digest": 5}')
    with pytest.raises(ModelError, match="its manifest is of 5; delete the folder"):
        store.find("Detect", DIGEST)
    (folder / "manifest.json").write_text('{"digest": "ffffffffffffffff"}')
    with pytest.raises(ModelError, match="its manifest is of ffffffffffff"):
        store.find("Detect", DIGEST)
