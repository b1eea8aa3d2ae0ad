"""How long detection files of another program take to be judged."""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from figures import Figure
from inputs import Setting
from timing import interleaved, ratio

NAMES = ("cat", "dog", "horse", "person")
XML = "<annotation><size><width>500</width><height>375</height></size>\n{}</annotation>\n"
OBJECT = (
    "<object>\n<name>{}</name><pose>Left</pose><truncated>0</truncated><difficult>0</difficult>\n"
    "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>\n</object>\n"
)
RECIPE = """
DATA: {{NAME: VOC, TEST: test, VOC: {{ROOT: "{root}"}}}}
EVALUATORS: [VOC]
STAGES: [Propose, Detect, Evaluate]
"""
READ = """
from pathlib import Path
from detkit.data.voc_xml import read_voc_xml
for file in Path({!r}).iterdir():
    read_voc_xml(file)
"""


def figures(setting: Setting) -> list[Figure]:
    """``detkit eval``, in seconds of the processor, beside reading the annotations and beside importing torch."""
    images = 50 if setting.quick else 5000
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        _write(root, images)
        (root / "recipe.yaml").write_text(RECIPE.format(root=root), encoding="utf-8")
        words = ["eval", "--config", str(root / "recipe.yaml"), "--detections", str(root / "found")]
        commands = {
            "detkit eval": ["-m", "detkit", *words],
            "reading the annotations": ["-c", READ.format(str(root / "Annotations"))],
            "import torch": ["-c", "import torch"],
        }
        spent: dict[str, list[float]] = {name: [] for name in commands}

        def start(name: str, command: list[str]) -> None:
            before = _processor()
            subprocess.run([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
            spent[name].append(_processor() - before)

        interleaved({name: partial(start, name, command) for name, command in commands.items()}, setting.repeats)
    own = spent.pop("detkit eval")[1:]
    found = []
    for name, times in spent.items():
        medians = (statistics.median(own), "s", name, statistics.median(times[1:]))
        found.append(Figure("evaluation", f"detkit eval, {images} images", *medians, *ratio(own, times[1:])))
    return found


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _write(root: Path, images: int) -> None:
    """A VOC folder without images, three objects in each, and six detections."""
    rng = np.random.default_rng(0)
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main", "found"):
        (root / folder).mkdir(parents=True)
    lines: dict[str, list[str]] = {name: [] for name in NAMES}
    ids = [f"{i:06d}" for i in range(images)]
    for image in ids:
        corners = rng.integers(1, 150, (3, 2))
        boxes = np.hstack([corners, corners + rng.integers(20, 200, (3, 2))])
        labels = rng.choice(NAMES, 3)
        things = "".join(OBJECT.format(name, *box) for name, box in zip(labels, boxes))
        (root / "Annotations" / f"{image}.xml").write_text(XML.format(things), encoding="utf-8")
        for name, box in zip(labels.repeat(2), boxes.repeat(2, 0) + rng.normal(0, 9, (6, 4))):
            lines[name].append(f"{image} {rng.random():.6f} " + " ".join(f"{v:.3f}" for v in box) + "\n")
    (root / "ImageSets/Main/test.txt").write_text("".join(f"{image}\n" for image in ids), encoding="utf-8")
    for name, rows in lines.items():
        (root / "found" / f"comp4_det_test_{name}.txt").write_text("".join(rows), encoding="utf-8")
