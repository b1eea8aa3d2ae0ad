import numpy as np
import pytest
import torch

from detkit.regions.source import ArraySource, LinearHead, SomeImages, norm_sample

FAR = [50, 50, 60, 60]


@pytest.fixture
def index(make_index):
    return make_index([([], [], [FAR] * n) for n in (3, 0, 5, 1)], 1)


def mean_norm(source):
    return source.mean_norm_of(norm_sample(source.index, np.random.default_rng(0)))


def test_mean_norm_of_few_regions_is_over_all_of_them(index, array_source):
    features = np.zeros((9, 2), dtype=np.float32)
    features[:, 0], features[:, 1] = 3 * np.arange(9), 4 * np.arange(9)
    # norms 0, 5, ..., 40
    assert mean_norm(array_source(index, features)) == pytest.approx(20)


def test_mean_norm_without_regions_or_with_zero_features_is_one(index, make_index, array_source):
    nothing = make_index([([], [], [])], 1)
    assert mean_norm(array_source(nothing, np.zeros((0, 2), np.float32))) == 1
    assert mean_norm(array_source(index, np.zeros((9, 2), np.float32))) == 1


def test_the_sample_is_bounded_ascending_and_without_repetition(index):
    for seed in range(20):
        rows = norm_sample(index, np.random.default_rng(seed), num_images=2, num_rows=2)
        assert (np.diff(rows) > 0).all()
        images, counts = np.unique(index.image[rows], return_counts=True)
        assert len(images) <= 2 and (counts <= 2).all()


def test_the_sample_follows_the_generator(index):
    first, again = (norm_sample(index, np.random.default_rng(3), 2, 1) for _ in range(2))
    assert np.array_equal(first, again)


def test_a_head_of_other_shapes_is_an_error():
    with pytest.raises(
        ValueError, match=r"expected float32 \(R, D\) and \(R,\), got torch.float32 \(3, 4\) and \(2,\)"
    ):
        LinearHead(torch.zeros(3, 4), torch.zeros(2))


def test_array_source_gives_rows_and_blocks_as_they_were_handed_in(make_index):
    index = make_index([([FAR], [0], [FAR]), ([], [], []), ([], [], [FAR])], 1)
    source = ArraySource(index, np.array([[1, 2], [3, 4], [0.1, 5]]))
    # 0.1 is 0.0999756 in float16
    assert source.take(np.array([2, 0])).tolist() == [[pytest.approx(0.0999756), 5], [1, 2]]
    assert [(image, len(block)) for image, block in source.blocks()] == [(0, 2), (2, 1)]
    with pytest.raises(ValueError, match=r"expected \(3, D\), got \(2, 2\)"):
        ArraySource(index, np.zeros((2, 2)))


def test_some_images_have_rows_and_blocks_of_their_own(index, array_source):
    # images of 3, 0, 5 and 1 rows; of the last two there are rows 3 to 8
    source = array_source(index, np.arange(9)[:, None] * [1.0, 2.0])
    part = SomeImages(source, np.array([1, 2, 3]))
    assert part.index.num_images == 3 and len(part.index) == 6 and part.index.image.tolist() == [1] * 5 + [2]
    assert [s.image_id for s in part.index.samples] == [index.samples[i].image_id for i in (1, 2, 3)]
    assert part.take(np.array([5, 0])).tolist() == [[8, 16], [3, 6]]
    assert [(image, len(rows), rows[0, 0]) for image, rows in part.blocks()] == [(1, 5, 3), (2, 1, 8)]


def test_some_images_keep_their_truths(make_index, array_source):
    index = make_index([([FAR], [1], [FAR]), ([FAR], [0], [FAR])], 2)
    part = SomeImages(array_source(index, np.zeros((4, 2))), np.array([1])).index
    assert part.truth_label.tolist() == [0, -1] and part.label.tolist() == [0, 0]
    assert part.overlaps(0)[0].tolist() == [[1, 0], [1, 0]]
