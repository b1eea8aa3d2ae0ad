"""Folders in PASCAL VOC's format, as a label set."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path

from detkit.data.labels.form import ImageLabels, LabelledImage, LabelledObject, LabelSet
from detkit.data.labels.text_files import read_text
from detkit.data.voc_files import find_voc_files, listed_ids
from detkit.data.voc_xml import read_voc_xml
from detkit.errors import counted
from detkit.system.reading import entries


def read_voc(root: Path) -> LabelSet:
    """The label set of a folder in VOC's layout, or of images and XML files side by side.

    The lists of ImageSets/Main are its splits, except for the lists of single classes. A file classes.txt, which
    ``detkit data convert`` writes, gives the order of the classes.

    Raises:
        DataError: if there is no such folder or no image, or a list cannot be read.
    """
    files = find_voc_files(root)
    images, xml = files.image_paths(), files.xml_paths()
    splits = _splits(files.lists) if files.lists else {}
    ids = sorted({*images, *xml, *(image_id for listed in splits.values() for image_id in listed)})
    unlabelled = {image_id for listed in splits.values() if not any(i in xml for i in listed) for image_id in listed}
    found = []
    for image_id in ids:
        file = xml.get(image_id, files.annotations / f"{image_id}.xml")
        path = images.get(image_id, files.images / f"{image_id}.jpg")
        read = None if image_id in unlabelled and image_id not in xml else functools.partial(_read, file)
        found.append(LabelledImage(image_id, path, read))
    notes, listed = [], {image_id for split in splits.values() for image_id in split}
    if splits and (missing := len(set(ids) - listed)):
        notes.append(f"{files.lists}: {counted(missing, 'image')} in no list: left out")
        found = [image for image in found if image.image_id in listed]
    order = root / "classes.txt"
    names = [line.strip() for line in read_text(order, "a class name a line").splitlines()] if order.is_file() else []
    return LabelSet("voc", root, found, splits, [name for name in names if name], notes)


def _splits(lists: Path) -> dict[str, list[str]]:
    names = [path.stem for path in entries(lists) if path.suffix == ".txt"]
    # A list such as cat_train holds the images of train once more.
    plain = [name for name in names if name.rpartition("_")[2] not in names or "_" not in name]
    return {name: listed_ids(lists, name) for name in plain}


def _read(file: Path, size: tuple[int, int]) -> ImageLabels:
    annotation = read_voc_xml(file)
    lost = Counter(f"<{tag}>" for tag in annotation.unread)
    lost.update(f"<{tag}> of an object" for thing in annotation.objects for tag in thing.unread)
    objects = tuple(
        LabelledObject(
            where=thing.where,
            name=thing.name,
            box=thing.box,
            difficult=thing.difficult,
            crowd=thing.crowd,
            truncated=thing.truncated,
            occluded=thing.occluded,
            area=thing.area,
        )
        for thing in annotation.objects
    )
    return ImageLabels(objects, lost, annotation.size)
