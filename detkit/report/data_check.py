"""The check of a recipe's data before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from detkit.config.load import config_of
from detkit.config.node import Config
from detkit.config.recognised import claims_on
from detkit.data.base import Dataset
from detkit.data.exif import STORED, orientation_name, orientation_of
from detkit.data.fingerprint import ImageFacts, inspect_images
from detkit.data.left_out import left_out
from detkit.errors import DataError, one_line
from detkit.report.notices import seen_in_training
from detkit.report.reach import unreached, unreached_line
from detkit.run.datasets import Datasets
from detkit.run.givers import PlannedStage, planned_stages
from detkit.run.kinds import PROPOSALS
from detkit.structures import OTHER_CLASS

SHARES = (0, 0.05, 0.25, 0.5, 0.75, 0.95, 1)
_UNSET = (
    "not set, so it was not looked at; a recipe that pre-trains needs it, one that does not needs BACKBONE.WEIGHTS "
    "(for example torchvision:IMAGENET1K_V1)"
)
LEARNT_FROM = {"FINETUNE", "TRAIN", "PRETRAIN_DATA.TRAIN"}


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """The findings in the data of one or more roles.

    Args:
        roles: the roles that use these splits.
        splits: names of splits, joined in this order.
        num_images: number of usable images.
        left_out: number of other images, as "68 of 180 images (37.8%)"; empty if there are none.
        num_empty: number of usable images without an object.
        objects: number of ground truths of each class, in label order.
        num_difficult: number of difficult ground truths.
        num_crowd: number of ground truths that are crowds.
        num_unreachable: number of ground truths that no proposal can find under the recipe's settings.
        num_other: number of objects of classes that are not selected, kept to be ignored.
        quantiles: for "box width", "box height", "image width" and "image height" the pixels at each of SHARES.
        problems: each broken image or annotation, and mistakes that make the whole split unusable.
        stops: whether training would stop at the problems; it would not if ON_BAD leaves broken images out.
        warnings: repairs and oddities.
        taken_for: for a recognised folder, the kind of data set and the reason.
    """

    roles: tuple[str, ...]
    splits: tuple[str, ...]
    num_images: int = 0
    left_out: str = ""
    num_empty: int = 0
    objects: Mapping[str, int] = field(default_factory=dict)
    num_difficult: int = 0
    num_crowd: int = 0
    num_unreachable: int = 0
    num_other: int = 0
    quantiles: Mapping[str, Sequence[float]] = field(default_factory=dict)
    problems: Sequence[str] = ()
    stops: bool = False
    warnings: Sequence[str] = ()
    taken_for: str = ""

    @property
    def name(self) -> str:
        """Roles and splits, as a heading."""
        return ", ".join(self.roles) + (f" ({'+'.join(self.splits)})" if self.splits else "")


def check_data(config: Config) -> list[SplitReport]:
    """A report on each data set that the recipe's stages read, opened by the readers that training uses.

    PRETRAIN_DATA is left out, with a warning, if it has its defaults, because then only DATA was configured.

    Raises:
        ConfigError: if a setting of a data set cannot be used.
        DataError: if the cache folder cannot be written.
    """
    datasets = Datasets(config, on_bad="skip")
    planned = planned_stages(config, complete=False)
    proposes = any(one.stage.gives == PROPOSALS for one in planned)
    steps = [
        (one, roles) for one in planned for roles in (one.stage.reads(one.config, role).roles for role in one.roles)
    ]
    of_pretraining = [roles for _, roles in steps if any(datasets.slot(role) == "PRETRAIN_DATA" for role in roles)]
    is_unset = bool(of_pretraining) and config.PRETRAIN_DATA == config_of([]).PRETRAIN_DATA
    if is_unset:
        steps = [(stage, roles) for stage, roles in steps if roles not in of_pretraining]
    opened = {role: _opened(datasets, role) for _, roles in steps for role in roles}
    refused: dict[str, list[str]] = {role: [] for role in opened}
    for one, roles in steps:
        for role in roles[:1]:
            refused[role] += _refusals(one, {r: opened[r] for r in roles})
    roles_of: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for role in opened:
        roles_of.setdefault((datasets.slot(role), datasets.splits(role)), []).append(role)
    as_trained, seen = Datasets(config), dict[str, tuple[str, Path]]()
    reports = []
    for (slot, splits), using in roles_of.items():
        dataset = opened[using[0]]
        if isinstance(dataset, DataError):
            lines = _unlike([str(dataset), *dataset.problems])
            reports.append(SplitReport(roles=tuple(using), splits=splits, problems=lines, stops=True))
            continue
        unusable = [line for role in using for line in refused[role]]
        if config[slot].ON_BAD == "stop":
            unusable += _untold(as_trained, using[0], dataset)
        else:
            unusable += _too_many_left_out(datasets, using[0], dataset)
        stops = bool(unusable) or (config[slot].ON_BAD == "stop" and bool(dataset.problems))
        found = {role: d for role, d in opened.items() if isinstance(d, Dataset)} if "TEST" in using else {}
        out_of_reach = unreached(config, dataset) if slot == "DATA" and proposes else 0
        warnings = [*seen_in_training(found), *([unreached_line(config, out_of_reach)] if out_of_reach else [])]
        report = _report(dataset, tuple(using), splits, _unlike(unusable), stops, warnings, seen)
        taken_for = _taken_for(config) if slot == "DATA" else ""
        reports.append(replace(report, num_unreachable=out_of_reach, taken_for=taken_for))
    if is_unset:
        reports.append(SplitReport(roles=("PRETRAIN_DATA",), splits=(), warnings=[_UNSET]))
    return reports


def _taken_for(config: Config) -> str:
    """The kind of data set that DATA.ROOT was recognised as, with the reason; empty if it is not set."""
    root, name = config.DATA.ROOT, config.DATA.NAME
    why = claims_on(Path(root)).get(name, "as DATA.NAME says") if root else ""
    return f"DATA.ROOT {root}: {name} ({why})" if root else ""


def _opened(datasets: Datasets, role: str) -> Dataset | DataError:
    try:
        return datasets(role)
    except DataError as error:
        return error


def _refusals(one: PlannedStage, found: Mapping[str, Dataset | DataError]) -> Sequence[str]:
    """The mistakes for which a stage refuses its data; data that cannot be opened are reported elsewhere."""
    data = {role: dataset for role, dataset in found.items() if not isinstance(dataset, DataError)}
    if len(data) < len(found):
        return ()
    try:
        one.stage.check_data(one.config, data)
    except DataError as error:
        return error.problems
    return ()


def _untold(datasets: Datasets, role: str, dataset: Dataset) -> list[str]:
    """Mistakes outside the split that stop training, such as an unlisted annotation file that cannot be parsed."""
    stopping = _opened(datasets, role)
    lines = stopping.problems if isinstance(stopping, DataError) else ()
    return [line for line in lines if not any(told.endswith(line) for told in dataset.problems)]


def _too_many_left_out(datasets: Datasets, role: str, dataset: Dataset) -> Sequence[str]:
    try:
        datasets.refuse_many_left_out(role, dataset)
    except DataError as error:
        return error.problems
    return ()


def _report(
    dataset: Dataset,
    roles: tuple[str, ...],
    splits: tuple[str, ...],
    unusable: Sequence[str],
    stops: bool,
    warnings: Sequence[str],
    seen: dict[str, tuple[str, Path]],
) -> SplitReport:
    truths = [sample.annotations for sample in dataset if sample.annotations is not None]
    labels = Counter(label for t in truths for label in t.labels.tolist())
    objects = {name: labels[k] for k, name in enumerate(dataset.class_names)}
    missing = [name for name, count in objects.items() if not count] if LEARNT_FROM & set(roles) else []
    return SplitReport(
        roles=roles,
        splits=splits,
        num_images=len(dataset),
        left_out=left_out(dataset),
        num_empty=sum(not len(t) for t in truths),
        objects=objects if truths else {},
        num_difficult=sum(int(t.difficult.sum()) for t in truths),
        num_crowd=sum(int(t.crowd.sum()) for t in truths),
        num_other=labels[OTHER_CLASS],
        quantiles=_quantiles(dataset),
        problems=[*unusable, *map(one_line, dataset.problems)],
        stops=stops,
        warnings=[
            *warnings,
            *map(one_line, dataset.warnings),
            *(f"class {name} has no object to learn from" for name in missing if truths),
            *_repeated_images(dataset, f"{'+'.join(splits)}", seen),
            *_turned_images(dataset),
        ],
    )


def _unlike(lines: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(lines))


def _quantiles(dataset: Dataset) -> dict[str, list[float]]:
    boxes = [sample.annotations.boxes.numpy() for sample in dataset if sample.annotations is not None]
    corners = np.concatenate([np.zeros((0, 4)), *boxes])
    sizes = np.array([sample.size for sample in dataset])
    columns = {
        "box width": corners[:, 2] - corners[:, 0],
        "box height": corners[:, 3] - corners[:, 1],
        "image width": sizes[:, 1],
        "image height": sizes[:, 0],
    }
    return {name: np.quantile(column, SHARES).round(2).tolist() for name, column in columns.items() if len(column)}


def _turned_images(dataset: Dataset) -> list[str]:
    """A line for each image that EXIF would turn and that is used as it is stored."""
    found = ((s.image_id, orientation_of(s.path)) for s in dataset if s.orientation == STORED)
    return [
        f"image {one_line(image_id)}: EXIF notes that it is to be {orientation_name(orientation)}; its pixels are "
        "taken as they are stored, see the key EXIF of the data set"
        for image_id, orientation in found
        if orientation != STORED
    ]


def _repeated_images(dataset: Dataset, split: str, seen: dict[str, tuple[str, Path]]) -> list[str]:
    """A line for each image whose file has the same content as an earlier one, in this data set or another.

    Args:
        dataset: the images, in order.
        split: name of the data set.
        seen: for each content a text about its first image, and its file; new contents are added.
    """
    lines = []
    samples = list(dataset)
    for sample, facts in zip(samples, inspect_images([sample.path for sample in samples])):
        if isinstance(facts, ImageFacts):
            own = one_line(f"{sample.image_id} of {split}")
            other, path = seen.setdefault(facts.sha256, (own, sample.path))
            if path != sample.path:
                lines.append(f"image {own} is the same picture as {other}")
    return lines
