"""Writes a data set in PASCAL VOC's format."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from detkit.data.labels.decimals import number_text, pixels
from detkit.data.labels.form import LabelledObject
from detkit.data.labels.written import NewSet, WrittenImage

NAME = "voc"


def write_voc(folder: Path, new: NewSet) -> None:
    """Writes Annotations, JPEGImages, classes.txt and, for a set with splits, ImageSets/Main.

    Besides VOC's own elements, an object has <iscrowd> if it is a crowd and <area> if it has an outline. detkit reads
    them, other programs ignore them. A crowd is also <difficult>, so that other programs do not evaluate it.
    """
    for name in ("Annotations", "JPEGImages"):
        (folder / name).mkdir()
    for image in new.images:
        new.place(image, folder / "JPEGImages")
        if image.objects is not None:
            tree = ElementTree(_annotation(image, image.objects))
            indent(tree)
            tree.write(folder / "Annotations" / f"{image.image_id}.xml", encoding="utf-8")
            new.lose(
                "outline, of which box and area are kept", image.image_id, sum(bool(o.outline) for o in image.objects)
            )
    if new.splits:
        (folder / "ImageSets" / "Main").mkdir(parents=True)
    for split, ids in new.splits.items():
        text = "".join(f"{image_id}\n" for image_id in ids)
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text(text, encoding="utf-8")
    (folder / "classes.txt").write_text("".join(f"{name}\n" for name in new.class_names), encoding="utf-8")


def _annotation(image: WrittenImage, objects: tuple[LabelledObject, ...]) -> Element:
    root = Element("annotation")
    _put(root, "filename", image.file_name)
    size = SubElement(root, "size")
    for key, number in zip(("width", "height", "depth"), (*image.size[::-1], 3)):
        _put(size, key, str(number))
    for thing in objects:
        node = SubElement(root, "object")
        _put(node, "name", thing.name)
        for key, value in (("truncated", thing.truncated), ("occluded", thing.occluded)):
            if value is not None:
                _put(node, key, str(int(value)))
        _put(node, "difficult", str(int(thing.difficult or thing.crowd)))
        if thing.crowd:
            _put(node, "iscrowd", "1")
        if thing.area is not None:
            _put(node, "area", number_text(thing.area))
        box = SubElement(node, "bndbox")
        x1, y1, x2, y2 = thing.box
        # VOC counts pixels from 1 and includes the last.
        for key, edge in zip(("xmin", "ymin", "xmax", "ymax"), (x1 + 1, y1 + 1, x2, y2)):
            _put(box, key, number_text(pixels(edge)))
    return root


def _put(node: Element, key: str, text: str) -> None:
    SubElement(node, key).text = text
