"""The estimate of a run: time and disk space of each step, and memory, before it starts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from detkit.report.measure import Probe
from detkit.run.cost import Cost
from detkit.run.runner import Run
from detkit.system.files import free_bytes
from detkit.system.memory import peak_memory


@dataclass(frozen=True)
class StepEstimate:
    """A step and its cost.

    Args:
        step: its label.
        state: "to do", "begun", "done", "not needed" if all steps that read it are done, or "shared" if an earlier
            step of the same split makes the same result.
        cost: its cost; the whole cost for a step that is begun, nothing for one that will not run.
    """

    step: str
    state: str
    cost: Cost


@dataclass(frozen=True)
class Estimate:
    """The estimate of a run.

    Args:
        steps: its steps in order.
        free: free bytes on the disk of the artefacts.
        memory: bytes that the measured passes took, with one worker; 0 if the system does not count them.
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
        """Bytes of all results."""
        return sum(one.cost.kept for one in self.steps)

    @property
    def most(self) -> int:
        """Largest number of bytes at any time, with checkpoints."""
        return self.kept + max((one.cost.temporary for one in self.steps), default=0)

    def plain(self) -> dict[str, Any]:
        """The figures as JSON values."""
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
    """Measures small parts of the work for a few seconds, and multiplies."""
    probe = Probe(run)
    steps = []
    made_by: dict[str, str] = {}
    for step in run.steps:
        first = made_by.setdefault(step.digest, step.label)
        state = run.state(step) if first == step.label else "shared"
        is_made = state in ("to do", "begun")
        steps.append(StepEstimate(step.label, state, step.stage.estimate(probe, step) if is_made else Cost()))
    unknown = [f"{one.step}: {one.cost.unknown}" for one in steps if one.cost.unknown]
    unknown.append("other programs on this machine; a processor that runs slower when it gets hot")
    return Estimate(steps, free_bytes(run.store.root), peak_memory(), unknown)
