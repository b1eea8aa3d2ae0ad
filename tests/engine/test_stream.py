import os
from functools import partial

import cv2
import numpy as np
import pytest
import torch

from detkit.engine.stream import stream
from detkit.errors import DataError


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


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_items_come_in_order(workers):
    assert list(stream(square, 3, 8, workers)) == [9, 16, 25, 36, 49]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_empty_stretch_gives_nothing(workers):
    assert list(stream(square, 4, 4, workers)) == []


def test_arrays_stay_arrays():
    for i, item in enumerate(stream(array, 0, 2, 1)):
        assert isinstance(item["pixels"], np.ndarray)
        assert (item["pixels"] == i).all()


def test_workers_are_other_processes():
    assert os.getpid() not in set(stream(process, 0, 4, 2))
    assert set(stream(process, 0, 2, 0)) == {os.getpid()}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_mistake_in_a_worker_keeps_its_one_line(workers):
    seen = []
    with pytest.raises(DataError) as error:
        for item in stream(refuse_three, 0, 6, workers):
            seen.append(item)
    assert seen == [0, 1, 2]
    assert str(error.value) == "picture3.jpg: not an image"


def test_workers_leave_torch_random_numbers_alone():
    before = torch.get_rng_state()
    list(stream(square, 0, 2, 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_resize_after_this_process_has_used_opencv_threads():
    image = np.random.default_rng(0).integers(0, 255, (2000, 2000, 3), dtype=np.uint8)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(4)
    expected = resize(cv2.GaussianBlur(image, (9, 9), 2), 0)
    assert list(stream(partial(resize, cv2.GaussianBlur(image, (9, 9), 2)), 0, 4, 2)) == [expected] * 4
    cv2.setNumThreads(threads)
