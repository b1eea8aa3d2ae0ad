"""Runs the steps of a config and collects their results in the run's folder."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.data.cache import cache_dir
from detkit.data.fingerprint import is_changed
from detkit.errors import ConfigError, DataError
from detkit.registry import nearest
from detkit.run.artifacts import ArtifactStore
from detkit.run.datasets import Datasets
from detkit.run.disk import DiskNeed, refuse_small_disk
from detkit.run.plan import Step, plan, refuse_unfit
from detkit.run.run_folder import TENSORBOARD, alone_in, begin_records, note_cost, output_folder
from detkit.run.stage import Context
from detkit.run.stored import note_run
from detkit.system.compute import Compute
from detkit.system.files import remove_folder
from detkit.system.processes import cores_of_one, resolve_workers
from detkit.system.world import ALONE, World
from detkit.training.tensorboard import refuse_without_tensorboard

log = logging.getLogger("detkit")


@dataclass(frozen=True)
class Run:
    """The run of a config.

    Args:
        config: the config.
        folder: the run's folder; ``execute`` creates it.
        store: the store of artefacts.
        datasets: the data sets of its roles.
        compute: resolved device and dtype.
        steps: its steps, in order.
        world: the processes that work on it.
    """

    config: Config
    folder: Path
    store: ArtifactStore
    datasets: Datasets
    compute: Compute
    steps: list[Step]
    world: World = ALONE

    @classmethod
    def of(cls, config: Config, name: str, world: World = ALONE, *, datasets: Datasets | None = None) -> Run:
        """The run of a config.

        Args:
            config: the config.
            name: the config file's name without its ending; the run's folder is runs/NAME unless OUTPUT_DIR is set.
            world: the processes that work on it.
            datasets: data sets of another run with the same data; None builds them.

        Raises:
            ConfigError: if keys do not fit each other, or a device or package that they need does not exist.
            DataError: if a data set cannot be read.
        """
        runtime = config.RUNTIME
        if runtime.TENSORBOARD:
            refuse_without_tensorboard()
        compute = Compute.resolve(
            dtype=config.COMPUTE.DTYPE,
            device=runtime.DEVICE,
            local_rank=world.local_rank,
        )
        datasets = datasets or Datasets(config)
        refuse_unfit(config, datasets)
        if config.COMPUTE.COMPILE:
            compute = compute.compiling()
        root = Path(config.ARTIFACTS) if config.ARTIFACTS else cache_dir() / "artifacts"
        folder = output_folder(config, name)
        return cls(config, folder, ArtifactStore(root), datasets, compute, plan(config, datasets, compute), world)

    def last(self, kind: str, role: str = "") -> Step | None:
        """The last step that gives a kind of result for a role; None if the recipe has none."""
        return next((s for s in reversed(self.steps) if (s.stage.gives, s.role) == (kind, role)), None)

    def find(self, kind: str, role: str = "") -> Path | None:
        """The finished result of the last step that gives this kind for a role, or None."""
        step = self.last(kind, role)
        return None if step is None else self.result(step)

    def result(self, step: Step) -> Path | None:
        """The finished result of a step, or None."""
        return self.store.find(step.folder, step.digest)

    def data(self) -> dict[str, Dataset]:
        """The data set of each role that a step reads."""
        return {role: dataset for step in self.steps for role, dataset in step.data.items()}

    def is_finished(self) -> bool:
        """Whether all results are made."""
        return not any(self.is_needed(step) for step in self.steps)

    def is_needed(self, step: Step, again: Sequence[Step] = ()) -> bool:
        """Whether a step must still run. A cache step is not needed once every step that reads it is finished.

        Args:
            step: the step.
            again: steps that were requested, so that they run in any case.
        """
        if self.result(step):
            return False
        users = [s for s in self.steps if step in (*s.inputs.values(), *s.caches.values())]
        only_saves_time = bool(users) and not any(step in s.inputs.values() for s in users)
        return step in again or not only_saves_time or any(self.is_needed(s) for s in users)

    def state(self, step: Step) -> str:
        """The state of a step: "done", "begun", "to do", or "not needed" if all steps that read it are done."""
        if self.result(step):
            return "done"
        if self.store.partial(step.folder, step.digest).is_dir():
            return "begun"
        return "to do" if self.is_needed(step) else "not needed"

    def disk_need(self, step: Step) -> DiskNeed:
        """The disk space that a step still needs, if it is large and known by now."""
        return step.stage.disk(self.context(step))

    @property
    def workers(self) -> int:
        """The resolved number of ``RUNTIME.WORKERS``."""
        return resolve_workers(self.config.RUNTIME.WORKERS, self.world.local_size)

    def check_stages(self, *names: str) -> None:
        """Refuses a stage that the recipe does not have; an empty name is allowed.

        Raises:
            ConfigError: if there is no such stage; it lists those of the recipe.
        """
        for name in names:
            self._position(name, 0, 0)

    def execute(self, *, first: str = "", last: str = "", also: Sequence[Step] = ()) -> None:
        """Makes every artefact that does not exist yet.

        Args:
            first: artefacts of this stage and later ones, up to ``last``, are made again; empty makes none again.
            last: the stage after which to stop; empty runs to the end.
            also: steps of other runs with the same store; those that can be made in one pass with a step of this run
                are made with it.
        """
        if self.config.RUNTIME.THREADS or self.world.size > 1:  # torchrun would leave each process one thread
            torch.set_num_threads(self.config.RUNTIME.THREADS or cores_of_one(self.world.local_size))
        begin, end = self._position(first, 0, len(self.steps)), self._position(last, -1, len(self.steps) - 1)
        if first and begin > end:
            raise ConfigError(f"--from {first} --until {last}: the recipe has them in the other order")
        again = self.steps[begin : end + 1] if first else []
        if self.world.is_first:
            for step in again:
                self.store.remove(step.folder, step.digest)
            begin_records(self.folder, self.config, self.steps, self.compute, is_finished=self.is_finished())
            note_run(self.store.root, self.folder)
            if done := [step.label for step in self.steps[: end + 1] if self.result(step)]:
                log.info("there already: %s", ", ".join(done))
        stored: dict[str, DiskNeed] = {}
        for step in self.steps[: end + 1]:
            if self.world.is_first:
                self._refuse_small_disk(self.steps[: end + 1], again, stored)
            self._make(step, again, also)

    def _refuse_small_disk(self, steps: Sequence[Step], again: Sequence[Step], stored: dict[str, DiskNeed]) -> None:
        """Refuses to go on if the results that are still to be stored do not fit on the disk.

        Args:
            steps: the steps that will run.
            again: the requested steps among them.
            stored: the need of each step, by its label, as far as known; more are added once proposals are there.
        """
        needed = [step for step in steps if self.is_needed(step, again)]
        for step in needed:
            if stored.get(step.label, DiskNeed()) == DiskNeed():
                stored[step.label] = self.disk_need(step)
        refuse_small_disk(self.store.root, {step.label: stored[step.label] for step in needed})

    def alone(self) -> AbstractContextManager[None]:
        """Locks the run's folder, which is created, against other runs; it waits for a run that has it.

        The other processes of this run enter together with the first.
        """
        return alone_in(self.folder) if self.world.is_first else nullcontext()

    def _make(self, step: Step, again: Sequence[Step], also: Sequence[Step]) -> None:
        if not self.world.is_first:
            self._help(step)
            return
        if not self.is_needed(step, again):
            self.world.tell(False)
            return
        start = time.monotonic()
        group = self._of_one_pass(step, also)
        with ExitStack() as stack:
            folders = [stack.enter_context(self.store.make(s.folder, s.digest, s.description)) for s in group]
            made = {one: folder for one, folder in zip(group, folders) if folder is not None}
            if step in made:
                log.info("%s: %s", step.label, "goes on" if any(made[step].iterdir()) else "starts")
            else:
                log.info("%s: made by another run meanwhile", step.label)
            if len(made) > 1:
                log.info("%s: %d settings in one pass", step.label, len(made))
            self.world.tell(bool(made) and step.stage.shared)
            if not made:
                return
            try:
                self._run(*made)
            finally:
                _drop_if_images_changed(made)
        seconds = time.monotonic() - start
        log.info("%s: done in %.1f s", step.label, seconds)
        if step in made:
            note_cost(self.folder, step, seconds, len(made))

    def _of_one_pass(self, step: Step, also: Sequence[Step]) -> list[Step]:
        """The step and those that one pass can make with it, in an order in which no two runs wait for each other."""
        can = [s for s in also if s.pass_digest and s.pass_digest == step.pass_digest and self.result(s) is None]
        needed = {s.digest: s for s in can} | {step.digest: step}
        return [needed[digest] for digest in sorted(needed)]

    def _help(self, step: Step) -> None:
        """The work of the other processes for a step that the first process makes."""
        if self.world.tell():
            self._run(step)

    def _run(self, *steps: Step) -> None:
        contexts = [self.context(step) for step in steps]
        stage = steps[0].stage
        for step, context in zip(steps, contexts):
            assert set(step.inputs) <= set(context.inputs), "a step runs after those that it reads"
        stage.run_together(contexts)
        if stage.shared:
            self.world.wait()

    def context(self, step: Step) -> Context:
        """The context of a step. Its folder is the one to work in, whether the step is finished or not."""
        found = {label: self.result(s) for label, s in {**step.inputs, **step.caches}.items()}
        return Context(
            config=step.view,
            content=step.content,
            role=step.role,
            roles=step.reads.roles,
            folder=self.store.partial(step.folder, step.digest),
            inputs={label: path for label, path in found.items() if path is not None},
            dataset=step.dataset,
            compute=self.compute,
            workers=self.workers,
            world=self.world,
            tensorboard=self.tensorboard(step),
        )

    def tensorboard(self, step: Step) -> Path | None:
        """The folder of TensorBoard's event files for a step that trains; None writes none."""
        return self.folder / TENSORBOARD / step.id.lower() if self.config.RUNTIME.TENSORBOARD else None

    def _position(self, stage: str, which: int, otherwise: int) -> int:
        """The first (0) or last (-1) step of a stage."""
        if not stage:
            return otherwise
        names = {s.id.lower(): s.id for s in self.steps}
        places = [i for i, s in enumerate(self.steps) if s.id.lower() == stage.lower()]
        if not places:
            raise ConfigError(
                f"stage {stage!r} is not in this recipe.{nearest(stage, names)} It has: {', '.join(names)}."
            )
        return places[which]


def _drop_if_images_changed(made: Mapping[Step, Path]) -> None:
    """Removes results that may come from an image other than the one that was hashed.

    Args:
        made: the folders of steps that read the same data.

    Raises:
        DataError: naming the first image whose file was replaced since the plan.
    """
    step = next(iter(made))
    changed = next((sample for dataset in step.data.values() for sample in dataset if is_changed(sample)), None)
    if changed is not None:
        for folder in made.values():
            remove_folder(folder)
        raise DataError(
            f"{changed.path}: this image was changed after the run had started; what {step.label} made of it is "
            "removed, and the same command goes on with the image as it is then"
        )
