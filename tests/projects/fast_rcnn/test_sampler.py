from __future__ import annotations

import numpy as np
import pytest

from detkit.errors import ConfigError, DataError
from detkit.system.seeding import rng_for

TRUTH = [0, 0, 20, 20]


def shifted(count, step, start=0.0):
    """Boxes of the truth's size, moved to the right: at s px the IoU is (20 - s) / (20 + s)."""
    return [[start + step * i, 0, 20 + start + step * i, 20] for i in range(count)]


@pytest.fixture
def index(make_index):
    # Moved by 6.66 px a box has IoU 0.5, by 16.36 px 0.1. 30 foreground boxes and the truth, 100 background boxes of
    # [0.1, 0.5) and 50 beyond; two images without objects, and one with a truth and little else.
    rich = shifted(30, 0.2) + shifted(100, 0.09, 7) + shifted(50, 0.5, 17)
    poor = shifted(2, 1) + shifted(5, 1, 8)
    empty = ([], [], [])
    return make_index([([TRUTH], [1], rich), ([], [], rich), ([TRUTH], [0], poor), ([TRUTH], [2], rich), empty], 3)


def draw(project, index, iteration=0, seed=0, **settings):
    sampler = project.sampler.Hierarchical(**settings)
    return sampler.draw(index, rng_for(seed, "draw", iteration), iteration=iteration, seed=seed)


def best_overlap(index, row):
    image = index.image[row]
    return float(index.boxes[row].iou(index.truths(image).used.boxes).max())


def test_an_image_gives_16_foreground_and_48_background_regions_without_repetition(project, index):
    drawn = set()
    for iteration in range(6):
        rows = draw(project, index, iteration)
        assert len(np.unique(rows)) == len(rows)
        for image, positions in index.by_image(rows):
            drawn.add(image)
            if image != 2:
                overlaps = np.array([best_overlap(index, row) for row in rows[positions]])
                assert (overlaps >= 0.5).sum() == 16 and ((overlaps >= 0.1) & (overlaps < 0.5)).sum() == 48
    assert drawn == {0, 2, 3}


def test_an_image_with_little_gives_what_it_has(project, index):
    # Its truth, two foreground boxes, and five of background, moved by 8 to 12 px (0.43 to 0.25).
    steps = [draw(project, index, i) for i in range(6)]
    poor = [rows[index.image[rows] == 2] for rows in steps]
    assert {len(rows) for rows in poor} == {0, 8} and len(np.unique(np.concatenate(poor))) == 8
    assert {len(rows) for rows in steps} == {64 + 8, 128}


def test_too_little_foreground_is_made_up_by_background(project, make_index):
    index = make_index([([TRUTH], [0], shifted(3, 1) + shifted(100, 0.09, 7))], 1)
    labels = index.label[draw(project, index, images_per_batch=1, batch_size=64)]
    assert (labels == 0).sum() == 4 and (labels == 1).sum() == 60


def test_background_far_from_objects_is_drawn_when_it_may_be(project, make_index):
    index = make_index([([TRUTH], [0], shifted(100, 0.5, 30))], 1)
    assert len(draw(project, index, images_per_batch=1, batch_size=64)) == 1
    assert len(draw(project, index, images_per_batch=1, batch_size=64, background_from=0.0)) == 64


def test_each_epoch_is_a_permutation_of_the_images_with_objects(project, make_index):
    index = make_index([([TRUTH], [0], [])] * 7 + [([], [], [TRUTH])], 1)
    # Seven images give one region each, their truth; an epoch is three steps of two, and one image is left out.
    epochs = [[*np.concatenate([index.image[draw(project, index, 3 * e + i)] for i in range(3)])] for e in range(9)]
    assert all(len(set(images)) == 6 for images in epochs) and set().union(*epochs) == set(range(7))
    assert len({tuple(images) for images in epochs}) == 9
    assert epochs[0] != [*np.concatenate([index.image[draw(project, index, i, seed=1)] for i in range(3)])]


def test_a_split_of_one_image_is_drawn_again_and_again(project, make_index):
    index = make_index([([TRUTH], [0], [])], 1)
    assert [draw(project, index, i).tolist() for i in range(3)] == [[0]] * 3


def test_draws_follow_iteration_and_seed_alone(project, index):
    first, again, later, other = (draw(project, index, *at) for at in ((3, 0), (3, 0), (4, 0), (3, 1)))
    assert np.array_equal(first, again) and not np.array_equal(first, later) and not np.array_equal(first, other)
    assert first.dtype == np.int64 and (index.label[first] >= 0).all()


def test_a_split_without_foreground_is_an_error(project, make_index):
    with pytest.raises(DataError, match=r"fine-tuning: no region is foreground; check the annotations"):
        draw(project, make_index([([], [], [TRUTH])], 2))


def test_more_images_than_regions_are_refused(project):
    with pytest.raises(ConfigError, match=r"IMAGES_PER_BATCH: 9 is more than BATCH_SIZE 8"):
        project.sampler.Hierarchical(images_per_batch=9, batch_size=8)
