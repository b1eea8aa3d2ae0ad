"""Finds blood cells in a photograph: python examples/detect.py PHOTO [PICTURE].

Needs: pip install -e packages/blood_cells
"""

from __future__ import annotations

import sys
from pathlib import Path

import detkit
from detkit.data.images import read_image
from detkit.visualize import draw_detections, write_image

photo = Path(sys.argv[1])
picture = Path(sys.argv[2]) if len(sys.argv) > 2 else Path("found.png")
detector = detkit.load("blood_cells")
image = read_image(photo)
found = detector.detect(image)
chances = detector.probabilities(found)
for row, (box, label) in enumerate(zip(found.boxes.tensor.tolist(), found.labels.tolist())):
    chance = "" if chances is None else f"{chances[row]:.0%}"
    print(detector.class_names[label], chance, [round(side) for side in box])
write_image(picture, draw_detections(image, found, detector.class_names))
print(f"{len(found)} objects: {picture}")
