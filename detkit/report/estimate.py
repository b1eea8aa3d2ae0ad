"""What a run will take: time and disk of each step, and memory, before it starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from detkit.box_heads.linear import NORM_ROWS_STORED
from detkit.regions.source import NORM_IMAGES, NORM_ROWS
from detkit.registry import CLASSIFIERS
from detkit.report.measure import Probe, peak_memory
from detkit.run.disk import feature_bytes, free_bytes
from detkit.run.plan import Step
from detkit.run.runner import Run
from detkit.stages.common import build_reader, layers_read, network_layers
from detkit.stages.extract import extracted_roles, rows_kept
from detkit.system.processes import num_cores

BOX_BYTES = 20
"""Four coordinates and an objectness in float32."""


@dataclass(frozen=True)
class Cost:
    """What a step takes.

    Args:
        seconds: its time; None where nothing was measured.
        kept: bytes that stay.
        temporary: bytes that are needed beside them while it runs.
        unknown: what the figures leave out.
    """

    seconds: float | None = 0.0
    kept: int = 0
    temporary: int = 0
    unknown: str = ""


@dataclass(frozen=True)
class StepEstimate:
    """A step and its cost.

    Args:
        step: its label.
        state: "to do", "begun", "done", "not needed" where those that read it are done, or "shared" where an earlier
            step of the same split makes the same.
        cost: the whole for a step that is begun, nothing for one that is not to be made.
    """

    step: str
    state: str
    cost: Cost


@dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Args:
        steps: its steps in order.
        free: bytes free where artefacts lie.
        memory: bytes that the measured passes took, with one worker; 0 where the system does not count them.
        unknown: what the figures leave out.
    """

    steps: list[StepEstimate]
    free: int
    memory: int
    unknown: list[str]

    @property
    def seconds(self) -> float:
        """Time of the steps whose time is known."""
        return sum(one.cost.seconds or 0.0 for one in self.steps)

    @property
    def kept(self) -> int:
        """Bytes that stay."""
        return sum(one.cost.kept for one in self.steps)

    @property
    def most(self) -> int:
        """Bytes at the worst moment, checkpoints included."""
        return self.kept + max((one.cost.temporary for one in self.steps), default=0)

    def plain(self) -> dict[str, Any]:
        """The figures as JSON holds them."""
        totals = {"seconds": self.seconds, "bytes_kept": self.kept, "bytes_at_most": self.most}
        steps = [{"step": one.step, "state": one.state, **asdict(one.cost)} for one in self.steps]
        return {
            "steps": steps,
            **totals,
            "bytes_free": self.free,
            "bytes_of_memory": self.memory,
            "unknown": self.unknown,
        }


def estimate(run: Run) -> Estimate:
    """Measures for a few seconds what there is to do and multiplies."""
    probe = Probe(run)
    steps = []
    made_by: dict[str, str] = {}
    for step in run.steps:
        first = made_by.setdefault(step.digest, step.label)
        state = run.state(step) if first == step.label else "shared"
        costs = state in ("to do", "begun")
        steps.append(
            StepEstimate(step.label, state, _COSTS.get(step.name, _unmeasured)(probe, step) if costs else Cost())
        )
    unknown = [f"{one.step}: {one.cost.unknown}" for one in steps if one.cost.unknown]
    unknown.append("other programs on this machine; a processor that runs slower when it gets hot")
    return Estimate(steps, free_bytes(run.store.root), peak_memory(), unknown)


def _unmeasured(probe: Probe, step: Step) -> Cost:
    return Cost(None, unknown="a stage that is not measured")


def _pretrain(probe: Probe, step: Step) -> Cost:
    if probe.run.config.BACKBONE.WEIGHTS:
        return Cost(0.0, probe.network_bytes)
    one = probe.pretraining
    seconds = one.seconds * probe.run.config.PRETRAIN.ITERATIONS
    return Cost(seconds, probe.network_bytes, 2 * one.checkpoint, "the final accuracy on PRETRAIN_DATA.VAL")


