"""The figures of README's first command, on the whole of its recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detkit.cli.main import main


def trained(*words: str) -> dict[str, Any]:
    """results.json of quick.yaml."""
    assert main(["train", "--config", "projects/rcnn/quick.yaml", "OUTPUT_DIR=run", "ARTIFACTS=artifacts", *words]) == 0
    results: dict[str, Any] = json.loads(Path("run/results.json").read_text(encoding="utf-8"))
    return results


@pytest.mark.soak
def test_drawn_shapes_are_found_and_the_box_head_places_them_better(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = trained()
    assert results["metrics"]["VOC07"]["mAP"] >= 0.80
    after, before = (results[name]["VOC07@0.7"]["mAP"] for name in ("metrics", "metrics_before_box_head"))
    assert after - before >= 0.05


@pytest.mark.soak
def test_shuffled_labels_teach_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert trained("DATA.Shapes.SHUFFLE_LABELS=true")["metrics"]["VOC07"]["mAP"] < 0.2
