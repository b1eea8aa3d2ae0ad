"""A recipe for the data in a folder, with comments on the data and on keys that the user can change."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from detkit.config.load import load_config
from detkit.config.recognised import claims_on
from detkit.config.yaml_file import value_text
from detkit.data.base import Dataset
from detkit.errors import counted, one_line
from detkit.run.datasets import Datasets

SMALL = 32
"""Pixels; of narrower boxes little is left where the picture is searched at a smaller width."""


def new_recipe(root: Path, file: Path, base: str) -> str:
    """The text of a recipe.

    Args:
        root: the folder of the data.
        file: the future file of the recipe; paths in it are relative to this file.
        base: the recipe that it extends.

    Raises:
        ConfigError: if the base cannot be read, or several data sets recognise the folder.
        DataError: if no data set recognises the folder, or its data cannot be used; it says what the folder holds.
    """
    config = load_config(base, ["DATA.ROOT", value_text(str(root))])
    claims = claims_on(root)
    datasets = Datasets(config)
    learnt = datasets("TRAIN")
    tested = datasets("TEST")
    name = config.DATA.NAME
    return "\n".join(
        [
            "# Written by `detkit init`. Each line can be changed; what is left out is as in the base.",
            f"# {one_line(str(root))} was taken for {name}: {one_line(claims[name])}.",
            *_told("DATA.TRAIN", learnt),
            *_told("DATA.TEST", tested),
            f"_BASE_: {_seen_from(base, file)}",
            "DATA:",
            f"  ROOT: {value_text(_seen_from(str(root), file))}  # `./` means beside this file",
            f"  NAME: {name}",
            f"  {name}:",
            f"    CLASSES: {value_text(list(learnt.class_names))}  # in label order; leave out what is not wanted, and",
            "    # OTHER_CLASSES: ignore  # keep images with other objects; nothing is learnt or judged there",
            "    # EXIF: turn  # photographs that EXIF turns: turn, or upright where the boxes are upright already",
            *_drawn(config.DATA[name]),
            *(f"  {role}: {value_text(config.DATA[role])}" for role in ("FINETUNE", "TRAIN", "TEST")),
            f"  ON_BAD: {config.DATA.ON_BAD}  # stop ends at a broken image or label, skip leaves the image out",
            *_search(learnt, config.PROPOSALS.SelectiveSearch.WIDTH),
            "# BACKBONE: {TorchvisionBackbone: {INPUT_SIZE: 128}}  # a third of the time, less accurate",
            "# FINETUNE: {ITERATIONS: 200, LR_DROP_EVERY: 150}  # fewer steps, for a first look",
            "",
        ]
    )


def _told(role: str, dataset: Dataset) -> list[str]:
    """Images and objects of a role, as comments."""
    truths = [sample.annotations for sample in dataset if sample.annotations is not None]
    labels = np.concatenate([np.zeros(0, int), *(t.labels.numpy() for t in truths)])
    counts = ", ".join(f"{one_line(n)} {int((labels == k).sum())}" for k, n in enumerate(dataset.class_names))
    lines = [f"# {role}: {counted(len(dataset), 'image')}, {counted(len(labels), 'object')}: {counts}"]
    if dataset.skipped:
        lines.append(f"#   {counted(len(dataset.skipped), 'image')} left out; `detkit data check` lists them")
    return lines


def _drawn(settings: dict[str, object]) -> list[str]:
    return [
        f"    {key}: {value_text(settings[key])}  # where the folder has no splits of its own"
        for key in ("VAL_FRACTION", "TEST_FRACTION")
        if key in settings
    ]


def _search(dataset: Dataset, width: int) -> list[str]:
    """The width at which proposals are searched, with a hint where boxes would become small."""
    rows: Sequence[float] = [
        float(min(box[2] - box[0], box[3] - box[1])) * min(1.0, width / sample.size[1] if width else 1.0)
        for sample in dataset
        if sample.annotations is not None
        for box in sample.annotations.boxes.numpy()
    ]
    share = float(np.mean(np.array(rows) < SMALL)) if rows else 0.0
    hint = f"{share:.0%} of the boxes are narrower than {SMALL} px there; 0 searches the whole picture"
    return [f"PROPOSALS: {{SelectiveSearch: {{WIDTH: {width}}}}}  # {hint}"]


def _seen_from(path: str, file: Path) -> str:
    """A path as a recipe names what lies beside it; one that comes with detkit as it is."""
    if not Path(path).exists():
        return path
    try:
        seen = Path(os.path.relpath(path, file.absolute().parent)).as_posix()
    except ValueError:  # another drive
        return str(Path(path).absolute())
    return seen if seen.startswith("../") else f"./{seen}"
