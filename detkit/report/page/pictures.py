"""Pictures with detections and missed objects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from detkit.data.images import sample_image
from detkit.diagnosis import worst_images
from detkit.errors import DataError
from detkit.report.page.blocks import Gallery, Picture, Section
from detkit.report.page.crops import crop, touching
from detkit.report.page.inputs import Inputs
from detkit.report.page.judged import Judged
from detkit.report.page.missed import CROPS, missed
from detkit.structures import OTHER_CLASS, Boxes, Detections, Sample
from detkit.visualize import Labels, jpeg_bytes, thumbnail

WHOLE, WORST = 8, 8
"""Pictures of each gallery."""


def pictures(inputs: Inputs) -> Section:
    """The section with whole images as the model shows them, then the best, the worst and the missed."""
    title, judged = "Pictures", inputs.judged
    if inputs.dataset is None:
        return Section("pictures", title, missing=inputs.no_judgement)
    spread = np.linspace(0, len(inputs.dataset) - 1, min(WHOLE, len(inputs.dataset))).astype(int)
    try:
        shown = [_whole(inputs, i) for i in np.unique(spread).tolist()]
        caption = "Images spread evenly over the test list" + (
            f", with all that reaches the threshold {judged.threshold_words}." if judged is not None else "."
        )
        galleries = [Gallery("What the model shows", caption, shown, wide=True)]
        if judged is not None:
            galleries += [_worst_images(inputs, judged), _best(inputs, judged), _worst(inputs, judged)]
            galleries.append(missed(inputs, judged))
    except DataError as error:
        return Section("pictures", title, missing=f"an image cannot be read: {error}")
    lead = (
        "Green is an object as it was annotated. In the parts of images below, blue is a detection that is right and "
        "orange one that is wrong; in whole images each class has its own colour."
    )
    return Section("pictures", title, lead, [gallery for gallery in galleries if gallery.pictures])


def _whole(inputs: Inputs, image: int, line: str = "") -> Picture:
    """An image with its shown detections."""
    assert inputs.dataset is not None
    sample, shown = inputs.dataset[image], _shown(inputs, inputs.detections[image])
    labels = Labels.of(inputs.dataset.class_names)
    picture = thumbnail(sample_image(sample), shown, labels, truths=sample.annotations, min_score=-np.inf)
    names = ", ".join(f"{labels.names[k]} {score:.2f}" for k, score in zip(shown.labels, shown.scores)) or "nothing"
    return Picture(
        jpeg_bytes(picture), f"Image {sample.image_id}: shown {names}", [sample.image_id, *filter(None, [line])]
    )


def _shown(inputs: Inputs, found: Detections) -> Detections:
    """The detections that reach their threshold; their scores become probabilities if these are known."""
    if inputs.calibration is not None:
        return inputs.calibration.shown(found)
    if inputs.judged is not None:
        return found[found.scores.double() >= torch.from_numpy(inputs.judged.thresholds)[found.labels]]
    return found


def _worst_images(inputs: Inputs, judged: Judged) -> Gallery:
    worst = [one for one in worst_images(judged.outcome, judged.thresholds)[:WORST] if one.wrong + one.missed]
    found = [_whole(inputs, one.image, f"{one.wrong} wrong, {one.missed} missed") for one in worst]
    return Gallery("Worst images", "Those with the most mistakes among what is shown.", found, wide=True)


def _best(inputs: Inputs, judged: Judged) -> Gallery:
    rows = judged.best_by_class(judged.verdicts.right, CROPS)
    caption = "Right detections with the highest scores, in turn one of each class."
    return Gallery("Best detections", caption, [_detection(inputs, judged, row, "blue") for row in rows])


def _worst(inputs: Inputs, judged: Judged) -> Gallery:
    rows = judged.best_by_class(judged.verdicts.wrong, CROPS)
    caption = "Wrong detections with the highest scores, in turn one of each class, and what lies there."
    return Gallery("Worst detections", caption, [_detection(inputs, judged, row, "orange") for row in rows])


def _detection(inputs: Inputs, judged: Judged, row: int, color: str) -> Picture:
    assert inputs.dataset is not None
    sample, box = inputs.dataset[int(judged.outcome.det_images[row])], judged.outcome.det_boxes[row].tolist()
    name, score = judged.class_names[judged.outcome.det_labels[row]], judged.score_text(row)
    lies = _what_lies(judged, sample, row, box)
    kind = "Right" if judged.verdicts.right[row] else "Wrong"
    alt = f"{kind} detection of {name} in image {sample.image_id}, {score}: {lies}"
    return crop(sample, [*touching(sample, box), (box, color)], alt, (f"{name}, {score}", lies))


def _what_lies(judged: Judged, sample: Sample, row: int, box: Sequence[float]) -> str:
    """A few words about the object that a detection is nearest to."""
    truths = sample.annotations
    if truths is None or not len(truths):
        return "no object in this image"
    overlaps = Boxes.of([box]).iou(truths.boxes)[0]
    own = torch.where(truths.labels == int(judged.outcome.det_labels[row]), overlaps, -1.0)
    if judged.verdicts.truth[row] >= 0:
        again = "" if judged.verdicts.right[row] else ", found before"
        return f"IoU {float(own.max()):.2f}{again}"
    if float(overlaps.max()) < 0.1:
        return "background"
    label = int(truths.labels[int(overlaps.argmax())])
    other = "another class" if label == OTHER_CLASS else judged.class_names[label]
    return f"IoU {float(overlaps.max()):.2f} with {other}"
