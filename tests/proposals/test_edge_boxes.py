import pickle

import numpy as np
import pytest

from detkit.errors import ConfigError
from detkit.proposals.edge_boxes import EdgeBoxes, gradient_edges
from detkit.structures import Boxes

# A forest of one tree that marks the middle row of a patch as edge where feature 0 exceeds 0.5.
MODEL = """%YAML:1.0
---
options:
   {stride: 2, shrinkNumber: 2, patchSize: 32, patchInnerSize: 16, numberOfGradientOrientations: 4,
    gradientSmoothingRadius: 0, regFeatureSmoothingRadius: 2, ssFeatureSmoothingRadius: 8,
    gradientNormalizationRadius: 4, selfsimilarityGridSize: 5, numberOfTrees: 1, numberOfTreesToEvaluate: 1}
childs:
   - [ 3, 0, 0 ]
featureIds:
   - [ 0, 0, 0 ]
thresholds:
   - [ 0.5, 0., 0. ]
edgeBoundaries:
   - [ 0, 0, 0, 16 ]
edgeBins:
   - [ 112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127 ]
"""


def test_strongest_gradient_is_half_and_lies_on_the_border():
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, 15:] = 200
    strength, direction = gradient_edges(image)
    assert strength.dtype == direction.dtype == np.float32
    assert strength.max() == pytest.approx(0.5)
    assert set(np.nonzero(strength)[1]) == {14, 15}
    assert direction[10, 14] == pytest.approx(0)


def test_direction_is_across_the_edge_and_under_pi():
    image = np.zeros((30, 20, 3), np.uint8)
    image[15:] = 200
    assert gradient_edges(image)[1][14, 10] == pytest.approx(np.pi / 2)
    assert gradient_edges(255 - image)[1][14, 10] == pytest.approx(np.pi / 2)
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    direction = gradient_edges(noise)[1]
    assert (direction >= 0).all() and (direction < np.float32(np.pi)).all()


def test_edge_between_colours_of_one_grey_is_seen():
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, :15, 0] = image[:, 15:, 1] = 100
    assert gradient_edges(image)[0][10, 14:16].max() == pytest.approx(0.5)


def test_constant_image_has_no_edge_and_no_proposal():
    image = np.full((50, 60, 3), 9, np.uint8)
    assert not gradient_edges(image)[0].any()
    assert len(EdgeBoxes().propose(image)) == 0


def test_drawn_block_is_the_best_box(blocks):
    found = EdgeBoxes(min_box_area=200).propose(blocks)
    assert Boxes.of([[10, 20, 60, 60]]).iou(found.boxes[:5]).max() > 0.7


def test_best_score_comes_first_and_max_boxes_keeps_the_best(blocks):
    found = EdgeBoxes().propose(blocks)
    assert len(found) > 3 and (found.objectness.diff() <= 0).all() and (found.objectness > 0).all()
    few = EdgeBoxes(max_boxes=3).propose(blocks)
    assert len(few) == 3 and few.objectness.tolist() == found.objectness[:3].tolist()


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (5, 5)])
def test_tiny_images_have_no_proposal(shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    assert len(EdgeBoxes().propose(image)) == 0


def test_model_gives_the_edges_and_stays_out_of_the_pickle(tmp_path, blocks):
    model = tmp_path / "model.yml"
    model.write_text(MODEL)
    generator = EdgeBoxes(model=str(model), min_box_area=200)
    found = generator.propose(blocks)
    assert len(found) > 0
    again = pickle.loads(pickle.dumps(generator)).propose(blocks)
    assert found.boxes.tensor.tolist() == again.boxes.tensor.tolist()


def test_missing_model_is_named():
    with pytest.raises(ConfigError, match=r"EdgeBoxes.MODEL: no file nowhere.yml; give OpenCV's structured-edge model"):
        EdgeBoxes(model="nowhere.yml")


@pytest.mark.parametrize("text", ["", "garbage", "%YAML:1.0\n---\na: 1\n"])
def test_file_that_is_no_model_is_named(tmp_path, blocks, text):
    model = tmp_path / "model.yml"
    model.write_text(text)
    with pytest.raises(ConfigError, match=r"EdgeBoxes.MODEL: .*model.yml is no structured-edge model") as error:
        EdgeBoxes(model=str(model)).propose(blocks)
    assert "\n" not in str(error.value)
