"""Selective search against the boxes of the original program, and its recall on photographs."""

import numpy as np
import pytest

from detkit.data.images import read_image
from detkit.data.voc import VOC
from detkit.evaluation.recall import ProposalRecall
from detkit.proposals.precomputed import Precomputed
from detkit.proposals.selective_search import SelectiveSearch
from detkit.structures import Detections


def recall_on(dataset, rows, mode):
    """ProposalRecall of some images of a data set."""
    search, judge = SelectiveSearch(mode=mode), ProposalRecall(class_names=dataset.class_names)
    for row in rows:
        found = search.propose(read_image(dataset[row].path))
        judge.add(dataset[row], Detections.of(found.boxes, found.objectness, [0] * len(found)))
    return judge.compute()["ProposalRecall"]


def voc(root, split):
    return VOC(root=str(root), splits=(split,), on_bad="stop", needs_images=True)


@pytest.fixture(scope="module")
def demo(shared):
    """Of two VOC2007 images, the authors' boxes of at least 20 px, the objects, and what paper mode finds."""
    folder, dataset = (
        shared / "data/oracles/fastrcnn_demo_ss_boxes",
        voc(shared / "data/voc2007_test_demo/VOC2007", "test"),
    )
    out = []
    for sample in dataset:
        if sample.image_id in ("000004", "001551"):
            image = read_image(sample.path)
            boxes = Precomputed(path=str(folder), order="x1y1x2y2", base=0).propose(image, sample.image_id).boxes
            large = boxes[((boxes.tensor[:, 2:] - boxes.tensor[:, :2]) >= 20).all(1)]
            out.append((large, sample.annotations.boxes, SelectiveSearch().propose(image).boxes))
    return out


def test_most_of_the_authors_boxes_have_one_of_ours_near(demo):
    # Their file comes from an older program. Found: 0.790 and 0.797, 96 % of them at IoU 0.5; OpenCV's fast mode
    # reaches 0.759 and 0.765, 92 and 91 %.
    for original, _, ours in demo:
        best = original.iou(ours).max(1).values
        assert best.mean() > 0.78
        assert (best >= 0.5).float().mean() > 0.95


def test_objects_that_the_authors_boxes_reach_are_reached(demo):
    reached = [int((truths.iou(ours).max(1).values >= 0.5).sum()) for _, truths, ours in demo]
    assert reached == [len(truths) for _, truths, _ in demo]
    assert sum(reached) == 10


def test_paper_mode_reaches_the_animals_of_a_few_photographs(shared):
    found = recall_on(voc(shared / "data/voc2012_animals5/VOC2012", "test"), range(0, 150, 75), "paper")
    assert found["recall"]["0.5"] == 1.0
    assert 1000 < found["boxes_per_image"] < 3500


@pytest.mark.parametrize(("image_id", "share"), [("000004", 0.039), ("001551", 0.062)])
def test_share_of_segments_among_the_first_boxes_is_that_of_the_authors_order(shared, monkeypatch, image_id, share):
    # The shares are means over 20 seeds of the released program's rule. One seed's share deviates by 0.012, so two
    # means of 20 differ by 0.004, and 0.011 is three times that. A number for each hierarchy gives 0.080 and 0.111.
    image = read_image(shared / f"data/voc2007_test_demo/VOC2007/JPEGImages/{image_id}.jpg")
    search, shares = SelectiveSearch(), []
    groupings = list(search._groupings(image))
    monkeypatch.setattr(search, "_groupings", lambda image: groupings)
    # n of each segment and 0 of each merge, in the order in which numbers are drawn
    places = np.concatenate([np.repeat([0, len(own)], [sum(map(len, merges)), len(own)]) for own, merges in groupings])
    for seed in range(20):
        numbers = np.random.default_rng(seed)
        monkeypatch.setattr("detkit.proposals.selective_search.content_rng", lambda image, own=numbers: own)
        first = search.propose(image).objectness[:300].numpy()
        priorities = places * np.random.default_rng(seed).random(len(places))
        shares.append(np.isin(-first, priorities[places > 0].astype(np.float32)).mean())
    assert np.mean(shares) == pytest.approx(share, abs=0.011)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("mode", "every", "recall", "mabo", "boxes"),
    [
        ("paper", 3, 0.97, 0.85, (1500, 3000)),
        ("fast", 3, 0.95, 0.82, (600, 1500)),
        ("quality", 13, 0.97, 0.82, (1500, 10000)),
    ],
)
def test_recall_on_the_animals(shared, mode, every, recall, mabo, boxes):
    # Every third image: 50 images with 76 objects. Every thirteenth: 12 images, where MABO is .798 for paper, .791 for
    # fast and .830 for quality.
    found = recall_on(voc(shared / "data/voc2012_animals5/VOC2012", "test"), range(0, 150, every), mode)
    assert found["recall"]["0.5"] >= recall
    assert found["MABO"] >= mabo
    assert boxes[0] <= found["boxes_per_image"] <= boxes[1]


@pytest.mark.soak
def test_quality_mode_covers_the_same_animals_better(shared):
    dataset = voc(shared / "data/voc2012_animals5/VOC2012", "test")
    found = {mode: recall_on(dataset, range(0, 150, 13), mode) for mode in ("quality", "paper", "fast")}
    quality = found.pop("quality")
    for other in found.values():
        assert quality["MABO"] >= other["MABO"] + 0.02
        assert quality["recall"]["0.7"] >= other["recall"]["0.7"] + 0.04
