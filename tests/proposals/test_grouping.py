import cv2
import numpy as np
import pytest

from detkit.proposals.grouping import Segmentation, Similarity, group

make = cv2.ximgproc.segmentation
LABELS = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 2, 2]], np.int32)


def segmentation(labels, image=None):
    labels = np.asarray(labels, np.int32)
    return Segmentation(np.zeros((*labels.shape, 3), np.uint8) if image is None else image, labels)


def similarity(of, terms):
    return Similarity(of, terms, make.createSelectiveSearchSegmentationStrategyTexture())


def test_areas_and_boxes_are_counted_by_hand():
    three = segmentation(LABELS)
    assert len(three) == 3
    assert three.areas.tolist() == [[4], [4], [4]]
    assert three.boxes.tolist() == [[0, 0, 2, 2], [2, 0, 4, 2], [0, 2, 4, 3]]


def test_segments_are_those_of_a_blur_of_the_papers_0_8_pixels(noise):
    image = cv2.GaussianBlur(noise, (0, 0), 2)
    found, *others = (make.createGraphSegmentation(sigma, 50.0, 30).processImage(image) for sigma in (0.8, 0.5, 1.1))
    assert np.array_equal(Segmentation.of(image, 50, 30).labels, found)
    assert not any(np.array_equal(other, found) for other in others)


def test_neighbours_touch_left_above_or_diagonally():
    # 0 and 3 touch at the corner between rows 1 and 2 only: the upper left pixel of (2, 2) is (1, 1).
    quarters = np.kron([[0, 1], [2, 3]], np.ones((2, 2))).astype(np.int32)
    assert segmentation(quarters).neighbours.tolist() == [[0, 1], [0, 2], [0, 3], [1, 3], [2, 3]]


def test_a_single_row_or_segment_has_no_neighbours():
    assert segmentation([[0, 1, 2]]).neighbours.shape == (0, 2)
    assert segmentation(np.zeros((4, 4))).neighbours.shape == (0, 2)


def test_colour_histogram_has_25_bins_a_channel_and_sum_1():
    image = np.zeros((1, 4, 3), np.uint8)
    image[0, 2:] = (255, 10, 11)  # 10 * 25 / 256 = 0.98, 11 * 25 / 256 = 1.07
    colours = segmentation([[0, 0, 1, 1]], image).colours
    assert colours.shape == (2, 75)
    assert np.flatnonzero(colours[0]).tolist() == [0, 25, 50]
    assert np.flatnonzero(colours[1]).tolist() == [24, 25, 51]
    assert colours[1, 24] == pytest.approx(1 / 3)


def test_colour_histogram_counts_as_opencv_does(noise):
    labels = np.zeros(noise.shape[:2], np.int32)
    colours = segmentation(labels, noise).colours[0]
    expected = np.concatenate([cv2.calcHist([noise], [c], None, [25], [0, 256]).ravel() for c in range(3)])
    assert np.allclose(colours, expected / expected.sum(), atol=1e-7)


def test_size_similarity_is_one_minus_the_shared_area():
    # Two of three segments of 4 pixels in an image of 12: 1 - 8/12; the merged one with the third: 1 - 12/12.
    size = similarity(segmentation(LABELS), "S")
    assert size.to(0, [1, 2]) == pytest.approx([1 / 3, 1 / 3])
    size.merge(0, 1)
    assert size.to(0, [2]) == pytest.approx([0])
    assert size.to(1, [2]) == pytest.approx([0])


def test_fill_similarity_is_one_minus_the_gap():
    # 0 and 1 fill their common box of 8; 0 and 2 (4 + 4) stand in a box of 12: 1 - 4/12.
    assert similarity(segmentation(LABELS), "F").to(0, [1, 2]) == pytest.approx([1, 2 / 3])


def test_colour_similarity_is_the_shared_histogram():
    image = np.zeros((3, 4, 3), np.uint8)
    image[:2, 2:] = 255  # segment 1 shares no bin with the others
    with_colour = similarity(segmentation(LABELS, image), "CTSF").to(0, [1, 2])
    without = similarity(segmentation(LABELS, image), "TSF").to(0, [1, 2])
    assert with_colour == pytest.approx([without[0] + 0, without[1] + 1], abs=1e-5)


def test_merged_colours_are_those_of_the_union():
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    labels = np.repeat([0, 1, 1, 2], 12).reshape(6, 8)
    merged = similarity(segmentation(labels, image), "CTSF")
    merged.merge(0, 1)
    union = segmentation(np.where(labels == 1, 0, labels) // 2, image)
    assert np.allclose(merged._colours[[0, 2]], union.colours, atol=1e-6)


def test_most_similar_pair_merges_first():
    # By size all pairs are equal (1/3), so the lowest rows merge first; then the whole image.
    boxes = group(segmentation(LABELS), similarity(segmentation(LABELS), "S"))
    assert boxes.tolist() == [[0, 0, 2, 2], [2, 0, 4, 2], [0, 2, 4, 3], [0, 0, 4, 2], [0, 0, 4, 3]]


def test_a_more_similar_pair_merges_before_one_of_lower_rows():
    # 1 and 2 fill their common box of 8; 0 and 1 (4 + 4) stand in a box of 12.
    turned = segmentation([[1, 1, 2, 2], [1, 1, 2, 2], [0, 0, 0, 0]])
    assert group(turned, similarity(turned, "F"))[3:].tolist() == [[0, 0, 4, 2], [0, 0, 4, 3]]


@pytest.mark.parametrize("labels", [[[0]], [[0, 1, 2]], np.zeros((3, 3))])
def test_segments_without_neighbours_stay_alone(labels):
    alone = segmentation(labels)
    assert len(group(alone, similarity(alone, "TSF"))) == len(alone)


@pytest.mark.parametrize("terms", ["CTSF", "TSF", "F", "S"])
def test_n_segments_give_2n_minus_1_regions_up_to_the_whole_image(noise, terms):
    found = Segmentation.of(cv2.GaussianBlur(noise, (0, 0), 2), 50, 30)
    boxes = group(found, similarity(found, terms))
    assert len(found) > 10
    assert len(boxes) == 2 * len(found) - 1
    assert boxes[-1].tolist() == [0, 0, 80, 60]
