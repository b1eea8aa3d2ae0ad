"""Makes ``tide_reference.json``: what tidecv 1.0.1 says of the outcomes of ``scenes.py``.

tidecv needs opencv-python, which must not come into the environment of detkit. So it takes two steps:

    python -m tests.diagnosis.tide_reference inputs.json             # with detkit
    OTHER/bin/python tests/diagnosis/tide_reference.py inputs.json   # with tidecv==1.0.1

The second writes the numbers beside this file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

NUMBERS = Path(__file__).with_suffix(".json")


def inputs(outcomes):
    """Columns of plain lists, which need no detkit to be read."""
    names = ("det_boxes", "det_scores", "det_labels", "det_images", "truth_boxes", "truth_labels", "truth_images")
    return {
        name: {column: getattr(one, column).tolist() for column in names}
        | {"ignored": one.ignored.tolist(), "num_images": one.num_images, "num_classes": one.num_classes}
        for name, one in outcomes.items()
    }


def numbers(one):
    """tidecv's counts, and AP and gains as fractions."""
    from tidecv import TIDE, Data

    truths, found = Data("truths"), Data("found")
    for image in range(one["num_images"]):
        truths.add_image(image, str(image))
    for label in range(one["num_classes"]):
        truths.add_class(label, str(label))
    columns = (one[key] for key in ("truth_images", "truth_labels", "truth_boxes", "ignored"))
    for image, label, (x1, y1, x2, y2), ignored in zip(*columns):
        add = truths.add_ignore_region if ignored else truths.add_ground_truth
        add(image, label, [x1, y1, x2 - x1, y2 - y1])
    columns = (one[key] for key in ("det_images", "det_labels", "det_scores", "det_boxes"))
    for image, label, score, (x1, y1, x2, y2) in zip(*columns):
        found.add_detection(image, label, score, [x1, y1, x2 - x1, y2 - y1])
    run = TIDE().evaluate(truths, found, mode=TIDE.BOX)
    return {
        "ap": run.ap / 100,
        "counts": {kind.short_name: count for kind, count in run.count_errors().items()},
        "gains": {kind.short_name: gain / 100 for kind, gain in run.fix_main_errors().items()},
        "special": {kind.short_name: gain / 100 for kind, gain in run.fix_special_errors().items()},
    }


if __name__ == "__main__":
    file = Path(sys.argv[1])
    if __package__:
        from tests.conftest import SHARED
        from tests.diagnosis.scenes import RANDOM, SHARED_ORACLES, random_outcome

        made = {name: random_outcome(**settings) for name, settings in RANDOM.items()}
        made |= {name: make(SHARED) for name, make in SHARED_ORACLES.items()}
        file.write_text(json.dumps(inputs(made)))
    else:
        found = {name: numbers(one) for name, one in json.loads(file.read_text()).items()}
        NUMBERS.write_text(json.dumps(found, indent=1) + "\n")
