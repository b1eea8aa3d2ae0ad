import multiprocessing
import os
import select
import signal
import sys

import cv2
import numpy as np
import pytest
import torch

from detkit.config.project import import_project
from detkit.errors import DataError, DetkitError
from detkit.proposals.base import ProposalGenerator
from detkit.proposals.edge_boxes import EdgeBoxes
from detkit.proposals.pool import propose_many
from detkit.proposals.sliding_window import SlidingWindow

PROJECT = """
import os
from detkit.proposals.base import ProposalGenerator
from detkit.structures import Boxes, Proposals

class Own(ProposalGenerator):
    def propose(self, image, image_id=""):
        if image_id == "killed":
            os._exit(9)
        return Proposals.unranked(Boxes.of([[0, 0, len(image_id), 1]]), image.shape[:2])
"""


@pytest.fixture
def items(tmp_path):
    out = []
    for i in range(5):
        image = np.random.default_rng(i).integers(0, 256, (30 + i, 40, 3)).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"{i}.png"), image)
        out.append((str(i), tmp_path / f"{i}.png"))
    return out


@pytest.fixture
def own_generator(tmp_path):
    """A generator of a project that is imported by path, so that a plain import does not find it."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "__init__.py").write_text(PROJECT)
    before = set(sys.modules)
    import_project(folder, "test")
    (name,) = {m for m in sys.modules if m.startswith("detkit_project_")} - before
    yield sys.modules[name].Own()
    del sys.modules[name]


def test_no_items_give_no_proposals():
    assert list(propose_many(SlidingWindow(), [], workers=2)) == []


def test_proposals_come_in_list_order_with_their_size(items):
    found = list(propose_many(SlidingWindow(), items, workers=0))
    assert [at for at, _ in found] == [0, 1, 2, 3, 4]
    assert [p.image_size for _, p in found] == [(30 + i, 40) for i in range(5)]


def test_workers_give_what_this_process_gives_and_end_with_the_first_error(items):
    generator = EdgeBoxes(min_box_area=50)
    others = set(multiprocessing.active_children())
    here = list(propose_many(generator, items, workers=0))
    assert sum(len(p) for _, p in here) > 0
    items[4][1].write_bytes(b"no image")
    there = propose_many(generator, items, workers=2, head_start=0)
    for at in range(4):
        position, found = next(there)
        assert position == at and found.image_size == here[at][1].image_size
        assert torch.equal(found.boxes.tensor, here[at][1].boxes.tensor)
        assert torch.equal(found.objectness, here[at][1].objectness)
    with pytest.raises(DataError, match=r"4\.png"):
        next(there)
    assert set(multiprocessing.active_children()) <= others


def test_short_lists_start_no_process(items):
    class Unpicklable(ProposalGenerator):
        def propose(self, image, image_id=""):
            return SlidingWindow().propose(image)

    assert len(list(propose_many(Unpicklable(), items, workers=2, head_start=600))) == 5


def test_error_of_a_broken_image_comes_at_its_place(items):
    items[2][1].write_bytes(b"no image")
    found = propose_many(SlidingWindow(), items, workers=0)
    assert [next(found)[0], next(found)[0]] == [0, 1]
    with pytest.raises(DataError, match=r"2\.png"):
        next(found)


def test_generator_of_a_project_reaches_the_workers_and_a_killed_one_is_named(items, own_generator):
    listed = [("ab", items[0][1]), ("killed", items[1][1])]
    found = propose_many(own_generator, listed, workers=1, head_start=0)
    assert next(found)[1].boxes.tensor.tolist() == [[0, 0, 2, 1]]
    with pytest.raises(DetkitError, match=r"a worker process ended near image killed \(.*1\.png\); .* fewer workers"):
        next(found)


def test_workers_end_with_a_killed_parent(items):
    reads, writes = os.pipe()
    number = os.fork()
    if not number:
        try:
            os.dup2(writes, 1)
            found = propose_many(SlidingWindow(), items[:1] * 50, workers=1, head_start=0)
            next(found)
            os.write(1, b"worked")
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.close(writes)
    os.waitpid(number, 0)
    # The worker holds the pipe's other end: it closes only when the worker has ended, too.
    said = []
    while b"" not in said:
        assert select.select([reads], [], [], 60)[0], "the worker lives on"
        said.append(os.read(reads, 100))
    os.close(reads)
    assert said == [b"worked", b""]
