"""What every stage gives, and what it is handed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.progress import Progress, progress
from detkit.run.disk import DiskNeed
from detkit.system.compute import Compute
from detkit.system.world import ALONE, World

Ref = tuple[str, str]
"""A step of a run: the stage's name and the role of its data ("" where it has none)."""


@dataclass(frozen=True)
class Context:
    """What a stage may see while it runs.

    Args:
        config: the keys that the stage declares, and RUNTIME.
        extra: what the stage's own ``extra`` gave.
        role: the role of the data that this step works on.
        folder: where to write; files of an interrupted run may lie there.
        inputs: finished artefacts by the stage's own names for them.
        dataset: the data set of a role that the stage declares; KeyError for another.
        compute: device and dtype.
        workers: threads for decoding and warping, processes for proposals.
        world: the processes of the run.
    """

    config: Config
    extra: Mapping[str, Any]
    role: str
    folder: Path
    inputs: Mapping[str, Path]
    dataset: Callable[[str], Dataset]
    compute: Compute
    workers: int
    world: World = ALONE

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
    """One step of a recipe; its result is a folder under the hash of all that it depends on.

    Attributes:
        version: raised when the same config would give another result.
        settings: config sections that exist because this stage does.
        unhashed: config keys that are handed to ``run`` and not hashed.
        derived: the config key behind each part of ``extra``, for messages.
        neutral: keys within ``sections`` that are handed on and, because they change no result, not hashed.
        shared: whether ``run`` is called in every process of the run, to divide the work by ``context.world``, not
            in the first alone.
    """

    version: ClassVar[int] = 1
    settings: ClassVar[Mapping[str, Callable[..., Any]]] = {}
    unhashed: ClassVar[tuple[str, ...]] = ()
    derived: ClassVar[Mapping[str, str]] = {}
    neutral: ClassVar[tuple[str, ...]] = ()
    shared: ClassVar[bool] = False

    def check(self, config: Config) -> None:
        """Refuses settings that do not fit each other, before any stage runs.

        Raises:
            ConfigError: they do not.
        """
        return

    def check_data(self, config: Config, data: Mapping[str, Dataset]) -> None:
        """Refuses data sets that the stage cannot work on, before any stage runs.

        Args:
            config: the whole config.
            data: the data set of each role that a step of the stage reads.

        Raises:
            DataError: they cannot be used.
        """
        return

    def neutral_keys(self, config: Config) -> tuple[str, ...]:
        """``neutral``, and such keys of the chosen components."""
        return self.neutral

    def sections(self, config: Config) -> tuple[str, ...]:
        """Config keys that are hashed and handed to ``run`` (see ``Config.restricted``)."""
        return ()

    def roles(self, config: Config) -> tuple[str, ...]:
        """The roles that the stage runs for, one step each; ("",) for a stage without a split, () for nothing to do."""
        return ("",)

    def datasets(self, config: Config, role: str) -> tuple[str, ...]:
        """The roles whose data this step reads; their fingerprints are hashed."""
        return (role,) if role else ()

    def reads_truths(self, role: str) -> bool:
        """Whether a role's annotations are read; where not, its images alone are hashed, and ``run`` gets no others."""
        return True

    def inputs(self, config: Config, role: str) -> Mapping[str, Ref]:
        """The steps whose results are read, by this stage's name for them; each must stand before it in STAGES."""
        return {}

    def caches(self, config: Config, role: str) -> Mapping[str, Ref]:
        """Steps whose results only save time; they are not hashed."""
        return {}

    def extra(self, config: Config, role: str) -> dict[str, Any]:
        """Further values to be hashed, derived from keys that are not handed on as they are."""
        return {}

    def disk(self, context: Context) -> DiskNeed:
        """What ``run`` will still write, where it is much; nothing as long as the inputs that tell are not there."""
        return DiskNeed()

    @abstractmethod
    def run(self, context: Context) -> None:
        """Writes the result into ``context.folder``, going on with what lies there."""
