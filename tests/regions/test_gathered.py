"""Features that two processes compute, against those of one."""

from __future__ import annotations

import multiprocessing
import sys
import traceback
from datetime import timedelta

import numpy as np
import pytest
import torch
import torch.distributed as dist

from detkit.regions.features import IMAGES_TOGETHER, RegionFeatures
from detkit.regions.gathered import GatheredFeatures
from detkit.system.world import Outbox, World

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")

LAYERS = ["fc6", "fc7"]
DIM = 3
PATIENCE = timedelta(seconds=60)


class Numbered(RegionFeatures):
    """Features that say which row they are of; keeps the images that this process computed."""

    def __init__(self, index):
        self.index = index
        self.computed = []

    def dim(self, layer):
        return DIM

    def _images(self, requests, layers):
        for image, rows in requests:
            self.computed.append(image)
            yield image, {layer: numbers(rows) + at for at, layer in enumerate(layers)}


def numbers(rows):
    return torch.from_numpy(rows)[:, None] + torch.arange(DIM) / 4


def in_two_processes(folder, work):
    """What ``work`` gives in each of two processes that talk over gloo."""
    context = multiprocessing.get_context("fork")
    answers = [context.Queue() for _ in range(2)]

    def one(rank):
        try:
            torch.set_num_threads(1)
            meeting = f"file://{folder / 'meeting'}"
            dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=2, timeout=PATIENCE)
            answers[rank].put(work(World(rank, 2)))
            dist.destroy_process_group()
        except BaseException:
            answers[rank].put(traceback.format_exc())

    processes = [context.Process(target=one, args=(rank,), daemon=True) for rank in range(2)]
    try:
        for process in processes:
            process.start()
        found = [answer.get(timeout=PATIENCE.total_seconds()) for answer in answers]
    finally:
        for process in processes:
            process.kill()
            process.join()
    assert not any(isinstance(one, str) for one in found), found
    return found


@pytest.fixture(scope="module")
def index(make_index):
    """Two groups of images and a part of a third, with 0 to 4 proposals each."""
    return make_index(
        [([], [], [[0, 0, 10 + i, 20] for i in range(at % 5)]) for at in range(2 * IMAGES_TOGETHER + 3)], 1
    )


def test_features_come_in_the_order_of_the_requests_and_each_process_computes_its_groups(tmp_path, index):
    some = [(image, rows[::2]) for image, rows in Numbered(index).every_row()][::-1]
    every = [*some[:3], (0, np.zeros(0, np.int64)), *some[3:]]

    def work(world):
        own = Numbered(index)
        features = GatheredFeatures(own, world)
        if not world.is_first:
            features.serve()
            return [], own.computed
        asked = [list(features.images(every, LAYERS)), list(features.images(some[:2], LAYERS[:1]))]
        features.dismiss()
        return [
            [(image, {k: v.numpy() for k, v in one.items()}) for image, one in found] for found in asked
        ], own.computed

    (found, first), (_, second) = in_two_processes(tmp_path, work)
    for requests, layers, answers in ((every, LAYERS, found[0]), (some[:2], LAYERS[:1], found[1])):
        assert [image for image, _ in answers] == [image for image, _ in requests]
        for (_, rows), (_, one) in zip(requests, answers, strict=True):
            for at, layer in enumerate(layers):
                assert np.array_equal(one[layer], (numbers(rows) + at).numpy())
    images = [image for image, _ in some]
    groups = [images[start : start + IMAGES_TOGETHER] for start in range(0, len(images), IMAGES_TOGETHER)]
    assert second == groups[1]
    assert first == [image for group in groups[::2] for image in group] + images[:2]


def test_a_process_works_no_further_ahead_than_it_may(monkeypatch):
    under_way, most = [], []

    class Sending:
        def __init__(self, tensor, rank):
            assert rank == 0
            under_way.append(int(tensor))
            most.append(len(under_way))

        def wait(self):
            arrived.append(under_way.pop(0))

    arrived = []
    monkeypatch.setattr(dist, "isend", Sending)
    outbox = Outbox(ahead=3)
    for i in range(9):
        outbox.send(torch.tensor([i]))
    assert max(most) == 4 and arrived == [0, 1, 2, 3, 4, 5]  # the oldest is awaited once a fourth was begun
    outbox.close()
    assert arrived == list(range(9))


def test_items_of_all_processes_are_gathered_in_the_order_of_the_processes(tmp_path):
    found = in_two_processes(tmp_path, lambda world: world.gather([world.rank, "of", world.rank]))
    assert found == [[0, "of", 0, 1, "of", 1]] * 2
