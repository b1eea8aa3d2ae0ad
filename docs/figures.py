"""Draws the pictures of docs/how_rcnn_works.md from a finished run of projects/rcnn/quick.yaml.

python docs/figures.py runs/quick docs/images/walk
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import detkit
from detkit.data.images import read_image
from detkit.data.shapes import Shapes
from detkit.detection.detector import Detector, Steps
from detkit.regions.warp import warp_crops, warp_windows
from detkit.structures import Boxes, Sample
from detkit.visualize import write_figure
from detkit.visualize.palette import DARK as COLORS

IMAGE = 1
"""The number of the test scene: it holds shapes that overlap each other."""
EASIEST = -1e9
"""A least score that lets every region through."""
LIMIT = 0.5
"""The IoU from which a region counts as foreground in fine-tuning."""


def main() -> None:
    """Draws one picture for each stage of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="the folder of a finished run of quick.yaml")
    parser.add_argument("out", type=Path, help="the folder of the pictures")
    parser.add_argument("--image", type=int, default=IMAGE, help="the number of the test scene")
    args = parser.parse_args()
    scene = Shapes(splits=("test",), on_bad="stop")[args.image]
    detector = detkit.load(args.run / "model", device="cpu")
    steps = detector.steps(scene.path, EASIEST)
    for name, draw in {
        "proposals": draw_proposals,
        "crops": draw_crops,
        "scores": draw_scores,
        "boxes": draw_moves,
        "suppression": draw_suppression,
        "detections": draw_detections,
    }.items():
        write_figure(args.out / f"{name}.png", draw(scene, detector, steps), dpi=100)


def overlaps(scene: Sample, steps: Steps) -> torch.Tensor:
    """(proposals, objects) IoU."""
    return steps.proposals.boxes.iou(objects(scene))


def objects(scene: Sample) -> Boxes:
    """The annotated boxes."""
    assert scene.annotations is not None
    return scene.annotations.boxes


def panels(titles: list[str], width: float = 3.4, height: float = 2.9) -> tuple[Figure, list]:
    """A row of pictures without axes."""
    figure = Figure(figsize=(width * len(titles), height), layout="constrained")
    axes = figure.subplots(1, len(titles), squeeze=False)[0]
    for one, title in zip(axes, titles, strict=True):
        one.set_title(title, fontsize=10)
        one.set_axis_off()
    return figure, list(axes)


def outline(axes, boxes: np.ndarray, color: str, width: float = 1.5) -> None:
    """Rectangles over a picture."""
    for x1, y1, x2, y2 in boxes:
        axes.add_patch(
            Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, edgecolor=COLORS[color], linewidth=width)
        )


def tag(axes, x: float, y: float, text: str) -> None:
    """A few words at the upper left corner of a box, inside the picture."""
    axes.text(x + 2, max(y, 9), text, fontsize=7, color="white", backgroundcolor="#1c2126")


def draw_proposals(scene: Sample, detector: Detector, steps: Steps) -> Figure:
    """The image, all its proposals, and the best one of each object."""
    shared = overlaps(scene, steps)
    count = len(steps.proposals)
    figure, axes = panels(["annotated objects", f"all {count} proposals", "the best proposal of each object"])
    for one in axes:
        one.imshow(steps.image)
    boxes = steps.proposals.boxes.tensor.numpy()
    outline(axes[0], objects(scene).tensor.numpy(), "green", 2)
    outline(axes[1], boxes, "sky", 0.5)
    outline(axes[2], objects(scene).tensor.numpy(), "green", 2)
    outline(axes[2], boxes[shared.argmax(0).numpy()], "orange")
    return figure


