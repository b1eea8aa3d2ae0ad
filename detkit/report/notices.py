"""What the reader of a run should know of its data."""

from __future__ import annotations

from typing import Literal

import torch

from detkit.data.base import Dataset
from detkit.errors import one_line
from detkit.regions.label import Truths
from detkit.run.artifacts import read_result
from detkit.run.runner import Run
from detkit.stages.learner import REPORT
from detkit.system.processes import excess_of_workers

SHOWN = 5


def notices(run: Run) -> list[str]:
    """A line each, a few of each kind: workers beyond the cores, repairs, things left out, classes not to be learnt."""
    lines = [f"warning: RUNTIME.WORKERS: {text}"] if (text := excess_of_workers(run.workers)) else []
    for dataset in {id(d): d for d in run.data().values()}.values():
        for kind, texts in (("warning", dataset.warnings), ("skipped", dataset.skipped)):
            lines += [f"{kind}: {text}" for text in texts[:SHOWN]]
            if len(texts) > SHOWN:
                lines.append(f"{kind}: and {len(texts) - SHOWN} more like these")
    for role in ("FINETUNE", "TRAIN"):
        if role in run.data() and (missing := _without_truths(run.data()[role], run.config.DATA.TRAIN_DIFFICULT)):
            lines.append(f"warning: DATA.{role}: no ground truth to learn from of: {', '.join(missing)}")
    classified = run.find("Classify", "TRAIN")
    if classified is not None:
        report = read_result(classified / REPORT)
        names = [run.datasets("TRAIN").class_names[k] for k in report.get("never_fires", [])]
        lines += [f"warning: {name} never fires: its classifier found no positive, or no negative" for name in names]
    return [one_line(line) for line in lines]


def _without_truths(dataset: Dataset, difficult: Literal["use", "ignore"]) -> list[str]:
    """The classes of which the split has no object to learn from."""
    learnt = [Truths.of(sample.annotations, difficult).used.labels for sample in dataset]
    counts = torch.bincount(torch.cat(learnt), minlength=len(dataset.class_names))
    return [name for name, count in zip(dataset.class_names, counts.tolist(), strict=True) if not count]