def _propose(probe: Probe, step: Step) -> Cost:
    run = probe.run
    processes = min(run.workers + 1, num_cores()) if run.workers else 1
    count = len(step.data[step.role])
    sampled = f"proposals of {len(probe.proposed.samples)} images stand for all {count}"
    return Cost(probe.proposed.seconds * count / processes, round(BOX_BYTES * probe.boxes(step.role)), unknown=sampled)


def _finetune(probe: Probe, step: Step) -> Cost:
    one = probe.finetuning
    return Cost(one.seconds * probe.run.config.FINETUNE.ITERATIONS, probe.network_bytes, 2 * one.checkpoint)


def _extract(probe: Probe, step: Step) -> Cost:
    kept = probe.run.disk_need(step).kept
    if probe.run.find("Propose", step.role) is not None:
        return Cost(_features(probe, step.role), kept)
    scale = len(step.data[step.role]) / len(probe.proposed.samples)
    rows = {layer: round(count * scale) for layer, count in _rows_kept(probe, step).items()}
    return Cost(_features(probe, step.role), feature_bytes(rows, network_layers(probe.run.config)))


def _rows_kept(probe: Probe, step: Step) -> Mapping[str, float]:
    """Rows that are stored of each layer for the measured images."""
    index = probe.index(len(step.data[step.role].class_names), with_truths=step.extra["truths"])
    kept = rows_kept(probe.run.config, step.extra["layers"], index)
    share = min(1.0, (step.extra["max_boxes"] or len(index)) * index.num_images / max(len(index), 1))
    return {layer: float(own.sum()) * share for layer, own in kept.items()}


def _classify(probe: Probe, step: Step) -> Cost:
    dataset = step.data[step.role]
    if not CLASSIFIERS.get(probe.run.config.CLASSIFIER.NAME).reads_features:
        return Cost()
    passes = build_reader(probe.run.config, "CLASSIFIER", len(dataset.class_names))[0].passes
    seconds = passes * probe.scoring(len(dataset.class_names)) * len(dataset)
    if step.role not in extracted_roles(probe.run.config):
        # The sample whose norm is taken comes before the passes over everything.
        seconds += _features(probe, step.role) * (passes + _share(probe, step.role, NORM_ROWS))
    return Cost(seconds, unknown="trainings on the hard negatives, and the memory of these: both depend on the data")


def _regress(probe: Probe, step: Step) -> Cost:
    if "BOX_HEAD" not in layers_read(probe.run.config, step.role):
        return Cost()
    solving = "solving the regressors, which depends on the number of examples"
    if step.role in extracted_roles(probe.run.config):
        return Cost(None, unknown=solving)
    seconds = _features(probe, step.role) * _share(probe, step.role, NORM_ROWS_STORED)
    return Cost(seconds, unknown=f"the features of its examples, computed once more, and {solving}")


def _share(probe: Probe, role: str, of_image: int) -> float:
    """The part of a split's proposals in the sample that a learner takes the mean norm of."""
    count = len(probe.run.datasets(role))
    drawn = min(count, NORM_IMAGES) * min(of_image, probe.boxes(role) / max(count, 1))
    return drawn / max(probe.boxes(role), 1)


def _detect(probe: Probe, step: Step) -> Cost:
    dataset = step.data[step.role]
    seconds = probe.scoring(len(dataset.class_names)) * len(dataset)
    if step.role not in extracted_roles(probe.run.config):
        seconds += _features(probe, step.role)
    return Cost(seconds, unknown="suppression among the candidates")


def _features(probe: Probe, role: str) -> float:
    """Seconds in which the features of a split's regions are computed."""
    run, dataset = probe.run, probe.run.datasets(role)
    regions = probe.boxes(role)
    if role != "TEST":
        most = run.config.PROPOSALS.TRAIN_MAX_BOXES
        regions = min(regions, most * len(dataset)) if most else regions
        regions += sum(len(sample.annotations) for sample in dataset if sample.annotations is not None)
    return probe.features.seconds(len(dataset), regions, workers=run.workers, threads=probe.threads)


_COSTS: Mapping[str, Callable[[Probe, Step], Cost]] = {
    "Pretrain": _pretrain,
    "Propose": _propose,
    "Finetune": _finetune,
    "Extract": _extract,
    "Classify": _classify,
    "Regress": _regress,
    "Detect": _detect,
}
