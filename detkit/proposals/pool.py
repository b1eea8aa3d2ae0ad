"""Proposals of many images in several processes."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch

from detkit.config.project import import_project, project_of
from detkit.data.exif import upright_pixels
from detkit.data.images import read_image
from detkit.errors import DetkitError
from detkit.proposals.base import ProposalGenerator, checked_proposals
from detkit.structures import Boxes, Proposals
from detkit.system.processes import follow_parent

Arrays = tuple[np.ndarray, np.ndarray, tuple[int, int]]
"""Boxes, objectness and image size: what crosses between processes, tensors would take a file handle each."""

Item = tuple[str, Path] | tuple[str, Path, int]
"""Image id, image file, and EXIF's orientation where the data set turns the image upright."""

_own_generator: ProposalGenerator  # of a worker process, set once when it starts


def propose_many(
    generator: ProposalGenerator, items: Sequence[Item], workers: int, head_start: float = 5.0
) -> Iterator[tuple[int, Proposals]]:
    """Proposals of all images in list order, for any number of workers.

    This process works alone in the first seconds, so that a short list does not wait for other processes to start.

    Args:
        generator: must be picklable when ``workers`` is not 0.
        items: the images.
        workers: number of worker processes; 0 does all work in this process.
        head_start: seconds of work in this process before the workers are started.

    Yields:
        (position in ``items``, its proposals).

    Raises:
        DetkitError: if reading or proposing fails, or a worker process was killed; the message names the image.
    """
    start, done = time.monotonic(), 0
    while done < len(items) and (workers == 0 or time.monotonic() - start < head_start):
        yield done, _proposals(_propose(generator, *items[done]))
        done += 1
    if done < len(items):
        yield from _in_pool(generator, items, done, min(workers, len(items) - done))


def _in_pool(
    generator: ProposalGenerator, items: Sequence[Item], start: int, workers: int
) -> Iterator[tuple[int, Proposals]]:
    pool = ProcessPoolExecutor(
        workers,
        multiprocessing.get_context("spawn"),
        initializer=_start_worker,
        initargs=(project_of(type(generator).__module__), pickle.dumps(generator)),
    )
    ahead: deque[Future[Arrays]] = deque()
    submitted = start
    try:
        for at in range(start, len(items)):
            while submitted < len(items) and len(ahead) < 4 * workers:
                with _interrupts_held_back():
                    ahead.append(pool.submit(_work, *items[submitted]))
                submitted += 1
            yield at, _proposals(ahead.popleft().result())
    except BrokenProcessPool as error:
        raise DetkitError(
            f"proposals: a worker process ended near image {items[at][0]} ({items[at][1]}); most often memory ran out: "
            "use fewer workers, or 0 to see the error itself"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Processes that start inside never see Ctrl-C: until they follow this one it would end them with a traceback.

    Windows has no signal masks; there a Ctrl-C in that moment prints the tracebacks of workers.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _propose(generator: ProposalGenerator, image_id: str, path: Path, orientation: int = 1) -> Arrays:
    image = upright_pixels(read_image(path), orientation)
    found = checked_proposals(generator, generator.propose(image, image_id), image, image_id)
    return found.boxes.numpy(), found.objectness.numpy(), found.image_size


def _proposals(arrays: Arrays) -> Proposals:
    boxes, objectness, size = arrays
    return Proposals(Boxes.of(boxes), torch.from_numpy(objectness), size)


def _start_worker(project: Path | None, generator: bytes) -> None:
    global _own_generator
    follow_parent()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if project is not None:
        import_project(project, "proposal worker")
    _own_generator = pickle.loads(generator)


def _work(image_id: str, path: Path, orientation: int = 1) -> Arrays:
    return _propose(_own_generator, image_id, path, orientation)
