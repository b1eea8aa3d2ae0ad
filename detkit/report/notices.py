"""Notices about a run's data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch

from detkit.data.base import Dataset
from detkit.data.left_out import left_out
from detkit.errors import one_line
from detkit.regions.label import Truths
from detkit.report.reach import unreached, unreached_line
from detkit.run.artifacts import read_result
from detkit.run.kinds import CLASSIFIER, PROPOSALS, REPORT_FILE
from detkit.run.runner import Run
from detkit.system.processes import excess_of_workers

SHOWN = 5


def notices(run: Run) -> list[str]:
    """Notices, a line each: too many workers, repairs, images left out, classes or objects out of reach."""
    lines = [f"warning: RUNTIME.WORKERS: {text}"] if (text := excess_of_workers(run.workers)) else []
    for dataset in {id(d): d for d in run.data().values()}.values():
        for kind, texts in (("warning", dataset.warnings), ("skipped", dataset.skipped)):
            lines += [f"{kind}: {text}" for text in texts[:SHOWN]]
            if len(texts) > SHOWN:
                lines.append(f"{kind}: and {len(texts) - SHOWN} more like these")
        if dataset.skipped:
            lines.append(f"skipped: {left_out(dataset)} in all")
    lines += [f"warning: {line}" for line in seen_in_training(run.data())]
    for role in ("FINETUNE", "TRAIN"):
        if role in run.data() and (missing := _without_truths(run.data()[role], run.config.DATA.TRAIN_DIFFICULT)):
            lines.append(f"warning: DATA.{role}: no ground truth to learn from of: {', '.join(missing)}")
    lines += _out_of_reach(run)
    classified = run.find(CLASSIFIER, "TRAIN")
    if classified is not None:
        report = read_result(classified / REPORT_FILE)
        names = [run.datasets("TRAIN").class_names[k] for k in report.get("never_fires", [])]
        lines += [f"warning: {name} never fires: its classifier found no positive, or no negative" for name in names]
    return [one_line(line) for line in lines]


def _out_of_reach(run: Run) -> list[str]:
    """A line for each data set with objects that no proposal can find."""
    roles_of: dict[Dataset, list[str]] = {}
    for role, dataset in run.data().items() if any(s.stage.gives == PROPOSALS for s in run.steps) else ():
        if run.datasets.slot(role) == "DATA":
            roles_of.setdefault(dataset, []).append(f"DATA.{role}")
    counts = {dataset: unreached(run.config, dataset) for dataset in roles_of}
    return [f"warning: {', '.join(roles_of[d])}: {unreached_line(run.config, n)}" for d, n in counts.items() if n]


def seen_in_training(data: Mapping[str, Dataset]) -> list[str]:
    """A line if test images are also used in training; else none.

    Args:
        data: the data set of each role; only those of DATA are compared.
    """
    learnt = {sample.path for role in ("FINETUNE", "TRAIN") if role in data for sample in data[role]}
    test = [sample.path for sample in data.get("TEST", ())]
    shared = sum(path in learnt for path in test)
    if not shared:
        return []
    return [
        f"DATA.TEST: {shared} of its {len(test)} images are also learnt from (DATA.FINETUNE, DATA.TRAIN), so its "
        "figures say nothing of new images"
    ]


def _without_truths(dataset: Dataset, difficult: Literal["use", "ignore"]) -> list[str]:
    """The classes of which the split has no object to learn from."""
    learnt = [Truths.of(sample.annotations, difficult).used.labels for sample in dataset]
    counts = torch.bincount(torch.cat(learnt), minlength=len(dataset.class_names))
    return [name for name, count in zip(dataset.class_names, counts.tolist(), strict=True) if not count]
