"""Items made ahead of their use, in worker processes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

import cv2
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from detkit.errors import DetkitError
from detkit.processes import follow_parent

Item = TypeVar("Item")


def stream(make: Callable[[int], Item], start: int, stop: int, workers: int) -> Generator[Item, None, None]:
    """``make(start)``, ..., ``make(stop - 1)`` in order, whatever the number of workers; closing it ends them.

    Args:
        make: depends on its argument alone. On Linux workers are forked and inherit it, so what it holds (a region
            index, say) is shared, not copied; elsewhere it is pickled once for each worker.
        start: first argument.
        stop: behind the last argument.
        workers: processes that work ahead, two items each; 0 makes each item when it is asked for.

    Raises:
        DetkitError: as ``make`` raised it, also from a worker.
    """
    if workers == 0 or start >= stop:
        yield from map(make, range(start, stop))
        return
    loader = DataLoader(
        _Made(make),
        sampler=range(start, stop),
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=min(workers, stop - start),
        worker_init_fn=_start_worker,
        multiprocessing_context="fork" if sys.platform == "linux" else None,
        generator=torch.Generator(),  # else the loader would draw from torch's own state
    )
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # a fork that inherits the memory of OpenCV's threads but not the threads would wait for ever
    items = iter(loader)
    cv2.setNumThreads(threads)
    for item in items:
        if isinstance(item, DetkitError):
            raise item
        yield item


class _Made(TorchDataset, Generic[Item]):
    """Gives an error of the caller as an item: the loader would wrap its one line into a traceback."""

    def __init__(self, make: Callable[[int], Item]) -> None:
        self.make = make

    def __getitem__(self, i: int) -> Item | DetkitError:
        try:
            return self.make(i)
        except DetkitError as error:
            return error


def _as_it_is(item: Any) -> Any:
    return item


def _start_worker(worker: int) -> None:
    follow_parent()  # torch's own watch looks every five seconds
    cv2.setNumThreads(1)