def draw_crops(scene: Sample, detector: Detector, steps: Steps) -> Figure:
    """Some regions as the network sees them, with their IoU."""
    shared = overlaps(scene, steps).max(1).values
    wanted = [0.95, 0.75, 0.6, 0.4, 0.2, 0.0]
    rows = list(dict.fromkeys(int((shared - value).abs().argmin()) for value in wanted))
    extractor = detector.network.extractor
    size = detector.network.backbone.input_size
    boxes = steps.proposals.boxes.tensor.numpy()[rows]
    windows = warp_windows(boxes, steps.proposals.image_size, size=size, padding=extractor.padding)
    crops, _ = warp_crops(steps.image, windows, np.zeros(len(rows), bool), size)
    kinds = ["foreground" if shared[row] >= LIMIT else "background" for row in rows]
    titles = [f"IoU {shared[row]:.2f}\n{kind}" for row, kind in zip(rows, kinds)]
    figure, axes = panels(titles, 1.6, 2.1)
    for one, crop in zip(axes, crops):
        one.imshow(crop)
    return figure


def draw_scores(scene: Sample, detector: Detector, steps: Steps) -> Figure:
    """Margins of each class, and the regions that score most."""
    scores, names = steps.candidates.every_score, detector.class_names
    figure, axes = panels([f"{name}: best margin {scores[:, k].max():+.2f}" for k, name in enumerate(names)], 3, 2.6)
    for k, one in enumerate(axes):
        one.imshow(steps.image)
        best = scores[:, k].argsort(descending=True)[:4]
        for row in best.tolist():
            color = "blue" if scores[row, k] >= detector.calibration.thresholds[k] else "orange"
            outline(one, steps.proposals.boxes.tensor.numpy()[[row]], color, 1.2)
    return figure


def draw_moves(scene: Sample, detector: Detector, steps: Steps) -> Figure:
    """A loose region of each object before and after the box head."""
    found, truths = steps.candidates, objects(scene)
    assert scene.annotations is not None
    figure, axes = panels(["before the box head", "after it"])
    for one, boxes in zip(axes, (found.boxes, found.refined.clip(steps.proposals.image_size))):
        one.imshow(steps.image)
        outline(one, truths.tensor.numpy(), "green", 2)
        shared = found.boxes.iou(truths)
        for n, label in enumerate(scene.annotations.labels.tolist()):
            loose = (found.labels == label) & (shared[:, n] >= 0.55) & (shared[:, n] <= 0.75)
            row = int(torch.where(loose, found.scores, -torch.inf).argmax())
            iou = float(boxes[[row]].iou(truths)[0, n])
            x1, y1 = boxes.tensor[row, :2].tolist()
            outline(one, boxes.tensor.numpy()[[row]], "orange" if boxes is found.boxes else "blue")
            tag(one, x1, y1, f"IoU {iou:.2f}")
    return figure


def draw_suppression(scene: Sample, detector: Detector, steps: Steps) -> Figure:
    """What reaches its threshold, before and after non-maximum suppression."""
    found, size = steps.candidates, steps.proposals.image_size
    shown = found.refined_scores >= detector.calibration.thresholds[found.labels]
    kept = steps.detections
    kept = kept[kept.scores >= detector.calibration.thresholds[kept.labels]]
    figure, axes = panels([f"{int(shown.sum())} boxes before NMS", f"{len(kept)} boxes after NMS"])
    for one, boxes in zip(axes, (found.refined.clip(size).tensor[shown], kept.boxes.tensor)):
        one.imshow(steps.image)
        outline(one, boxes.numpy(), "blue", 1)
    return figure


def draw_detections(scene: Sample, detector: Detector, steps: Steps) -> Figure:
    """What ``detect`` shows, beside what was annotated."""
    shown = detector.detect(read_image(scene.path))
    chances = detector.probabilities(shown)
    figure, (one,) = panels(["green: annotated, blue: detected"], 4.2, 3.4)
    one.imshow(steps.image)
    outline(one, objects(scene).tensor.numpy(), "green", 2.5)
    outline(one, shown.boxes.tensor.numpy(), "blue")
    for row, (label, box) in enumerate(zip(shown.labels.tolist(), shown.boxes.tensor.tolist())):
        text = detector.class_names[label] + (f" {chances[row]:.0%}" if chances is not None else "")
        tag(one, box[0], box[1], text)
    return figure


if __name__ == "__main__":
    main()
