"""The base class of stages: what each gives, needs, reads and receives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.progress import Progress, progress
from detkit.run.cost import Cost
from detkit.run.disk import DiskNeed
from detkit.system.compute import Compute
from detkit.system.world import ALONE, World

if TYPE_CHECKING:
    from detkit.report.measure import Probe
    from detkit.run.plan import Step


@dataclass(frozen=True)
class Need:
    """A result that a stage needs: from the nearest earlier stage of STAGES that gives this kind.

    Args:
        kind: for example "network", see ``detkit.run.kinds``.
        role: the role of its data; "" for results of no split.
        heads: heads that a network must have beside its backbone, and the layer that each must read.
        because: why the stage needs the heads, for messages.
        only_saves_time: whether the stage can do without it. If so, it is not hashed, and no stage has to give it.
    """

    kind: str
    role: str = ""
    heads: Mapping[str, str] = field(default_factory=dict)
    because: str = ""
    only_saves_time: bool = False


@dataclass(frozen=True, kw_only=True)
class Reads:
    """Everything that a step may see, and how it is hashed. A step does not get anything else.

    Config keys are sections ("FINETUNE"), single keys ("DATA.TRAIN_DIFFICULT"), or the chosen component of a slot
    without the other keys of the slot ("BACKBONE.*").

    Args:
        settings: keys whose values are hashed.
        content: keys for which the result of a function is hashed instead, such as the content of the named file.
            ``run`` gets both the key and this result.
        not_hashed: keys that change no result; they may lie within ``settings``.
        images: roles whose images are read; they are hashed by content.
        annotated: roles whose images and annotations are read; both are hashed by content.
    """

    settings: tuple[str, ...] = ()
    content: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    not_hashed: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    annotated: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """All config keys that the step gets."""
        return (*self.settings, *self.content, *self.not_hashed)

    @property
    def roles(self) -> tuple[str, ...]:
        """All roles whose data are read."""
        return (*self.images, *self.annotated)


@dataclass(frozen=True)
class Context:
    """Everything that a stage may see while it runs.

    Args:
        config: the keys that the stage reads, and RUNTIME.
        content: what was hashed for the keys in ``Reads.content``.
        role: the role of the data that this step works on.
        roles: the roles whose data it reads.
        folder: where to write; it may hold files of an interrupted run.
        inputs: folders of finished results, by the stage's own names for them.
        dataset: returns the data set of a role that the stage reads; KeyError for another role.
        compute: device and dtype.
        workers: threads for decoding and warping, processes for proposals.
        world: the processes of the run.
        tensorboard: folder of TensorBoard's event files for a training run; None writes none.
    """

    config: Config
    content: Mapping[str, Any]
    role: str
    roles: tuple[str, ...]
    folder: Path
    inputs: Mapping[str, Path]
    dataset: Callable[[str], Dataset]
    compute: Compute
    workers: int
    world: World = ALONE
    tensorboard: Path | None = None

    def progress(self, what: str, total: int, unit: str, done: int = 0) -> Progress:
        """The progress of this process's part; only the first process shows it.

        Args:
            what: name of the work; the role is appended.
            total: number of units of this process.
            unit: name of a unit.
            done: number of units that are finished already.
        """
        label = f"{what} {self.role.lower()}" + (f" (1/{self.world.size})" if self.world.size > 1 else "")
        return progress(label, total, unit, done, shown=self.world.is_first)


class Stage(ABC):
    """Makes one kind of result. Each result is a folder, named by the hash of everything that it depends on.

    Attributes:
        version: raise it when the same settings would give another result.
        gives: the kind of result.
        settings: config sections that this stage adds.
        shared: whether ``run`` is called in every process, to divide the work by ``context.world``, or in the first
            only.
        one_pass: the slot whose component's keys may differ between steps that ``run_together`` makes while it reads
            their inputs once; empty if a stage makes one result at a time.
    """

    version: ClassVar[int] = 1
    gives: ClassVar[str]
    one_pass: ClassVar[str] = ""
    settings: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    shared: ClassVar[bool] = False

    def roles(self, config: Config) -> tuple[str, ...]:
        """The roles that it works on if no later stage needs its result; ("",) for a stage without a split."""
        return ("",)

    def heads(self, config: Config) -> Mapping[str, str]:
        """The heads that it leaves beside a network, and the layer that each reads."""
        return {}

    def needs(self, config: Config, role: str) -> Mapping[str, Need]:
        """The results that it works on, by its own name for each."""
        return {}

    @abstractmethod
    def reads(self, config: Config, role: str) -> Reads:
        """The settings and data that it sees."""

    def check(self, config: Config) -> None:
        """Refuses settings that do not fit each other, before any stage runs.

        Raises:
            ConfigError: if they do not.
        """
        return

    def check_data(self, config: Config, data: Mapping[str, Dataset]) -> None:
        """Refuses data sets that it cannot work on, before any stage runs.

        Args:
            config: the whole config.
            data: the data set of each role that a step of the stage reads.

        Raises:
            DataError: if they cannot be used.
        """
        return

    def disk(self, context: Context) -> DiskNeed:
        """The disk space that ``run`` still needs, if it is large; empty until the inputs that tell it are there."""
        return DiskNeed()

    def estimate(self, probe: Probe, step: Step) -> Cost:
        """The time and disk space that a step will take, from short measurements."""
        return Cost(None, unknown="a stage that is not measured")

    @abstractmethod
    def run(self, context: Context) -> None:
        """Writes the result into ``context.folder``, and resumes from files of an interrupted run there."""

    def run_together(self, contexts: Sequence[Context]) -> None:
        """Does ``run`` for contexts whose configs differ in the keys of one component, see ``one_pass``.

        The results must be those of ``run`` for each. This implementation calls it.
        """
        for context in contexts:
            self.run(context)
