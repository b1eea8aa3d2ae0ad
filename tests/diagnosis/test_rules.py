from detkit.diagnosis import ap_by_iou, pr_curves, voc_against_coco
from detkit.evaluation.coco import COCO
from tests.diagnosis.scenes import RANDOM, outcome, random_outcome
from tests.diagnosis.test_matching import evaluated, with_float_scores

BOX = (0, 0, 100, 100)
CAT = (0, "cat", BOX)


def changes(one):
    return {change.rule: change for change in voc_against_coco(one).changes}


def test_the_ends_of_the_way_are_vocs_and_cocos_numbers():
    one = with_float_scores(RANDOM["all"])
    lines = voc_against_coco(one)
    found = [change.mean_ap for change in lines.changes]
    curves = [curve for curve in pr_curves(one) if curve.ap is not None]
    coco = evaluated(COCO(class_names=one.class_names), one).compute()["COCO"]
    assert abs(found[0] - sum(c.ap_11_points for c in curves) / len(curves)) < 1e-12
    assert abs(found[1] - sum(c.ap for c in curves) / len(curves)) < 1e-12
    assert abs(found[-2] - coco["AP50"]) < 1e-9
    assert abs(found[-1] - coco["AP"]) < 1e-9
    assert sum(change.change for change in lines.changes[1:]) - (found[-1] - found[0]) < 1e-12


def test_areas_equal_pycocotools_at_one_overlap():
    one = random_outcome(9, images=10)
    at_half = COCO(class_names=one.class_names)
    evaluated(at_half, one)
    from pycocotools.cocoeval import COCOeval

    truths, dets = at_half._index(at_half._truths), at_half._index(at_half._detections)
    for entry in truths.dataset["annotations"]:
        entry.pop("ignored")
    theirs = COCOeval(truths, dets, "bbox")
    theirs.evaluate()
    theirs.accumulate()
    for place, (name, found) in enumerate(voc_against_coco(one).areas.items(), start=1):
        precision = theirs.eval["precision"][0, :, :, place, 2]
        known = precision[precision > -1]
        assert found.ap50 is None if not len(known) else abs(known.mean() - found.ap50) < 1e-9, name


def test_a_free_object_behind_a_taken_one_is_told():
    truths = [CAT, (0, "cat", (0, 0, 100, 55))]
    found = changes(outcome(truths, [(*CAT, 0.9), (0, "cat", (0, 0, 100, 90), 0.8)]))["best free object"]
    assert found.verdicts == 1
    assert "1 detections find it taken and another free" in found.why


def test_a_crowd_takes_many_for_coco_alone():
    truths = [CAT, (0, "cat", (200, 200, 400, 400), "crowd")]
    dets = [(0, "cat", (250, 250, 300, 300), 0.9), (0, "cat", (300, 300, 350, 350), 0.8), (*CAT, 0.7)]
    found = changes(outcome(truths, dets))
    assert found["best free object"].mean_ap < 0.34
    assert (found["crowds by what lies inside"].mean_ap, found["crowds by what lies inside"].verdicts) == (1, 2)


def test_detections_beyond_the_hundredth_are_told():
    dets = [(0, "cat", (500, 500, 600, 600), 0.9 - 0.001 * i) for i in range(100)] + [(*CAT, 0.1)]
    found = changes(outcome([CAT], dets))["100 detections of an image and class (AP50)"]
    assert (found.mean_ap, found.why) == (0, "1 detections are beyond")


def test_ap_falls_with_the_overlap():
    found = ap_by_iou(outcome([CAT], [(0, "cat", (0, 0, 100, 72), 0.9)]))
    assert found.voc[0].tolist() == [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]


def test_a_strict_overlap_is_a_rule_of_its_own():
    half = outcome([CAT], [(0, "cat", (0, 0, 100, 50), 0.9)])
    found = {change.rule: change for change in voc_against_coco(half, strict=True).changes}
    assert [found[name].mean_ap for name in ("VOC07", "VOC10", "101 recalls")] == [0, 0, 0]
    enough = found["IoU 0.5 is enough"]
    assert (enough.mean_ap, enough.change, enough.verdicts) == (1, 1, 1)
    assert enough.why.endswith("1 detections have exactly 0.5")
    assert "IoU 0.5 is enough" not in changes(half) and changes(half)["VOC07"].mean_ap == 1
