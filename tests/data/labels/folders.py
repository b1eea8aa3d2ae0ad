"""A small folder in each format: image a with a cat and a dog, image b with a cat, each 40 pixels wide and 20 high."""

import json

import cv2
import numpy as np

SIZE = (20, 40)
BOXES = {"a": [("cat", (4, 2, 24, 12)), ("dog", (10, 5, 30, 15))], "b": [("cat", (0, 0, 20, 10))]}
"""x1, y1, x2, y2 in continuous pixels."""
NAMES = ("cat", "dog")


def picture(shade=90):
    """The bytes of a PNG of SIZE."""
    return cv2.imencode(".png", np.full((*SIZE, 3), shade, np.uint8))[1].tobytes()


def put(folder, files):
    """Writes files, given as {path: text, bytes or JSON}."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, (dict, list)):
            content = json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def images(pattern="{}.png"):
    return {pattern.format(name): picture(shade) for name, shade in (("a", 90), ("b", 120))}


def yolo_row(name, box):
    x1, y1, x2, y2 = box
    return f"{NAMES.index(name)} {(x1 + x2) / 80} {(y1 + y2) / 40} {(x2 - x1) / 40} {(y2 - y1) / 20}\n"


def yolo():
    """Divided: a to learn from, b to judge."""
    rows = {name: "".join(yolo_row(*thing) for thing in things) for name, things in BOXES.items()}
    return {
        "data.yaml": "train: images/train\nval: images/val\nnames: [cat, dog]\n",
        "images/train/a.png": picture(90),
        "images/val/b.png": picture(120),
        "labels/train/a.txt": rows["a"],
        "labels/val/b.txt": rows["b"],
    }


def shape(name, box):
    return {"label": name, "points": [list(box[:2]), list(box[2:])], "shape_type": "rectangle"}


def labelme():
    told = {"version": "5.4.1", "imageHeight": 20, "imageWidth": 40, "imageData": None, "flags": {}}
    texts = {
        f"{name}.json": told | {"imagePath": f"{name}.png", "shapes": [shape(*thing) for thing in things]}
        for name, things in BOXES.items()
    }
    return {**images(), **texts}


def cvat_box(name, box):
    edges = " ".join(f'{key}="{edge}"' for key, edge in zip(("xtl", "ytl", "xbr", "ybr"), box))
    return f'<box label="{name}" occluded="0" source="manual" z_order="0" {edges}></box>'


def cvat_file(**shapes):
    nodes = "".join(
        f'<image id="{n}" name="{name}.png" width="40" height="20">{shapes[name]}</image>'
        for n, name in enumerate(shapes)
    )
    return f"<annotations><version>1.1</version><meta/>{nodes}</annotations>"


def cvat():
    shapes = {name: "".join(cvat_box(*thing) for thing in things) for name, things in BOXES.items()}
    return {**images("images/{}.png"), "annotations.xml": cvat_file(**shapes)}


def voc_object(name, box, more=""):
    x1, y1, x2, y2 = box
    edges = f"<xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
    return f"<object><name>{name}</name>{more}<bndbox>{edges}</bndbox></object>"


def voc_file(objects, size="<size><width>40</width><height>20</height></size>"):
    return f"<annotation>{size}{objects}</annotation>"


def voc():
    texts = {f"{name}.xml": voc_file("".join(voc_object(*t) for t in things)) for name, things in BOXES.items()}
    return {**images(), **texts}


def coco_data():
    things = [(name, *thing) for name, things in BOXES.items() for thing in things]
    return {
        "images": [{"id": n, "file_name": f"{name}.png", "height": 20, "width": 40} for n, name in enumerate("ab")],
        "categories": [{"id": n, "name": name} for n, name in enumerate(NAMES, 1)],
        "annotations": [
            {
                "id": n,
                "image_id": "ab".index(image),
                "category_id": NAMES.index(name) + 1,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "area": (x2 - x1) * (y2 - y1),
                "iscrowd": 0,
            }
            for n, (image, name, (x1, y1, x2, y2)) in enumerate(things)
        ],
    }


def coco():
    return {**images("images/{}.png"), "annotations.json": coco_data()}


HEAD = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"


def open_images_row(image, name, box, flags="0,0,0,0,0"):
    x1, y1, x2, y2 = box
    return f"{image},xclick,/m/{name},1,{x1 / 40},{x2 / 40},{y1 / 20},{y2 / 20},{flags}\n"


def open_images():
    rows = "".join(open_images_row(name, *thing) for name, things in BOXES.items() for thing in things)
    described = "/m/cat,cat\n/m/dog,dog\n"
    return {**images("images/{}.png"), "boxes.csv": HEAD + rows, "class-descriptions-boxable.csv": described}


FORMATS = {"yolo": yolo, "labelme": labelme, "cvat": cvat, "voc": voc, "coco": coco, "open_images": open_images}
