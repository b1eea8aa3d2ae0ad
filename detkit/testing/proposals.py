"""What every proposal generator keeps."""

from __future__ import annotations

import inspect
import pickle
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detkit.config.schema import fields_of, given_of
from detkit.proposals.base import ProposalGenerator
from detkit.structures import Boxes, Proposals
from detkit.testing.expect import expect, expect_given

SHAPES = {"scene": (60, 90), "pixel": (1, 1), "row": (1, 70), "column": (70, 1), "flat": (40, 50)}


def _picture(name: str) -> np.ndarray:
    height, width = SHAPES[name]
    image = np.random.default_rng(0).integers(0, 40, (height, width, 3)).astype(np.uint8)
    image[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] += 200
    return np.full_like(image, 128) if name == "flat" else image


@contextmanager
def _maker(make: Any) -> Iterator[Callable[[], ProposalGenerator]]:
    """Makes the generator; one that reads a ``path`` finds boxes of every image there."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (height, width) in SHAPES.items():
            np.savez(Path(folder) / f"{name}.npz", boxes=[[0, 0, width, height]])
        known = inspect.signature(make.component).parameters
        options = {"path": folder} if "path" in known and "path" not in make.settings else {}
        yield lambda: make(**options)


def _expect_same(a: Proposals, b: Proposals, what: str) -> None:
    same = torch.equal(a.boxes.tensor, b.boxes.tensor) and torch.equal(a.objectness, b.objectness)
    expect(same, f"{what}: the same image got other proposals")


def all_parameters_are_config_keys_with_a_type(make: Any) -> None:
    """The builder gives nothing."""
    expect_given(make.component, given_of(make.component), set())
    for key, field in fields_of(make.component).items():
        expect(field.annotation is not inspect.Parameter.empty, f"the key {key} has no annotation")


def boxes_lie_inside_the_image_and_have_an_area(make: Any) -> None:
    """In images of one pixel, of one row and of one grey, too; the image is left as it was."""
    with _maker(make) as new:
        for name in SHAPES:
            image = _picture(name)
            before = image.copy()
            found = new().propose(image, name)
            expect(found.image_size == image.shape[:2], f"image_size {found.image_size} of an image {image.shape[:2]}")
            inside = torch.equal(found.boxes.clip(found.image_size).tensor, found.boxes.tensor)
            expect(inside, f"a box of the image {name} lies beyond it")
            expect((found.boxes.area() > 0).all(), f"a box of the image {name} has no area")
            expect(torch.isfinite(found.objectness).all(), f"an objectness of the image {name} is no number")
            expect((image == before).all(), "propose changed the image")


def a_scene_gets_proposals(make: Any) -> None:
    """A bright rectangle before noise."""
    with _maker(make) as new:
        expect(len(new().propose(_picture("scene"), "scene")) > 0, "a scene with an object got no proposal")


def no_proposal_is_nearer_to_a_box_than_its_reach(make: Any) -> None:
    """``reach`` is an upper bound of the IoU of any proposal with a box."""
    with _maker(make) as new:
        generator, scene = new(), _picture("scene")
        size = (scene.shape[0], scene.shape[1])
        corners = np.random.default_rng(0).uniform(0, 1, (200, 2, 2)) * size[::-1]
        objects = Boxes.of(np.concatenate([corners.min(1), corners.max(1)], axis=1))
        reach = generator.reach(objects, size)
        expect(reach.shape == (200,) and ((reach >= 0) & (reach <= 1)).all(), "reach: expected (N,) from 0 to 1")
        nearest = objects.iou(generator.propose(scene, "scene").boxes).amax(1)
        expect((nearest <= reach + 1e-5).all(), "a proposal overlaps a box by more than its reach")
        expect(generator.reach(Boxes.of([]), size).shape == (0,), "reach of no box is not empty")


def the_answer_depends_on_the_image_alone(make: Any) -> None:
    """Not on what was asked before, nor on global random numbers; also in another process."""
    with _maker(make) as new:
        generator = new()
        first = generator.propose(_picture("scene"), "scene")
        generator.propose(_picture("flat"), "flat")
        np.random.seed(3)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            _expect_same(first, generator.propose(_picture("scene"), "scene"), "asked again")
        _expect_same(first, new().propose(_picture("scene"), "scene"), "made anew")
        travelled = pickle.loads(pickle.dumps(generator))
        _expect_same(first, travelled.propose(_picture("scene"), "scene"), "pickled")


CHECKS = (
    all_parameters_are_config_keys_with_a_type,
    boxes_lie_inside_the_image_and_have_an_area,
    a_scene_gets_proposals,
    no_proposal_is_nearer_to_a_box_than_its_reach,
    the_answer_depends_on_the_image_alone,
)
