import cv2
import numpy as np
import pytest
import torch

from detkit.proposals.content import content_rng
from detkit.proposals.selective_search import COLOUR_SPACES, RECIPES, SelectiveSearch
from detkit.proposals.sliding_window import SlidingWindow
from detkit.structures import Boxes

cv = cv2.ximgproc.segmentation
STRATEGIES = {
    "C": cv.createSelectiveSearchSegmentationStrategyColor,
    "T": cv.createSelectiveSearchSegmentationStrategyTexture,
    "S": cv.createSelectiveSearchSegmentationStrategySize,
    "F": cv.createSelectiveSearchSegmentationStrategyFill,
}


def photograph(shared, height=150, width=200):
    path = shared / "data/voc2012_animals5/VOC2012/JPEGImages/2007_001764.jpg"
    return cv2.resize(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), (width, height), interpolation=cv2.INTER_AREA)


def library(image, mode):
    """OpenCV's own search, which has its own merge loop: a second method."""
    search = cv.createSelectiveSearchSegmentation()
    search.setBaseImage(np.ascontiguousarray(image[..., ::-1]))
    if mode in ("fast", "single"):
        {"fast": search.switchToSelectiveSearchFast, "single": search.switchToSingleStrategy}[mode]()
        return search.process()
    recipe = RECIPES[mode]
    for space in recipe.spaces:
        search.addImage(COLOUR_SPACES[space](image))
    for k, min_size in recipe.segments:
        search.addGraphSegmentation(cv.createGraphSegmentation(0.8, float(k), min_size))
    for terms in recipe.sums:
        total = cv.createSelectiveSearchSegmentationStrategyMultiple()
        for term in terms:
            total.addStrategy(STRATEGIES[term](), 1.0)
        search.addStrategy(total)
    return search.process()


def as_set(boxes):
    return {tuple(row) for row in boxes.tensor.int().tolist()}


@pytest.mark.parametrize(("mode", "share"), [("paper", 1.0), ("fast", 1.0), ("single", 1.0), ("quality", 0.98)])
def test_set_of_boxes_is_that_of_opencvs_own_search(shared, mode, share):
    # "quality" groups by size or fill alone, too, where many pairs are equally similar.
    image = photograph(shared, *((90, 120) if mode == "quality" else (150, 200)))
    ours = as_set(SelectiveSearch(mode=mode, min_side=0).propose(image).boxes)
    theirs = {(x, y, x + w, y + h) for x, y, w, h in library(image, mode).tolist()}
    assert len(theirs) > 20
    assert len(ours & theirs) >= share * max(len(ours), len(theirs))


def test_paper_mode_is_the_papers_eight_groupings():
    paper = RECIPES["paper"]
    assert paper.spaces == ("HSV", "Lab")
    assert paper.segments == ((50, 50), (100, 100))
    assert paper.sums == ("CTSF", "TSF")
    assert len(paper.spaces) * len(paper.segments) * len(paper.sums) == 8


def test_colour_spaces_are_opencvs_of_the_same_pixels(noise):
    bgr = np.ascontiguousarray(noise[..., ::-1])
    hsv, grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV), cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    expected = {
        "HSV": hsv,
        "Lab": cv2.cvtColor(bgr, cv2.COLOR_BGR2LAB),
        "grey": grey,
        "hue": hsv[..., 0],
        "RGI": np.dstack([noise[..., :2], grey]),
    }
    assert set(expected) == set(COLOUR_SPACES)
    for name, pixels in expected.items():
        assert (COLOUR_SPACES[name](noise) == pixels).all(), name


def test_drawn_blocks_are_found(blocks):
    found = SelectiveSearch().propose(blocks).boxes
    drawn = Boxes.of([[10, 20, 60, 60], [80, 70, 100, 90], [10, 20, 35, 60]])
    assert (drawn.iou(found).max(1).values > 0.8).all()


@pytest.mark.parametrize("mode", RECIPES)
def test_boxes_are_distinct_and_at_least_min_side(noise, mode):
    found = SelectiveSearch(mode=mode, min_side=25).propose(noise).boxes
    assert len(as_set(found)) == len(found) > 0
    assert ((found.tensor[:, 2:] - found.tensor[:, :2]) >= 25).all()


