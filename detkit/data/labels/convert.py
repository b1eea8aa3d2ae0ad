"""Conversion of a data set from one format to another, with a report of what is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from detkit.data.exif import orientation_of, upright_size
from detkit.data.fingerprint import ImageFacts, inspect_images
from detkit.data.labels import write_coco, write_voc, write_yolo
from detkit.data.labels.form import ImageLabels, LabelledImage, LabelledObject, LabelSet
from detkit.data.labels.formats import read_labels
from detkit.data.labels.written import NewSet, WrittenImage
from detkit.data.listed import refuse_unwritable
from detkit.data.repairs import ROUNDING, size_differs
from detkit.errors import ConfigError, DataError, counted
from detkit.registry import nearest
from detkit.system.files import replacing_folder, write_json

WRITERS: Mapping[str, Callable[[Path, NewSet], None]] = {
    module.NAME: write
    for module, write in (
        (write_voc, write_voc.write_voc),
        (write_coco, write_coco.write_coco),
        (write_yolo, write_yolo.write_yolo),
    )
}
NO_SPLIT = "default"
"""The split of images that a divided set puts in none, as CVAT calls it."""
Frame = Literal["stored", "upright"]
"""What the boxes of a photograph that EXIF turns refer to: the pixels as stored, or as a viewer shows them."""


@dataclass(frozen=True)
class Conversion:
    """The report of a conversion.

    Args:
        source: the format that was read.
        why: the sign by which it was recognised.
        num_images: number of images that were written.
        num_objects: number of objects that were written.
        splits: number of images of each split.
        class_names: the classes in label order.
        lost: for each kind of lost value, the counts by image; "" stands for the whole file.
        left_out: a line for each mistake of the images that were left out.
        num_left_out: number of images that were left out.
        notes: other facts for the reader.
    """

    source: str
    why: str
    num_images: int
    num_objects: int
    splits: Mapping[str, int]
    class_names: Sequence[str]
    lost: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    left_out: Sequence[str] = ()
    num_left_out: int = 0
    notes: Sequence[str] = ()


def convert(
    place: Path,
    folder: Path,
    to: str,
    *,
    source: str = "",
    on_bad: Literal["stop", "skip"] = "stop",
    frame: Frame = "stored",
    link: bool = False,
) -> Conversion:
    """Writes the images and labels of a folder into a new folder in another format.

    Args:
        place: the folder or file to read.
        folder: the folder to create; it must not exist, or be empty.
        to: "voc", "coco" or "yolo".
        source: the format of ``place``; empty recognises it.
        on_bad: "stop" raises an error at a broken image or label; "skip" leaves the image out.
        frame: what boxes of images with an EXIF rotation refer to: "stored" or "upright" pixels. Boxes and sizes are
            not changed.
        link: whether to link to the image files instead of copying them.

    Raises:
        ConfigError: if a format is unknown.
        DataError: if a folder cannot be used, or with "stop" an image or label is broken; ``problems`` holds all.
        WriteError: if the file system refuses to write.
    """
    if to not in WRITERS:
        raise ConfigError(f"no format {to!r} to write.{nearest(to, WRITERS)} Formats: {', '.join(WRITERS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: is there already and is not empty; name another folder, or remove it")
    labels, why = read_labels(place, source)
    read = _ReadSet(labels, frame)
    if read.problems and on_bad == "stop":
        raise DataError(read.problems[0], read.problems)
    if not read.written:
        why = f": all are broken, the first: {read.problems[0]}" if read.problems else ""
        raise DataError(f"{place}: no image to convert{why}")
    class_names = _class_names(labels, read.written)
    splits: dict[str, list[str]] = {}
    for name, ids in labels.splits.items():
        splits.setdefault(name or NO_SPLIT, []).extend(read.ids[i] for i in ids if i in read.ids)
    refuse_unwritable([image.image_id for image in read.written], class_names)
    new = NewSet(read.written, splits, class_names, link, read.lost)
    with replacing_folder(folder) as partial:
        WRITERS[to](partial, new)
        done = Conversion(
            labels.format,
            why,
            len(new.images),
            sum(len(image.objects or ()) for image in new.images),
            {name: len(ids) for name, ids in splits.items()},
            class_names,
            {kind: dict(images) for kind, images in new.lost.items()},
            read.problems,
            len(labels.images) - len(new.images),
            [*labels.notes, *read.notes],
        )
        write_json(partial / "conversion.json", vars(done) | {"target": to})
    return done


class _ReadSet:
    """All images of a label set with their labels read.

    Attributes:
        written: what can go over.
        ids: the new id of each old one of these.
        problems: every mistake of the others.
        lost: as of ``NewSet``.
        notes: oddities.
    """

    def __init__(self, labels: LabelSet, frame: Frame) -> None:
        self.written: list[WrittenImage] = []
        self.problems: list[str] = []
        self.lost: dict[str, Counter[str]] = {kind: Counter({"": n}) for kind, n in labels.lost.items()}
        self.notes: list[str] = []
        self.ids = _flat_ids([image.image_id for image in labels.images])
        facts = inspect_images([image.path for image in labels.images])
        num_turned = 0
        for image, found in zip(labels.images, facts):
            try:
                if isinstance(found, DataError):
                    raise found
                orientation = orientation_of(image.path)
                num_turned += orientation != 1
                self._add(image, found, orientation, frame)
            except DataError as error:
                self.problems += error.problems
                del self.ids[image.image_id]
        if num_turned:
            self.notes.append(
                f"EXIF turns {counted(num_turned, 'photograph')}; boxes were taken to refer to the {frame} pixels; "
                f"train with DATA.EXIF={'ignore' if frame == 'stored' else 'upright'}"
            )

    def _add(self, image: LabelledImage, facts: ImageFacts, orientation: int, frame: Frame) -> None:
        size = facts.size if frame == "stored" else upright_size(facts.size, orientation)
        found = None if image.read is None else image.read(size)
        if found is not None:
            self._check(image, found, size, orientation, frame)
            for kind, count in found.lost.items():
                self.lost.setdefault(kind, Counter())[self.ids[image.image_id]] += count
        objects = None if found is None else found.objects
        self.written.append(WrittenImage(self.ids[image.image_id], image.path, size, objects))

    def _check(
        self, image: LabelledImage, found: ImageLabels, size: tuple[int, int], orientation: int, frame: Frame
    ) -> None:
        if found.size is not None and found.size != size:
            if orientation >= 5 and found.size == size[::-1]:
                other = "upright" if frame == "stored" else "stored"
                raise DataError(
                    f"{image.path}: EXIF turns it, and its labels are of the {other} pixels: --exif {other}"
                )
            self.notes.append(size_differs(f"labels of {image.image_id}", found.size, size))
        problems = [line for thing in found.objects if (line := _outside(thing, size))]
        if problems:
            raise DataError(problems[0], problems)
        for thing in found.objects:
            x1, y1, x2, y2 = thing.box
            outside = max(-x1, -y1, x2 - size[1], y2 - size[0])
            if outside > ROUNDING:
                self.notes.append(f"{thing.where} leaves the image by {outside:g} pixels; the box goes over as it is")
        twice = Counter((thing.name, thing.box) for thing in found.objects)
        for (name, _), count in twice.items():
            if count > 1:
                self.notes.append(
                    f"labels of {image.image_id}: {name} stands there {count} times with one box; all go over"
                )


def _outside(thing: LabelledObject, size: tuple[int, int]) -> str:
    x1, y1, x2, y2 = thing.box
    height, width = size
    if min(x2, width) > max(x1, 0) and min(y2, height) > max(y1, 0):
        return ""
    return f"{thing.where} has no area in the image of {width}x{height} pixels: box {list(thing.box)} (x1, y1, x2, y2)"


def _flat_ids(image_ids: Sequence[str]) -> dict[str, str]:
    """Ids without folders: the last part of each, after its folders if the last part is not unique."""
    last = Counter(image_id.rpartition("/")[2] for image_id in image_ids)
    flat = {i: i.rpartition("/")[2] if last[i.rpartition("/")[2]] == 1 else i.replace("/", "_") for i in image_ids}
    counts = Counter(flat.values())
    for image_id, name in flat.items():
        if counts[name] > 1:
            raise DataError(f"image {image_id}: another image becomes {name}, too; rename one of them")
    return flat


def _class_names(labels: LabelSet, images: Sequence[WrittenImage]) -> list[str]:
    """The classes of the format in its order, then other classes of objects, sorted."""
    found = {thing.name for image in images for thing in image.objects or ()}
    return [*labels.class_names, *sorted(found - set(labels.class_names))]
