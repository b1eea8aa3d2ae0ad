"""Detect objects with a model of ``detkit export``; needs numpy, OpenCV and onnxruntime, neither detkit nor torch.

python onnx_detect.py model.onnx PROPOSALS photo.jpg ...   prints what detkit detect writes to detections.json.
PROPOSALS is a folder of <photo>.npz with boxes (N, 4): x1, y1, x2, y2 in pixels, x2 and y2 exclusive.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
from onnxruntime import InferenceSession


def whole(v):
    """Round to whole numbers, halves away from zero."""
    return (np.trunc(v) + np.sign(v) * (np.abs(v - np.trunc(v)) >= 0.5)).astype(int)


def crops_of(image, boxes, warp, prep):
    """Cut and preprocess the (N, 3, S, S) crops of N boxes as the metadata say; 0 where there is no pixel."""
    size, edge, square = warp["size"], image.shape[1::-1], warp["mode"] == "square"
    mean, std = (np.array(prep[k], np.float32) for k in ("mean", "std"))
    mean, std = mean.reshape(3, *mean.shape[1:] or (1, 1)), std.reshape(3, 1, 1)
    crops = np.zeros((len(boxes), 3, size, size), np.float32)
    for crop, box in zip(crops, boxes.astype(float)):
        own = whole(box[:2]), np.maximum(whole(box[2:]), whole(box[:2]) + 1)
        half = (box[2:] - box[:2]) / 2
        centre, reach = box[:2] + 1 + half, (half.max() if square else half) * (size / (size - 2 * warp["padding"]))
        low, high = (whole(centre - reach) - 1, whole(centre + reach)) if square or warp["padding"] else own
        first, last = np.maximum(low, 0), np.minimum(high, edge)
        if not warp["context"]:
            first, last = np.maximum(first, own[0]), np.minimum(last, own[1])
        last, scale = np.maximum(last, first), size / (high - low)
        start = whole((first - low) * scale)
        end = np.minimum(start + whole((last - first) * scale), size)
        if (last > first).all() and (end > start).all():
            part = image[first[1] : last[1], first[0] : last[0]].astype(warp["pixels"])
            pixels = cv2.resize(part, (end - start).tolist()).astype(np.float32).transpose(2, 0, 1)
            pixels = pixels[:: -1 if prep["order"] == "BGR" else 1] * np.float32(prep["scale"])
            at = np.s_[:, start[1] : end[1], start[0] : end[0]]
            crop[at] = (pixels - np.broadcast_to(mean, crop.shape)[at]) / std
    return crops


def detect(session, image, boxes, batch=64):
    """Find the objects of an (H, W, 3) uint8 RGB image among (N, 4) proposals, N at least 1, best first."""
    meta = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    after, names, found = meta["postprocess"], meta["class_names"], []
    crops = crops_of(image, boxes, meta["warp"], meta["preprocessing"])
    parts = [np.s_[i : i + batch] for i in range(0, len(boxes), batch)]
    answers = [session.run(["scores", "refined"], {"crops": crops[p], "boxes": boxes[p]}) for p in parts]
    scores, refined = (np.concatenate(a) for a in zip(*answers))
    shown = scores >= np.array(meta["thresholds"], np.float32)
    if after["one_class_per_region"]:
        shown &= np.arange(len(names)) == np.where(shown, scores, -np.inf).argmax(1)[:, None]
    for k, name in enumerate(names):
        rows = np.flatnonzero(shown[:, k])
        rows = rows[np.argsort(-scores[rows, k], kind="stable")][: after["top_per_image"]]
        own, moved = scores[rows, k], refined[rows, k].clip(0, np.tile(image.shape[1::-1], 2))
        sides = moved[:, 2:] - moved[:, :2]
        rects, ranks = np.hstack([moved[:, :2], sides]).tolist(), list(range(len(rows), 0, -1))
        kept = cv2.dnn.NMSBoxes(rects, ranks, 0, after["nms_iou"])  # takes no margin below 0, so ranks
        for i in (i for i in kept if sides[i].min() > 0):
            box = [round(float(v), 2) for v in moved[i]]
            found.append({"box": box, "class": name, "score": float(own[i])})
    return sorted(found, key=lambda one: -one["score"])


if __name__ == "__main__":
    model, folder, *photos = sys.argv[1:]
    session = InferenceSession(model, providers=["CPUExecutionProvider"])
    for photo in photos:
        image = cv2.imread(photo, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
        boxes = np.load(Path(folder, Path(photo).stem + ".npz"))["boxes"].astype(np.float32)
        print(json.dumps({"image": photo, "detections": detect(session, image, boxes) if len(boxes) else []}))
