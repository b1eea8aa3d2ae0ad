"""Prints what the demo did and what to try next: python examples/after_demo.py runs/quick."""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> None:
    """Ten lines, with the figures of the run."""
    run = Path(sys.argv[1])
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    after, before = results["metrics"], results["metrics_before_box_head"]
    loose, tight, unmoved = (
        f"{100 * metrics[name]['mAP']:.1f} %"
        for metrics, name in ((after, "VOC07"), (after, "VOC07@0.7"), (before, "VOC07@0.7"))
    )
    print(
        f"""
What happened: a tiny network was trained on drawn shapes, then tuned on regions of 120 scenes.
An SVM for each class learnt to score regions, and a ridge regression to move their boxes.
On {results["num_images"]} new scenes mAP is {loose} at IoU 0.5.
At IoU 0.7 it is {tight}, and {unmoved} before the boxes moved.
Look at {run}/pictures.png and {run}/report.html (green: annotated, other colours: detected).
Try next, after `. .venv/bin/activate`:
  detkit detect --model blood_cells packages/blood_cells/photographs/JPEGImages/BloodImage_00007.jpg
  detkit train --config projects/rcnn/quick.yaml OUTPUT_DIR=runs/softmax CLASSIFIER.NAME=Softmax
  detkit compare runs/quick runs/softmax
To learn how it works: docs/how_rcnn_works.md, and the notebook docs/tutorial/rcnn_in_an_hour.ipynb"""
    )


if __name__ == "__main__":
    main()
