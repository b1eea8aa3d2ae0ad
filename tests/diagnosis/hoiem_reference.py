"""Writes what ``hoiem_reference.m`` reads, to make ``hoiem_reference.json``.

The numbers are of the code that Hoiem, Chodpathumwan and Dai released, run by GNU Octave 7.3:

    python -m tests.diagnosis.hoiem_reference inputs.json
    octave-cli --path SRC tests/diagnosis/hoiem_reference.m inputs.json tests/diagnosis/hoiem_reference.json

SRC is the folder src of their release.
In analyzeFalsePositives.m the line ``topN = [-100 sum(~[gt.isdiff])];`` must first read ``topN = [];``: it counts
the first 100 false positives of a class, and stops with an error where there are fewer.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from tests.conftest import SHARED
from tests.diagnosis.scenes import SHARED_ORACLES, random_outcome

GROUPS = (("class0", "class1"), ("class1", "class2"), ("class4", "class5", "class0"))
OUTCOMES = {
    "plain": {"seed": 10, "images": 60},
    "equal scores": {"seed": 11, "images": 60, "levels": 5},
    "difficult": {"seed": 12, "images": 60, "difficult": 0.3},
}


def outcomes(shared):
    """Each with the groups of similar classes; those of the shared folder have VOC's."""
    made = {name: (random_outcome(**settings), GROUPS) for name, settings in OUTCOMES.items()}
    return made | ({"voc12": (SHARED_ORACLES["voc12"](shared), None)} if shared else {})


if __name__ == "__main__":
    from detkit.diagnosis.hoiem import similar_groups

    found = []
    for name, (one, groups) in outcomes(SHARED).items():
        similar = similar_groups(one.class_names, groups)
        # the code counts pixels from 1 and includes the last
        boxes = {key: (getattr(one, key) + np.array([1, 1, 0, 0])).tolist() for key in ("det_boxes", "truth_boxes")}
        names = ("det_scores", "det_labels", "det_images", "truth_labels", "truth_images", "difficult", "truncated")
        columns = {column: getattr(one, column).tolist() for column in names}
        sets = [[one.class_names.index(member) for member in group] for group in similar]
        facts = {"name": name, "num_images": one.num_images, "classes": one.class_names, "sets": sets}
        found.append(facts | boxes | columns)
    Path(sys.argv[1]).write_text(json.dumps(found))
