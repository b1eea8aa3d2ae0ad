"""Data sets in the format of COCO."""

from __future__ import annotations

import functools
import glob
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from detkit.data.classes import Classes, Others, refuse_repeated_names
from detkit.data.coco_json import COCOFile, COCOImage, COCOTruth, read_coco_json
from detkit.data.images import MAX_MEGAPIXELS, Megapixels
from detkit.data.listed import Entry, ListedDataset
from detkit.data.repairs import cut_to_image, every
from detkit.data.splits import no_split
from detkit.errors import ConfigError, DataError
from detkit.registry import DATASETS, nearest
from detkit.structures import Annotations


@DATASETS.register()
class COCO(ListedDataset):
    """Photographs with an instances JSON file.

    Where ``annotations`` or ``images`` contains ``{split}``, the split's name is put there, as in
    ``annotations/instances_{split}.json``; a data set of one file has the one split ``all``. The image id is the
    file name without its suffix.

    Args:
        splits: names of splits, joined in this order.
        on_bad: stop at a broken image or annotation, or leave the image out.
        annotations: the instances JSON file; one without "annotations" gives images without ground truths.
        images: the folder of the images.
        classes: names of categories in the order of their labels; empty takes all, in the order of their numbers.
        other_classes: an object of none of ``classes`` is a mistake (stop), keeps its image but is neither learnt from
            nor judged (ignore), or counts as background (drop).
        max_megapixels: an image of more million pixels is broken; it is never decoded.

    Attributes:
        category_ids: COCO's number of each class.
        image_numbers: COCO's number of each image, in list order.

    Raises:
        ConfigError: a path is empty.
        DataError: a file that is missing or cannot be used.

    Example:
        >>> import json, tempfile
        >>> from pathlib import Path
        >>> folder = Path(tempfile.mkdtemp())
        >>> image = {"id": 7, "file_name": "7.jpg", "width": 90, "height": 60}
        >>> cat = {"id": 1, "image_id": 7, "category_id": 3, "bbox": [10, 5, 30, 20], "area": 600, "iscrowd": 0}
        >>> instances = {"images": [image], "annotations": [cat], "categories": [{"id": 3, "name": "cat"}]}
        >>> _ = (folder / "instances.json").write_text(json.dumps(instances))
        >>> coco = COCO(splits=("all",), on_bad="stop", needs_images=False, annotations=str(folder / "instances.json"))
        >>> coco.class_names, coco[0].annotations.boxes.tensor.tolist()
        (('cat',), [[10.0, 5.0, 40.0, 25.0]])
    """

    evaluators = ("COCO",)

    def __init__(
        self,
        *,
        splits: tuple[str, ...],
        on_bad: Literal["stop", "skip"],
        needs_images: bool,
        annotations: str = "",
        images: str = "",
        classes: tuple[str, ...] = (),
        other_classes: Others = "stop",
        max_megapixels: Annotated[float, Megapixels] = MAX_MEGAPIXELS,
    ) -> None:
        for key, value in (("ANNOTATIONS", annotations), ("IMAGES", images)):
            if not value and (key == "ANNOTATIONS" or needs_images):
                raise ConfigError(f"DATA.COCO.{key} is empty; set it to the {_EXPECTED[key]}")
        refuse_repeated_names(classes, "DATA.COCO")
        self.warnings = []
        entries, numbers = [], {}
        categories: dict[int, str] | None = None
        for split in splits:
            _check_split(split, annotations, images)
            file = read_coco_json(Path(annotations.replace("{split}", split)))
            if categories is not None and file.categories != categories:
                raise DataError(f"{file.path}: its categories are not those of split {splits[0]}")
            categories = file.categories
            for image in file.images:
                path = Path(images.replace("{split}", split), image.file_name)
                image_id = PurePosixPath(image.file_name).with_suffix("").as_posix()
                annotate = functools.partial(self._annotate, file, image)
                entries.append(Entry(image_id, path, annotate, functools.partial(_declared_size, image)))
                numbers[image_id] = image.number
        self._names = categories or {}
        self.category_ids = _chosen(self._names, classes, annotations)
        self.class_names = tuple(self._names[number] for number in self.category_ids)
        self._classes = Classes(self.class_names, other_classes, "DATA.COCO")
        self._open(entries, on_bad, needs_images, max_megapixels)
        self.warnings += [f"{annotations}: {line}" for line in self._classes.summary()]
        self.image_numbers = tuple(numbers[sample.image_id] for sample in self)

    def _annotate(self, file: COCOFile, image: COCOImage, size: tuple[int, int]) -> Annotations | None:
        self._compare_size(f"{file.path}: image {image.number}", image.size, size)
        found = file.truths(image)
        if found is None:
            return None
        labelled = every(functools.partial(self._labelled, truth) for truth in found)
        labels = [label for _, label in labelled if label is not None]
        truths = [truth for truth, label in labelled if label is not None]
        boxes, cut = cut_to_image([truth.box for truth in truths], [truth.where for truth in truths], size)
        self.warnings += cut
        truncated = [truth.truncated for truth in truths if truth.truncated is not None]
        return Annotations.of(
            boxes,
            labels,
            difficult=[truth.difficult for truth in truths],
            crowd=[truth.crowd for truth in truths],
            area=[truth.area for truth in truths],
            truncated=truncated if len(truncated) == len(truths) else None,
        )

    def _labelled(self, truth: COCOTruth) -> tuple[COCOTruth, int | None]:
        name = self._names[truth.category]
        return truth, self._classes.label(name, f"{truth.where} ({name})")


def _chosen(names: Mapping[int, str], classes: Sequence[str], file: str) -> tuple[int, ...]:
    """The category numbers of the classes that are asked for, or of all."""
    numbers = {name: number for number, name in names.items()}
    for name in classes:
        if name not in numbers:
            raise DataError(
                f"DATA.COCO.CLASSES: no category {name!r} in {file}.{nearest(name, numbers)} There is: "
                f"{', '.join(numbers) or 'nothing'}"
            )
    return tuple(numbers[name] for name in classes) or tuple(sorted(names))


def _declared_size(image: COCOImage) -> tuple[int, int] | None:
    return image.size


_EXPECTED = {
    "ANNOTATIONS": "instances JSON file, for example data/coco/annotations/instances_{split}.json",
    "IMAGES": "folder of the images, for example data/coco/{split}",
}


def _check_split(split: str, annotations: str, images: str) -> None:
    if "{split}" not in annotations + images and split != "all":
        raise DataError(
            f"data set COCO: no split {split!r}: DATA.COCO.ANNOTATIONS names one file, whose only split is 'all'; "
            "write {split} into its path to have several, as in instances_{split}.json"
        )
    before, _, after = annotations.partition("{split}")
    if not Path(annotations.replace("{split}", split)).exists() and "{split}" not in after:
        there = sorted(glob.glob(f"{glob.escape(before)}*{glob.escape(after)}"))  # noqa: PTH207 (may be absolute)
        if there:
            known = [path[len(before) : len(path) - len(after)] for path in there]
            raise no_split("COCO", split, f"for DATA.COCO.ANNOTATIONS {annotations}", known)
