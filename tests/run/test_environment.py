import json

import cv2

import detkit
from detkit.run.environment import environment
from detkit.system.compute import Compute


def test_environment_is_json_and_needs_no_installed_package(monkeypatch):
    def missing(name):
        raise AssertionError(f"asked for the package {name}")

    monkeypatch.setattr("importlib.metadata.version", missing)
    found = environment(Compute.resolve(dtype="float32", device="cpu"))
    assert found["detkit"] == detkit.__version__
    assert found["packages"]["cv2"] == cv2.__version__
    assert json.loads(json.dumps(found)) == found
