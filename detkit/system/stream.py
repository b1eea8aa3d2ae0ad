"""Items made ahead of their use, in threads or in processes."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import cv2
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from detkit.errors import DetkitError
from detkit.system.processes import follow_parent

Item = TypeVar("Item")

AHEAD = 2
"""Items that each worker makes ahead."""


def in_threads(make: Callable[[int], Item], start: int, stop: int, workers: int) -> Generator[Item, None, None]:
    """``make(start)``, ..., ``make(stop - 1)`` in order, for any number of workers; closing it ends the threads.

    Close the generator if your code may raise between two items (``contextlib.closing``): a stored traceback keeps the
    threads alive.

    Use threads for items that OpenCV makes. It lets other threads run while it decodes and resizes, and results need no
    copy between processes, which for a batch of crops takes longer than warping half of them.

    Args:
        make: makes an item; it depends on its argument alone, and several threads call it at once.
        start: first argument.
        stop: end of the arguments, exclusive.
        workers: number of threads that work ahead; 0 makes each item on request.
    """
    if workers == 0 or start >= stop:
        yield from map(make, range(start, stop))
        return
    pool = ThreadPoolExecutor(min(workers, stop - start))
    coming: deque[Future[Item]] = deque()
    try:
        for i in range(start, stop):
            coming.append(pool.submit(make, i))
            if len(coming) > AHEAD * workers:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def in_processes(make: Callable[[int], Item], start: int, stop: int, workers: int) -> Generator[Item, None, None]:
    """The same as ``in_threads`` with processes, for small items that take Python long to make.

    Args:
        make: makes an item; it depends on its argument alone. On Linux workers are forked and inherit it; elsewhere it
            is pickled once for each worker.
        start: first argument.
        stop: end of the arguments, exclusive.
        workers: number of processes that work ahead; 0 makes each item on request.

    Raises:
        DetkitError: if ``make`` raised it, also in a worker.
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
        prefetch_factor=AHEAD,
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


def is_lost_worker(error: RuntimeError) -> bool:
    """Whether an error says that a worker of ``in_processes`` was lost, by the module that raised it.

    Errors of ``make`` are raised again by another module.
    """
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    name = last.tb_frame.f_globals["__name__"] if last is not None else ""
    return str(name).startswith("torch.utils.data.")


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
