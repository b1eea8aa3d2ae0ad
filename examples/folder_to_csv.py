"""Writes the detections of a folder into a table: python examples/folder_to_csv.py MODEL FOLDER TABLE.csv."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import detkit

model, folder, table = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
detector = detkit.load(model)
with table.open("w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(["image", "class", "score", "x1", "y1", "x2", "y2"])
    for photo in sorted(p for p in folder.iterdir() if p.suffix.lower() in {".jpg", ".jpeg", ".png"}):
        found = detector.detect(photo)
        for box, label, score in zip(found.boxes.tensor.tolist(), found.labels.tolist(), found.scores.tolist()):
            writer.writerow([photo.name, detector.class_names[label], f"{score:.4f}", *(f"{side:.1f}" for side in box)])
print(table)
