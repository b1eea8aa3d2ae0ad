"""What every stage gives, needs and reads, and what it is handed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
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
    """A result that a stage works on: that of the nearest stage before it in STAGES that gives this kind.

    Args:
        kind: for example "network", see ``detkit.run.kinds``.
        role: the role of the data that it is of; "" for results of no split.
        heads: heads that a network must have beside its backbone, and the layer that each must stand on.
        because: why it needs the heads, for messages.
        only_saves_time: whether the stage does without it. It is then not hashed, and nothing is missing where no stage
            gives it.
    """

    kind: str
    role: str = ""
    heads: Mapping[str, str] = field(default_factory=dict)
    because: str = ""
    only_saves_time: bool = False


@dataclass(frozen=True, kw_only=True)
class Reads:
    """Everything that a step may see, and how each enters its hash. What is not named here is not handed on.

    Config keys are sections ("FINETUNE"), single keys ("DATA.TRAIN_DIFFICULT"), or a slot's chosen part without the
    keys beside its NAME ("BACKBONE.*").

    Args:
        settings: keys that are hashed as they are.
        content: keys that something else is hashed for, such as the content of the file that is named: the function
            gives it. ``run`` gets both, the key and what the function gave.
        not_hashed: keys, also within ``settings``, that change no result.
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
        """All config keys that are handed on."""
        return (*self.settings, *self.content, *self.not_hashed)

    @property
    def roles(self) -> tuple[str, ...]:
        """All roles whose data are read."""
        return (*self.images, *self.annotated)


@dataclass(frozen=True)
class Context:
    """What a stage may see while it runs.

    Args:
        config: the keys that the stage reads, and RUNTIME.
        content: what was hashed for the keys in ``Reads.content``.
        role: the role of the data that this step works on.
        roles: the roles whose data it reads.
        folder: where to write; files of an interrupted run may lie there.
        inputs: finished results by the stage's own names for them.
        dataset: the data set of a role that the stage reads; KeyError for another.
        compute: device and dtype.
        workers: threads for decoding and warping, processes for proposals.
        world: the processes of the run.
        tensorboard: where a training writes TensorBoard's event files; None where none are asked for.
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
        """How far this process is with its part, shown by the first process alone.

        Args:
            what: names the work; the role is put behind it.
            total: units of this process.
            unit: what one is called.
            done: units that are there already.
        """
        label = f"{what} {self.role.lower()}" + (f" (1/{self.world.size})" if self.world.size > 1 else "")
        return progress(label, total, unit, done, shown=self.world.is_first)


class Stage(ABC):
    """Makes one kind of result; each result is a folder under the hash of all that it depends on.

    Attributes:
        version: raised when the same settings would give another result.
        gives: the kind of result.
        settings: config sections that exist because this stage does.
        shared: whether ``run`` is called in every process of the run, to divide the work by ``context.world``, not
            in the first alone.
    """

    version: ClassVar[int] = 1
    gives: ClassVar[str]
    settings: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    shared: ClassVar[bool] = False

    def roles(self, config: Config) -> tuple[str, ...]:
        """The roles that it works on where no later stage needs its result; ("",) for a stage without a split."""
        return ("",)

    def heads(self, config: Config) -> Mapping[str, str]:
        """The heads that it leaves beside a network, and the layer that each stands on."""
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
            ConfigError: they do not.
        """
        return

    def check_data(self, config: Config, data: Mapping[str, Dataset]) -> None:
        """Refuses data sets that it cannot work on, before any stage runs.

        Args:
            config: the whole config.
            data: the data set of each role that a step of the stage reads.

        Raises:
            DataError: they cannot be used.
        """
        return

    def disk(self, context: Context) -> DiskNeed:
        """What ``run`` will still write, where it is much; nothing as long as the inputs that tell are not there."""
        return DiskNeed()

    def estimate(self, probe: Probe, step: Step) -> Cost:
        """What a step will take, from short measurements."""
        return Cost(None, unknown="a stage that is not measured")

    @abstractmethod
    def run(self, context: Context) -> None:
        """Writes the result into ``context.folder``, going on with what lies there."""
