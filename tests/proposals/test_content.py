import numpy as np

from detkit.proposals.content import content_rng


def test_same_content_draws_the_same_numbers():
    image = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    assert (content_rng(image).random(5) == content_rng(image.copy()).random(5)).all()
    assert (content_rng(image).random(5) == content_rng(np.asfortranarray(image)).random(5)).all()


def test_one_pixel_or_the_shape_changes_the_numbers():
    image = np.zeros((4, 5, 3), np.uint8)
    other = image.copy()
    other[0, 0, 0] = 1
    draws = {content_rng(i).random() for i in (image, other, image.reshape(5, 4, 3))}
    assert len(draws) == 3