def test_best_objectness_comes_first_and_the_best_are_kept(noise):
    everything = SelectiveSearch().propose(noise)
    assert (everything.objectness.diff() <= 0).all() and (everything.objectness <= 0).all()
    few = SelectiveSearch(max_boxes=7).propose(noise)
    assert torch.equal(few.boxes.tensor, everything.boxes.tensor[:7])
    assert torch.equal(few.objectness, everything.objectness[:7])


@pytest.mark.parametrize("iou", [0.0, 0.3, 0.8, 1.0])
def test_boxes_that_overlap_a_better_one_are_dropped(noise, iou):
    everything = SelectiveSearch().propose(noise).boxes
    kept = []  # greedy suppression, a box at a time
    for row in range(len(everything)):
        if not kept or everything[[row]].iou(everything[kept]).max() <= iou:
            kept.append(row)
    found = SelectiveSearch(nms_iou=iou).propose(noise).boxes
    assert torch.equal(found.tensor, everything.tensor[kept])
    assert (len(found) < len(everything)) == (iou < 1)
    few = SelectiveSearch(nms_iou=iou, max_boxes=2).propose(noise).boxes
    assert torch.equal(few.tensor, everything.tensor[kept[:2]])


def test_suppression_compares_boxes_of_the_image_itself(noise):
    everything, found = (SelectiveSearch(width=41, nms_iou=iou).propose(noise).boxes for iou in (1.0, 0.6))
    overlap = found.iou(found).fill_diagonal_(0)
    assert 0 < len(found) < len(everything) and overlap.max() <= 0.6
    assert (everything.iou(found).max(1).values > 0.6).all()


def test_suppression_of_no_box(noise):
    assert len(SelectiveSearch(min_side=200, nms_iou=0.5).propose(noise)) == 0


def test_objectness_is_minus_the_place_in_the_hierarchy_times_the_images_random_numbers(blocks):
    # Places count back from the last merge of a hierarchy, which has 1; each segment has n, in one row for all
    # hierarchies of its segmentation. Of equal boxes the least priority stays.
    search, numbers, least = SelectiveSearch(min_side=0), content_rng(blocks), {}
    for segments, hierarchies in search._groupings(blocks):
        ranked = [(box, len(merged) - row) for merged in hierarchies for row, box in enumerate(merged.tolist())]
        for box, place in [*ranked, *((box, len(segments)) for box in segments.tolist())]:
            priority = place * numbers.random()
            least[tuple(box)] = min(priority, least.get(tuple(box), np.inf))
    found = search.propose(blocks)
    order = sorted(least, key=least.__getitem__)
    assert found.boxes.tensor.int().tolist() == [list(box) for box in order]
    assert found.objectness.tolist() == pytest.approx([-least[box] for box in order], rel=1e-6)


def test_a_segment_is_drawn_once_for_a_segmentation_and_a_merge_once_for_a_hierarchy(monkeypatch):
    # Two hierarchies of three segments: places 2, 1 and 2, 1 for the merges, 3, 3, 3 for the segments. With the numbers
    # below the priorities are 1.8 .1 | 1.6 .2 | .3 .6 2.7; the last merge, in both hierarchies, keeps its lesser one.
    segments = np.array([[0, 0, 1, 3], [1, 0, 2, 3], [2, 0, 3, 3]])
    left, right, whole = [0, 0, 2, 3], [1, 0, 3, 3], [0, 0, 3, 3]
    search, draws = SelectiveSearch(min_side=0), []

    class Numbers:
        def random(self, count):
            draws.append(count)
            return np.array([0.9, 0.1, 0.8, 0.2, 0.1, 0.2, 0.9])

    monkeypatch.setattr("detkit.proposals.selective_search.content_rng", lambda image: Numbers())
    monkeypatch.setattr(
        search, "_groupings", lambda image: [(segments, [np.array([left, whole]), np.array([right, whole])])]
    )
    boxes, priorities = search._ranked(np.zeros((3, 3, 3), np.uint8))
    assert draws == [7]
    assert priorities.tolist() == pytest.approx([0.1, 0.3, 0.6, 1.6, 1.8, 2.7])
    assert boxes.tolist() == [whole, *segments[:2].tolist(), right, left, segments[2].tolist()]


def test_boxes_of_exactly_min_side_stay(blocks):
    every, large = (SelectiveSearch(min_side=s).propose(blocks).boxes for s in (0, 20))
    sides = every.tensor[:, 2:] - every.tensor[:, :2]
    assert torch.equal(large.tensor, every.tensor[(sides >= 20).all(1)])
    assert (80, 70, 100, 90) in as_set(large)


