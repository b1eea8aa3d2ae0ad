"""Every registered proposal generator against the interface."""

import inspect
import pickle

import numpy as np
import pytest
import torch

from detkit.components import load_components
from detkit.config.schema import fields_of, given_of
from detkit.proposals.base import ProposalGenerator
from detkit.registry import PROPOSAL_GENERATORS
from detkit.structures import Boxes

load_components()
SHAPES = {"scene": (60, 90), "pixel": (1, 1), "row": (1, 70), "column": (70, 1), "flat": (40, 50)}


@pytest.fixture(params=PROPOSAL_GENERATORS.names())
def make(request, tmp_path):
    """The generator with its defaults; one that reads a ``path`` finds boxes of every image there."""
    for name, (height, width) in SHAPES.items():
        np.savez(tmp_path / f"{name}.npz", boxes=[[0, 0, width, height]])
    component = PROPOSAL_GENERATORS.get(request.param)
    options = {"path": str(tmp_path)} if "path" in inspect.signature(component).parameters else {}
    return lambda: component(**options)


def picture(name):
    height, width = SHAPES[name]
    image = np.random.default_rng(0).integers(0, 40, (height, width, 3)).astype(np.uint8)
    image[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] += 200
    return np.full_like(image, 128) if name == "flat" else image


def same(a, b):
    return torch.equal(a.boxes.tensor, b.boxes.tensor) and torch.equal(a.objectness, b.objectness)


def test_all_parameters_are_config_keys(make):
    component = type(make())
    assert issubclass(component, ProposalGenerator)
    assert given_of(component) == set()
    assert all(field.annotation is not inspect.Parameter.empty for field in fields_of(component).values())


@pytest.mark.parametrize("name", SHAPES)
def test_boxes_lie_inside_the_image_and_have_an_area(make, name):
    image = picture(name)
    before = image.copy()
    found = make().propose(image, name)
    assert found.image_size == image.shape[:2]
    assert torch.equal(found.boxes.clip(found.image_size).tensor, found.boxes.tensor)
    assert (found.boxes.area() > 0).all() and torch.isfinite(found.objectness).all()
    assert (image == before).all()


def test_a_scene_gets_proposals(make):
    assert len(make().propose(picture("scene"), "scene")) > 0


def test_answer_is_the_images_alone(make):
    generator = make()
    first = generator.propose(picture("scene"), "scene")
    generator.propose(picture("flat"), "flat")
    np.random.seed(3)
    torch.manual_seed(3)
    assert same(first, generator.propose(picture("scene"), "scene"))
    assert same(first, make().propose(picture("scene"), "scene"))


def test_no_proposal_is_nearer_to_a_box_than_its_reach(make):
    generator, scene = make(), picture("scene")
    size = scene.shape[:2]
    corners = np.random.default_rng(0).uniform(0, 1, (200, 2, 2)) * size[::-1]
    objects = Boxes.of(np.concatenate([corners.min(1), corners.max(1)], axis=1))
    reach = generator.reach(objects, size)
    assert reach.shape == (200,) and ((reach >= 0) & (reach <= 1)).all()
    assert (objects.iou(generator.propose(scene, "scene").boxes).amax(1) <= reach + 1e-5).all()
    assert generator.reach(Boxes.of([]), size).shape == (0,)


def test_used_generator_travels_to_another_process(make):
    generator = make()
    first = generator.propose(picture("scene"), "scene")
    assert same(first, pickle.loads(pickle.dumps(generator)).propose(picture("scene"), "scene"))
