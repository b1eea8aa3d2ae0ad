"""Each step at which an object can get lost, by a scene of a few boxes."""

import numpy as np

from detkit.diagnosis import Trace, lost_objects
from detkit.diagnosis.lost import NOT_IN_FILES
from tests.diagnosis.scenes import outcome

BOX, NEAR, HALF, FAR = (0, 0, 100, 100), (0, 0, 100, 90), (0, 0, 100, 45), (500, 500, 600, 600)
CAT = (0, "cat", BOX)


def traced(proposals, candidates, *, limits=(-np.inf,) * 3, top=100, nms=0.3, one_class=False, again=None):
    """One image; candidates are (proposal, class number, score, box after the box head)."""
    rows, labels, scores, refined = zip(*candidates) if candidates else ((), (), (), ())
    scores, labels = np.array(scores, float), np.array(labels, np.int64)
    return Trace(
        proposal_boxes=np.array(proposals, float).reshape(-1, 4),
        proposal_offsets=np.array([0, len(proposals)]),
        rows=np.array(rows, np.int64),
        labels=labels,
        scores=scores,
        offsets=np.array([0, len(rows)]),
        kept=scores >= np.array(limits)[labels],
        refined=np.array(refined, float).reshape(-1, 4),
        refined_scores=scores if again is None else np.array(again, float),
        set_limits=np.array(limits),
        top_per_image=top,
        nms_iou=nms,
        one_class_per_region=one_class,
    )


def lost(trace, truths=(CAT,), dets=(), threshold=0.0):
    (found,) = lost_objects(outcome(list(truths), list(dets)), threshold, trace).objects
    return found


def test_no_proposal_reaches_it():
    found = lost(traced([FAR, HALF], [(1, 0, 0.9, BOX)]))
    assert (found.step, found.iou, found.region) == ("proposals", 0.45, HALF)
    assert found.why == "no proposal reaches it: the best of 2 has IoU 0.45"


def test_the_classifier_scores_it_too_low():
    found = lost(traced([BOX, NEAR], [(0, 0, -0.5, BOX), (1, 0, -0.2, NEAR)]))
    assert (found.step, found.score, found.threshold, found.region) == ("score", -0.2, 0, NEAR)
    assert found.why == "its best region scores -0.2, the threshold is 0"


def test_the_class_that_is_shown_in_its_place_is_named():
    found = lost(traced([BOX], [(0, 0, -0.5, BOX), (0, 1, 0.7, BOX)]), dets=[(0, "dog", BOX, 0.7)])
    assert (found.step, found.seen_as) == ("score", "dog")
    assert found.why.endswith("; dog is shown at its place")


def test_the_cap_of_the_image_removed_it():
    # the only candidate of the image lies elsewhere and scores more than the threshold
    found = lost(traced([BOX, FAR], [(1, 0, 0.9, FAR)], top=1))
    assert (found.step, found.iou) == ("cap per image", 1)


def test_what_the_cap_of_the_image_removed_below_the_threshold_was_scored_too_low():
    found = lost(traced([BOX, FAR], [(1, 0, -0.9, FAR)], top=1))
    assert (found.step, found.why) == ("score", "its regions score less than -0.9, the threshold is 0")


def test_a_region_may_go_to_another_class():
    assert lost(traced([BOX], [(0, 1, 0.9, BOX)], one_class=True)).why == "its regions went to other classes"
    assert lost(traced([BOX], [])).why == "the class never fires there"


def test_the_cap_over_the_set_removed_it():
    found = lost(traced([BOX], [(0, 0, 0.4, BOX)], limits=(0.5, 0, 0)))
    assert (found.step, found.score) == ("cap over the set", 0.4)
    assert found.why == "its best region scores 0.4, and the cap over the set leaves 0.5"


def test_the_box_head_moved_it_away():
    found = lost(traced([NEAR], [(0, 0, 0.9, HALF)]))
    assert (found.step, found.iou, found.region) == ("box head", 0.45, HALF)
    assert found.why == "the box head moved its region from IoU 0.90 to 0.45"


def test_a_second_score_after_the_box_head_may_be_too_low():
    found = lost(traced([BOX], [(0, 0, 0.9, BOX)], again=[-0.1]))
    assert (found.step, found.score) == ("score", -0.1)
    assert found.why == "its best region scores -0.1 after the box head, the threshold is 0"


def test_nms_removed_it_and_the_box_that_did_is_told():
    # the winner overlaps the region by 0.5, and the object by less
    winner = (0, -40, 100, 60)
    trace = traced([BOX, winner], [(0, 0, 0.6, (0, 10, 100, 100)), (1, 0, 0.9, (0, 0, 100, 45))])
    found = lost(trace, dets=[(0, "cat", (0, 0, 100, 45), 0.9)])
    assert (found.step, found.score, found.by_score, found.by_box) == ("nms", 0.6, 0.9, (0, 0, 100, 45))
    assert found.why.endswith("a box that scores 0.9 overlaps it by 0.35")


def test_a_detection_on_two_objects_counts_for_one():
    other = (0, "cat", (0, 0, 100, 80))
    found = lost(traced([BOX], [(0, 0, 0.9, BOX)]), truths=[CAT, other], dets=[(0, "cat", BOX, 0.9)])
    assert (found.step, found.box) == ("shared", (0, 0, 100, 80))


def test_an_object_that_is_found_or_ignored_is_not_lost():
    one = outcome([CAT, (0, "dog", FAR, "difficult")], [(*CAT, 0.9)])
    assert lost_objects(one, 0.5).objects == ()
    assert [o.class_name for o in lost_objects(one, 0.95).objects] == ["cat"]


def test_files_alone_tell_scores_and_leave_the_rest_open():
    found = lost_objects(outcome([CAT, (0, "dog", FAR)], [(*CAT, 0.2)]), 0.5)
    assert [one.step for one in found.objects] == ["score", "unknown"]
    assert found.unknown_steps == NOT_IN_FILES
    assert (found.num_truths, found.counts["score"], found.counts["nms"]) == (2, 1, 0)
