"""The regions of a split: proposals, with ground truths or without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detkit.data.base import Dataset
from detkit.errors import DataError
from detkit.regions.index import RegionIndex
from detkit.run.kinds import PROPOSALS_FILE
from detkit.run.shards import split_images
from detkit.run.stage import Context
from detkit.structures import OTHER_CLASS, Boxes, Proposals
from detkit.system.seeding import rng_for


def load_proposals(context: Context, role: str) -> list[Proposals]:
    """The proposals of every image of a role's split, from the input ``proposals``."""
    return read_proposals(context.inputs["proposals"], context.dataset(role))


def read_proposals(folder: Path, dataset: Dataset) -> list[Proposals]:
    """The proposals of every image of a data set, from the result of the stage Propose."""
    found = split_images(folder / PROPOSALS_FILE)
    return [Proposals(Boxes(one["boxes"]), one["objectness"], s.size) for one, s in zip(found, dataset, strict=True)]


def region_index(context: Context, role: str, *, with_truths: bool, max_boxes: int = 0, **labels: Any) -> RegionIndex:
    """The regions of a role's split.

    Args:
        context: context of the stage, with the input ``proposals``.
        role: FINETUNE, TRAIN, VAL or TEST.
        with_truths: whether ground truths are regions, too.
        max_boxes: number of proposals of an image that are drawn at random; 0 takes all. The draw depends on the id
            of the image alone.
        labels: thresholds of the fine-tuning labels, by the names of ``RegionIndex.build``.
    """
    dataset = context.dataset(role)
    return RegionIndex.build(
        list(dataset),
        [_drawn(p, max_boxes, s.image_id) for p, s in zip(load_proposals(context, role), dataset, strict=True)],
        len(dataset.class_names),
        difficult=context.config.DATA.TRAIN_DIFFICULT if with_truths else "use",
        with_truths=with_truths,
        **labels,
    )


def _drawn(proposals: Proposals, most: int, image_id: str) -> Proposals:
    if not most or len(proposals) <= most:
        return proposals
    rows = torch.from_numpy(np.sort(rng_for(0, "proposals", image_id).permutation(len(proposals))[:most]))
    return Proposals(proposals.boxes[rows], proposals.objectness[rows], proposals.image_size)


def refuse_without_truths(data: Mapping[str, Dataset]) -> None:
    """Refuses a data set in which no image has a ground truth.

    Raises:
        DataError: if there is such a data set; it names the role.
    """
    for role, dataset in data.items():
        truths = [sample.annotations for sample in dataset if sample.annotations is not None]
        if all(bool((truth.labels == OTHER_CLASS).all()) for truth in truths):
            raise DataError(f"DATA.{role}: none of its {len(dataset)} images has a ground truth to learn from")
