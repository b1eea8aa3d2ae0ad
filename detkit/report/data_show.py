"""Pictures of a recipe's data: annotated photographs, proposals, and the regions of one fine-tuning step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from detkit.config.build import build
from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.data.images import sample_image
from detkit.errors import DataError, counted
from detkit.proposals.base import ProposalGenerator
from detkit.regions.base import RegionExtractor, checked_rows
from detkit.regions.index import RegionIndex
from detkit.run.datasets import Datasets
from detkit.structures import OTHER_CLASS, Boxes, Proposals, Sample
from detkit.system.files import replacing_folder
from detkit.system.seeding import rng_for
from detkit.training.finetune import FinetuneSettings
from detkit.visualize import write_image
from detkit.visualize.draw import TRUTH_COLOR
from detkit.visualize.grid import sheet
from detkit.visualize.labelled import Named, labelled_picture
from detkit.visualize.labels import Labels, class_color
from detkit.visualize.palette import rgb

What = Literal["truths", "proposals", "regions"]
SIDE, CROP = 400, 160
WIDTH = 1720
"""Pixels of a sheet, at most, unless one picture is wider."""
DRAWN_PROPOSALS = 60
Shown = tuple[str, np.ndarray]
"""A name and a picture."""


def show_data(config: Config, what: What, role: str, count: int, output: Path) -> str:
    """Writes pictures of a role's data: one sheet if ``output`` is a picture file, else a folder of pictures.

    Args:
        config: the recipe.
        what: what to draw.
        role: FINETUNE, TRAIN, VAL or TEST.
        count: number of images, spread evenly over the list.
        output: a picture file, or a folder that does not exist or is empty.

    Returns:
        A line that says what was written.

    Raises:
        DataError: if the role has no split, data cannot be read, or the folder is not empty.
    """
    if output.is_dir() and any(output.iterdir()):
        raise DataError(f"{output}: is not empty; name another folder, or a file that ends in .png")
    if not config.DATA[role]:
        raise DataError(f"DATA.{role} names no split to show")
    dataset = Datasets(config)(role)
    rows = np.unique(np.linspace(0, len(dataset) - 1, min(count, len(dataset))).round().astype(int)).tolist()
    samples = [dataset[row] for row in rows]
    pictures = _DRAWN[what](config, dataset, samples)
    if output.suffix:
        cell = max(max(picture.shape[:2]) for _, picture in pictures)
        write_image(output, sheet([picture for _, picture in pictures], max(1, WIDTH // cell), cell))
    else:
        with replacing_folder(output) as partial:
            for n, (name, picture) in enumerate(pictures):
                write_image(partial / f"{n:04d}_{name.replace('/', '_')[:60]}.png", picture)
    return (
        f"{output}: {counted(len(pictures), 'picture')} of {what}, DATA.{role}, {len(samples)} of {len(dataset)} images"
    )


def _truths(config: Config, dataset: Dataset, samples: Sequence[Sample]) -> list[Shown]:
    labels = Labels.of(dataset.class_names)
    return [
        (s.image_id, labelled_picture(sample_image(s), _named(s, labels), labels, side=SIDE, title=_title(s, labels)))
        for s in samples
    ]


def _named(sample: Sample, labels: Labels) -> list[Named]:
    truths = sample.annotations
    if truths is None:
        return []
    columns = zip(
        truths.boxes.tensor.tolist(), truths.labels.tolist(), truths.crowd.tolist(), truths.difficult.tolist()
    )
    return [
        Named(
            box,
            ("other class" if label == OTHER_CLASS else labels.names[label])
            + " (crowd)" * crowd
            + " (difficult)" * difficult,
            (150, 150, 150) if label == OTHER_CLASS else class_color(label),
            is_thin=crowd or difficult or label == OTHER_CLASS,
        )
        for box, label, crowd, difficult in columns
    ]


def _title(sample: Sample, labels: Labels) -> str:
    told = "no annotation" if sample.annotations is None else counted(len(sample.annotations), "object")
    name = Path(sample.image_id).name
    return f"{name if len(name) < 28 else name[:12] + '...' + name[-12:]}: {told}"


def _found(config: Config, samples: Sequence[Sample]) -> list[Proposals]:
    generator: ProposalGenerator = build(config, "PROPOSALS")
    return [generator.propose(sample_image(sample), sample.image_id) for sample in samples]


def _proposals(config: Config, dataset: Dataset, samples: Sequence[Sample]) -> list[Shown]:
    """Ground truths in green, the best proposal of each in orange with its IoU, and some of the others."""
    labels = Labels.of(dataset.class_names)
    pictures = []
    for sample, found in zip(samples, _found(config, samples)):
        rows = np.linspace(0, len(found) - 1, min(DRAWN_PROPOSALS, len(found))).astype(int)
        boxes = [Named(found.boxes.tensor[row].tolist(), "", (170, 170, 170), is_thin=True) for row in rows.tolist()]
        truths = sample.annotations
        if truths is not None and len(truths) and len(found):
            best, at = truths.boxes.iou(found.boxes).max(1)
            boxes += [Named(box, "", TRUTH_COLOR) for box in truths.boxes.tensor.tolist()]
            for iou, row in zip(best.tolist(), at.tolist()):
                boxes.append(Named(found.boxes.tensor[row].tolist(), f"{iou:.2f}", rgb("orange")))
        title = f"{Path(sample.image_id).name[:24]}: {counted(len(found), 'proposal')}"
        pictures.append(
            (sample.image_id, labelled_picture(sample_image(sample), boxes, labels, side=SIDE, title=title))
        )
    return pictures


def _regions(config: Config, dataset: Dataset, samples: Sequence[Sample]) -> list[Shown]:
    """What the network sees of each region of the first fine-tuning step, drawn from these images alone."""
    settings = config.settings("FINETUNE", FinetuneSettings)
    difficult = config.DATA.TRAIN_DIFFICULT
    classes = len(dataset.class_names)
    index = RegionIndex.build(samples, _found(config, samples), classes, difficult=difficult, **settings.labels)
    sampler = build(config, "REGION_SAMPLER")
    drawn = sampler.draw(index, rng_for(config.SEED, "finetune", "draw", 0), iteration=0, seed=config.SEED)
    rows = checked_rows(sampler, drawn, index)
    backbone = build(config, "BACKBONE")
    extractor: RegionExtractor = build(config, "REGION_EXTRACTOR", input_size=backbone.input_size).for_training()
    labels = Labels.of((*dataset.class_names, "background"))
    images = {image: sample_image(samples[image]) for image in np.unique(index.image[rows]).tolist()}
    pictures = []
    # Foreground first, so that a sheet begins with what is rare.
    for row in sorted(rows.tolist(), key=lambda row: (index.label[row] == classes, index.label[row])):
        image, label = images[int(index.image[row])], int(index.label[row])
        box = index.boxes[[row]]
        name = labels.names[label]
        pictures.append((name, labelled_picture(_seen(extractor, image, box), [], labels, side=CROP, title=name)))
    return pictures


def _seen(extractor: RegionExtractor, image: np.ndarray, box: Boxes) -> np.ndarray:
    """The crop that the network runs on; the region's own pixels where it runs on the whole image."""
    view = extractor.view(image, box)
    if view is not None and view.is_crop:
        return view.pixels
    x1, y1, x2, y2 = box.tensor[0].round().int().tolist()
    return image[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]


_DRAWN = {"truths": _truths, "proposals": _proposals, "regions": _regions}