def test_large_regions_tend_to_come_first(noise):
    areas = SelectiveSearch(min_side=0).propose(noise).boxes.area()
    half = len(areas) // 2
    assert areas[:half].mean() > 1.5 * areas[half:].mean()


def test_answer_does_not_depend_on_earlier_calls_or_threads(blocks, noise):
    threads = cv2.getNumThreads()
    search = SelectiveSearch()
    first = search.propose(noise)
    search.propose(blocks)
    cv2.setNumThreads(1)
    try:
        again = search.propose(noise.copy())
    finally:
        cv2.setNumThreads(threads)
    assert torch.equal(first.boxes.tensor, again.boxes.tensor)
    assert torch.equal(first.objectness, again.objectness)


def test_width_searches_a_smaller_image_and_maps_back(blocks):
    large = cv2.resize(blocks, (360, 288), interpolation=cv2.INTER_NEAREST)
    found = SelectiveSearch(width=120).propose(large)
    assert found.image_size == (288, 360)
    # The image is three times as large as the one searched, so all coordinates are multiples of 3.
    assert torch.allclose(found.boxes.tensor / 3, (found.boxes.tensor / 3).round(), atol=1e-4)
    assert Boxes.of([[30, 60, 180, 180]]).iou(found.boxes).max() > 0.8


def test_min_side_counts_pixels_of_the_image_not_of_the_one_that_is_searched(blocks):
    # The blue block has 60 px here and 10 px in the picture that is searched.
    large = cv2.resize(blocks, (360, 288), interpolation=cv2.INTER_NEAREST)
    every, found, larger = (SelectiveSearch(width=60, min_side=s).propose(large).boxes for s in (0, 20, 100))
    assert Boxes.of([[240, 210, 300, 270]]).iou(found).max() > 0.8
    sides = every.tensor[:, 2:] - every.tensor[:, :2]
    assert torch.equal(larger.tensor, every.tensor[(sides >= 100).all(1)])
    assert 0 < len(larger) < len(found)


@pytest.mark.parametrize("width", [80, 81, 500])
def test_an_image_that_is_no_wider_is_searched_as_it_is(noise, width):
    as_it_is, found = (SelectiveSearch(width=w).propose(noise) for w in (0, width))
    assert torch.equal(found.boxes.tensor, as_it_is.boxes.tensor)


def test_reach_is_the_iou_of_a_box_whose_short_sides_are_min_side_long():
    # 14 x 14 in 20 x 20: 196 / 400; 10 x 90 in 20 x 90: a half; 20 x 20 and more are not cut at all.
    objects = Boxes.of([[0, 0, 14, 14], [5, 5, 15, 95], [0, 0, 20, 20], [3, 3, 80, 70]])
    assert SelectiveSearch().reach(objects, (100, 100)).tolist() == pytest.approx([0.49, 0.5, 1, 1])
    assert SelectiveSearch(min_side=0).reach(objects, (100, 100)).tolist() == [1, 1, 1, 1]
    assert SelectiveSearch(min_side=101).reach(objects, (100, 300)).tolist() == [0, 0, 0, 0]
    # no box of a fine grid with sides of 20 px and more does better
    grid = SlidingWindow(scales=(0.2, 0.25, 0.4), ratios=(1.0,), stride=0.05).propose(np.zeros((100, 100, 3))).boxes
    assert (objects[:1].iou(grid).max(1).values <= 0.49 + 1e-6).all()


def test_width_of_a_flat_image_keeps_one_row():
    found = SelectiveSearch(width=10, min_side=0).propose(np.zeros((1, 400, 3), np.uint8))
    assert found.boxes.tensor.tolist() == [[0, 0, 400, 1]]


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (3, 7), (1, 300), (300, 1), (19, 40)])
@pytest.mark.parametrize("mode", ["paper", "quality"])
def test_tiny_images_have_no_proposal_of_20_pixels(shape, mode):
    image = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)
    assert len(SelectiveSearch(mode=mode).propose(image)) == 0
    assert len(SelectiveSearch(mode=mode, min_side=0).propose(image)) > 0


def test_constant_image_is_one_region():
    found = SelectiveSearch().propose(np.full((40, 50, 3), 7, np.uint8))
    assert found.boxes.tensor.tolist() == [[0, 0, 50, 40]]
