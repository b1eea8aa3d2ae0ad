"""The detector that comes as a package of its own."""

from pathlib import Path

import detkit

FOLDER = Path(__file__).resolve().parents[2] / "packages/blood_cells"


def test_the_detector_of_the_package_finds_cells_in_its_photograph():
    detector = detkit.load(FOLDER / "detkit_blood_cells/model", device="cpu")
    found = detector.detect(FOLDER / "photographs/JPEGImages/BloodImage_00007.jpg")
    assert len(found) >= 10
    assert {detector.class_names[int(label)] for label in found.labels} <= {"Platelets", "RBC", "WBC"}
