"""Data sets in the format of COCO."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from detkit.config.ranges import Fraction, NonNegative
from detkit.data.classes import Classes, Others, refuse_repeated_names
from detkit.data.coco_json import COCOFile, COCOImage, COCOTruth
from detkit.data.coco_splits import EXPECTED, found_parts, listed_part
from detkit.data.exif import Exif
from detkit.data.images import MAX_MEGAPIXELS, Megapixels
from detkit.data.labels.formats import sign_of
from detkit.data.listed import Entry, ListedDataset
from detkit.data.repairs import cut_to_image, every
from detkit.data.splits import Fractions
from detkit.errors import ConfigError, DataError
from detkit.registry import DATASETS, nearest
from detkit.structures import Annotations


@DATASETS.register()
class COCO(ListedDataset):
    """Images with instances files (JSON) in COCO's format.

    There are two ways to name the files:
    - ``annotations`` and ``images``. ``{split}`` in them is replaced by the split's name, as in
      ``annotations/instances_{split}.json``. Without ``{split}`` the one split is ``all``.
    - ``root``, a folder in one of the usual layouts. It has a split for each of its instances files; if one of VOC's
      names is missing, other splits replace it, with a warning, as in ``VOC``. With a single file, the splits train,
      val, trainval, test and all are drawn from ``split_seed``.

    The image id is the file name without its suffix.

    Args:
        splits: names of splits, joined in this order.
        on_bad: "stop" raises an error at a broken image or annotation; "skip" leaves the image out.
        root: folder of annotations and images, if ``annotations`` is empty.
        annotations: the instances file. If it has no "annotations", the images have no ground truths.
        images: folder of the images.
        classes: names of categories in label order; empty takes all, in the order of their numbers.
        other_classes: objects of other classes: "stop" raises an error; "ignore" keeps the image, but such objects
            count neither in training nor in evaluation; "drop" makes them background.
        draw_splits: whether to draw the splits from all images even if ``root`` has its own.
        val_fraction: share of the images in val if splits are drawn.
        test_fraction: share of the images in test if splits are drawn.
        split_seed: seed of the draw.
        exif: how to use EXIF's rotation: "ignore" uses stored pixels and boxes; "turn" turns images and boxes;
            "upright" turns images only, as the boxes are already those of the upright images.
        max_megapixels: an image of more million pixels counts as broken; it is not decoded.

    Attributes:
        category_ids: COCO's number of each class.
        image_numbers: COCO's number of each image, in list order.

    Raises:
        ConfigError: if a path is empty.
        DataError: if a file is missing or cannot be used.

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
    located_by = ("ROOT", "ANNOTATIONS", "IMAGES")

    def __init__(
        self,
        *,
        splits: tuple[str, ...],
        on_bad: Literal["stop", "skip"],
        needs_images: bool,
        root: str = "",
        annotations: str = "",
        images: str = "",
        classes: tuple[str, ...] = (),
        other_classes: Others = "stop",
        draw_splits: bool = False,
        val_fraction: Annotated[float, Fraction] = 0.2,
        test_fraction: Annotated[float, Fraction] = 0.2,
        split_seed: Annotated[int, NonNegative] = 0,
        exif: Exif = "ignore",
        max_megapixels: Annotated[float, Megapixels] = MAX_MEGAPIXELS,
    ) -> None:
        for key, value in (("ANNOTATIONS", annotations), ("IMAGES", images)):
            if not value and (annotations or not root) and (key == "ANNOTATIONS" or needs_images):
                raise ConfigError(f"DATA.COCO.{key} is empty; set it to the {EXPECTED[key]}, or set DATA.COCO.ROOT")
        if root and not Path(root).exists():
            raise DataError(f"data set COCO: no folder {root} (looked in {Path(root).absolute()}); set DATA.COCO.ROOT")
        fractions = Fractions("DATA.COCO", val_fraction, test_fraction, split_seed)
        refuse_repeated_names(classes, "DATA.COCO")
        self.warnings = []
        if annotations:
            place, parts = annotations, [listed_part(split, annotations, images) for split in splits]
        else:
            place, parts = root, found_parts(root, splits, draw_splits, fractions, self.warnings)
        entries, numbers = [], {}
        self._names: dict[int, str] = parts[0].file.categories if parts else {}
        for part in parts:
            if part.file.categories != self._names:
                raise DataError(f"{part.file.path}: its categories are not those of {parts[0].file.path}")
            for image in part.file.images:
                image_id = PurePosixPath(image.file_name).with_suffix("").as_posix()
                if part.ids is None or image_id in part.ids:
                    annotate = functools.partial(self._annotate, part.file, image)
                    path = part.images / image.file_name
                    entries.append(Entry(image_id, path, annotate, functools.partial(_declared_size, image)))
                    numbers[image_id] = image.number
        self.category_ids = _chosen(self._names, classes, place)
        self.class_names = tuple(self._names[number] for number in self.category_ids)
        self._classes = Classes(self.class_names, other_classes, "DATA.COCO")
        self._open(entries, on_bad, needs_images, max_megapixels, exif)
        self.warnings += [f"{place}: {line}" for line in self._classes.summary()]
        self.image_numbers = tuple(numbers[sample.image_id] for sample in self)

    @classmethod
    def recognises(cls, root: Path) -> str:
        """The sign by which a folder is COCO's, or an empty string."""
        return sign_of("coco", root)

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
    """The category numbers of the selected classes, or of all."""
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
