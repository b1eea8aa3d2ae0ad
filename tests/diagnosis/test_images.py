from detkit.diagnosis import worst_images
from tests.diagnosis.scenes import outcome

BOX, FAR = (0, 0, 100, 100), (500, 500, 600, 600)


def test_most_mistakes_come_first_then_the_lower_f1():
    truths = [(0, "cat", BOX), (1, "cat", BOX), (1, "cat", FAR), (2, "dog", BOX)]
    dets = [(0, "cat", BOX, 0.9), (1, "cat", BOX, 0.9), (1, "dog", BOX, 0.1), (2, "cat", BOX, 0.9)]
    found = worst_images(outcome(truths, dets, images=4), 0.5)
    assert [(one.image_id, one.right, one.wrong, one.missed) for one in found] == [
        ("image2", 0, 1, 1),
        ("image1", 1, 0, 1),
        ("image0", 1, 0, 0),
        ("image3", 0, 0, 0),
    ]
    assert [one.f1 for one in found] == [0, 2 / 3, 1, 1]


def test_ignored_objects_are_neither_missed_nor_wrong():
    found = worst_images(outcome([(0, "cat", BOX, "difficult")], [(0, "cat", BOX, 0.9)]), 0.5)
    assert (found[0].right, found[0].wrong, found[0].missed) == (0, 0, 0)
