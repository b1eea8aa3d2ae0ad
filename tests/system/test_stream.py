import os
import threading
from contextlib import closing
from functools import partial

import cv2
import numpy as np
import pytest
import torch

from detkit.errors import DataError
from detkit.system.stream import in_processes, in_threads, is_lost_worker


def square(i):
    return i * i


def array(i):
    return {"pixels": np.full((2, 2), i, np.uint8)}


def process(i):
    return os.getpid()


def refuse_three(i):
    if i == 3:
        raise DataError("picture3.jpg: not an image")
    return i


def resize(image, i):
    return int(cv2.resize(image, (300, 300)).sum())


BOTH = pytest.mark.parametrize("stream", [in_threads, in_processes])


@BOTH
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_items_come_in_order(stream, workers):
    assert list(stream(square, 3, 8, workers)) == [9, 16, 25, 36, 49]


@BOTH
@pytest.mark.parametrize("workers", [0, 2])
def test_an_empty_stretch_gives_nothing(stream, workers):
    assert list(stream(square, 4, 4, workers)) == []


@BOTH
def test_arrays_stay_arrays(stream):
    for i, item in enumerate(stream(array, 0, 2, 1)):
        assert isinstance(item["pixels"], np.ndarray)
        assert (item["pixels"] == i).all()


def test_workers_are_other_processes_or_other_threads_of_this_one():
    assert os.getpid() not in set(in_processes(process, 0, 4, 2))
    assert set(in_processes(process, 0, 2, 0)) == {os.getpid()}
    found = set(in_threads(lambda i: (os.getpid(), threading.get_ident()), 0, 4, 2))
    assert {pid for pid, _ in found} == {os.getpid()} and threading.get_ident() not in {thread for _, thread in found}


@BOTH
@pytest.mark.parametrize("workers", [0, 2])
def test_a_mistake_in_a_worker_keeps_its_one_line(stream, workers):
    seen = []
    with pytest.raises(DataError) as error:
        for item in stream(refuse_three, 0, 6, workers):
            seen.append(item)
    assert seen == [0, 1, 2]
    assert str(error.value) == "picture3.jpg: not an image"


class Counted:
    """Makes items and lets a test wait for how many were begun."""

    def __init__(self):
        self.begun = threading.Semaphore(0)

    def __call__(self, i):
        self.begun.release()
        return i

    def wait_for(self, count):
        assert all(self.begun.acquire(timeout=60) for _ in range(count))

    def more(self):
        return self.begun.acquire(timeout=0.05)


def test_threads_work_two_items_each_ahead_and_stop_when_nobody_wants_more():
    make = Counted()
    items = in_threads(make, 0, 100, 2)
    assert next(items) == 0
    make.wait_for(5)  # the one that was taken, and two for each thread
    assert not make.more()
    assert next(items) == 1
    make.wait_for(1)
    items.close()
    assert not make.more()


@pytest.mark.parametrize("kept", [True, False])
def test_threads_end_with_the_block_that_uses_them_also_after_an_error(kept):
    before = threading.active_count()
    errors = []
    try:
        with closing(in_threads(square, 0, 100, 2)) as items:
            next(items)
            raise DataError("no")
    except DataError as error:
        errors += [error] * kept
    assert threading.active_count() == before


def test_workers_leave_torch_random_numbers_alone():
    before = torch.get_rng_state()
    list(in_processes(square, 0, 2, 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_resize_after_this_process_has_used_opencv_threads():
    image = np.random.default_rng(0).integers(0, 255, (2000, 2000, 3), dtype=np.uint8)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(4)
    expected = resize(cv2.GaussianBlur(image, (9, 9), 2), 0)
    assert list(in_processes(partial(resize, cv2.GaussianBlur(image, (9, 9), 2)), 0, 4, 2)) == [expected] * 4
    cv2.setNumThreads(threads)


def test_a_worker_that_is_ended_is_known_by_who_says_so_not_by_the_words():
    error = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
    assert not is_lost_worker(error)
    with pytest.raises(RuntimeError) as own:
        raise error
    assert not is_lost_worker(own.value)
    with pytest.raises(RuntimeError) as of_the_watch:
        exec("raise RuntimeError('gone')", {"__name__": "torch.utils.data._utils.signal_handling"})
    assert is_lost_worker(of_the_watch.value)
