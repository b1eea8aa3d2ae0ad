"""Several processes that work on one run, started by torchrun."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from detkit.errors import ConfigError, ProcessLostError
from detkit.system.processes import started_by_torchrun

Item = TypeVar("Item")

PATIENCE = timedelta(days=20)
"""How long a process waits for another one that lives; it learns at once of one that has ended."""


@dataclass(frozen=True)
class World:
    """The processes of a run.

    Process 0 plans, learns from features and completes results. The others share its work where possible. All processes
    must see the same folders.

    Args:
        rank: number of this process, from 0.
        size: number of processes.
        local_rank: number of this process among those of its machine.
        local_size: number of processes on its machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @classmethod
    @contextmanager
    def joined(cls) -> Iterator[World]:
        """The processes that torchrun started, joined while the block runs; without torchrun this process alone."""
        if not started_by_torchrun():
            yield ALONE
            return
        world = cls(*(int(os.environ[key]) for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")))
        with _others():
            dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
        yield world
        dist.destroy_process_group()

    @property
    def is_first(self) -> bool:
        """Whether this is process 0."""
        return self.rank == 0

    @property
    def others_number(self) -> tuple[int, ...]:
        """A name for the random numbers of this process, different from process 0's; empty in process 0."""
        return (self.rank,) if self.rank else ()

    def part(self, number: int, of: int) -> World:
        """One of ``of`` equal parts of this process's work, for ``own``, ``owner`` and ``others_number``.

        It counts as a process among the parts of all processes. There is no such process, so methods that wait for
        others must not be called.
        """
        return replace(self, rank=self.rank * of + number, size=self.size * of)

    def own(self, items: Sequence[Item], group: int = 1) -> list[Item]:
        """This process's part of a list. Processes take turns at groups of ``group`` neighbours."""
        return [item for i, item in enumerate(items) if self.owner(i // group) == self.rank]

    def owner(self, turn: int) -> int:
        """The process whose turn it is."""
        return turn % self.size

    def wait(self) -> None:
        """Waits until every process has called it."""
        self.add_up([torch.zeros(1)])  # a barrier would go through the GPUs, if there are any, used or not

    def first_alone(self, work: Callable[[], Item]) -> Item:
        """Calls a function in every process: first in process 0, then in the others."""
        if self.is_first:
            done = work()
        self.wait()
        return done if self.is_first else work()

    def refuse_unlike(self, planned: Sequence[str]) -> None:
        """Refuses processes with different plans.

        Args:
            planned: the results that this process is going to make.

        Raises:
            ConfigError: if a process differs from process 0; it names the first difference.
        """
        told = self.tell(list(planned))
        unlike = next((own for own, first in zip(planned, told) if own != first), None)
        if unlike is not None or len(told) != len(planned):
            raise ConfigError(
                f"process {self.rank} would make {unlike or 'other steps'}, which process 0 would not: all must run "
                "the same code on machines that resolve COMPUTE alike; set COMPUTE.DTYPE, and COMPUTE.COMPILE false"
            )

    def tell(self, value: Any = None) -> Any:
        """The value of process 0, in every process."""
        return self._told(value, 0)

    def gather(self, items: Sequence[Item]) -> list[Item]:
        """The items of all processes, in every process."""
        if self.size == 1:
            return list(items)
        return [item for rank in range(self.size) for item in self._told(list(items), rank)]

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replaces each tensor by its sum over all processes."""
        if self.size > 1:
            tensors = [_sound(tensor) for tensor in tensors]
            with _others():
                for work in [dist.all_reduce(tensor, async_op=True) for tensor in tensors]:
                    work.wait()

    def copy_first(self, tensors: Iterable[Tensor]) -> None:
        """Replaces each tensor by that of process 0."""
        if self.size > 1:
            tensors = [_sound(tensor) for tensor in tensors]
            with _others():
                for tensor in tensors:
                    dist.broadcast(tensor, 0)

    def receive(self, like: Tensor, rank: int) -> Tensor:
        """The next tensor from a process, written into ``like``, a tensor of its shape and dtype on the CPU."""
        if like.numel():
            with _others():
                dist.recv(_sound(like), rank)
        return like

    def _told(self, value: Any, rank: int) -> Any:
        if self.size == 1:
            return value
        box = [value]
        with _others():
            dist.broadcast_object_list(box, rank)
        return box[0]


class Outbox:
    """Sends tensors to process 0, a few ahead of its reading.

    Args:
        ahead: maximal number of tensors that were sent but not read.
    """

    def __init__(self, ahead: int) -> None:
        self.ahead = ahead
        self._sent: deque[tuple[Any, Tensor]] = deque()

    def send(self, tensor: Tensor) -> None:
        """Sends a tensor on the CPU; waits if too many are not read yet."""
        if tensor.numel():
            with _others():
                self._sent.append((dist.isend(_sound(tensor), 0), tensor))
        self._wait(self.ahead)

    def close(self) -> None:
        """Waits until all tensors were read."""
        self._wait(0)

    def _wait(self, left: int) -> None:
        with _others():
            while len(self._sent) > left:
                self._sent.popleft()[0].wait()


ALONE = World()
"""The one process of a run that torchrun did not start."""


def _sound(tensor: Tensor) -> Tensor:
    """The tensor, in one piece as the library asks for.

    Raises:
        ValueError: it is not.
    """
    if torch.empty_like(tensor, device="meta").stride() != tensor.stride():  # keeps strides that leave no gaps
        raise ValueError(f"a tensor that goes to other processes must lie in one piece, got strides {tensor.stride()}")
    return tensor


@contextmanager
def _others() -> Iterator[None]:
    """A block that turns the library's error about a lost process into a one-line error.

    NCCL and the store raise a DistError then, gloo a plain RuntimeError. Nothing else in here raises one: ``_sound``
    has looked at the tensors before, and what is wrong with the device has a class of its own.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and type(error) is not RuntimeError:
            raise
        raise ProcessLostError(
            "another process of this run has ended; where it could, it said why. The same command goes on from here"
        ) from error
