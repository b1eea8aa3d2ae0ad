from __future__ import annotations

import json

from tests.fresh import run_fresh

RECIPE = "{DATA: {NAME: COCO, TEST: all, COCO: {ANNOTATIONS: %s}}, EVALUATORS: [VOC, COCO]}"
TRUTH = {
    "images": [{"id": 7, "width": 40, "height": 30, "file_name": "nowhere.jpg"}],
    "categories": [{"id": 3, "name": "cat"}],
    "annotations": [{"id": 1, "image_id": 7, "category_id": 3, "bbox": [2, 3, 10, 10], "area": 100, "iscrowd": 0}],
}
FOUND = [{"image_id": 7, "category_id": 3, "bbox": [2, 3, 10, 10], "score": 0.5}]
PROGRAM = """
import sys
from detkit.cli.main import main
assert main(sys.argv[1:]) == 0
print(*(name for name in ("torchvision", "sklearn", "scipy") if name in sys.modules), "imported")
"""


def test_detection_files_are_judged_without_the_libraries_of_training(tmp_path):
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    (tmp_path / "found.json").write_text(json.dumps(FOUND))
    (tmp_path / "r.yaml").write_text(RECIPE % (tmp_path / "truth.json"))
    words = ["eval", "--config", str(tmp_path / "r.yaml"), "--detections", str(tmp_path / "found.json")]
    done = run_fresh(PROGRAM, *words, forget=("detkit", "torchvision", "sklearn", "scipy"))
    assert done.returncode == 0, done.stderr
    *table, imported = done.stdout.splitlines()
    assert imported == "imported"
    assert [line.split() for line in table[:2]] == [["class", "VOC07", "VOC10"], ["cat", "100.0", "100.0"]]
