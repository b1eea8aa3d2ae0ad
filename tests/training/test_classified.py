import cv2
import numpy as np
import pytest

from detkit.errors import DataError
from detkit.structures import Annotations, Boxes, Sample
from detkit.system.world import World
from detkit.training.classified import CentreBatches, ClassifiedImages, CropBatches


def crops(dataset, batch_size=4, *, side=9, crop=8, mirror=False):
    return CropBatches(ClassifiedImages.of(dataset), batch_size, side, crop, mirror=mirror, seed=3)


def test_every_epoch_shows_every_image_once_in_another_order(classified):
    # 6 images in batches of 4: batches 0, 1 and 2 are exactly two epochs, and batch 1 runs across the end of the first
    make = crops(classified(6))
    rows = np.concatenate([make.rows(i) for i in range(3)])
    assert sorted(rows[:6]) == sorted(rows[6:]) == [0, 1, 2, 3, 4, 5]
    assert rows[:6].tolist() != rows[6:].tolist()
    assert np.array_equal(make.rows(1), rows[4:8])


def test_a_batch_larger_than_the_set_runs_through_it_again(classified):
    assert np.bincount(crops(classified(3), 9).rows(2)).tolist() == [3, 3, 3]


def test_images_are_resized_whatever_their_aspect_and_cropped(classified):
    dataset = classified(2)
    make = crops(dataset, 40)
    batch = make(0)
    assert batch.inputs.shape == (40, 8, 8, 3)
    assert batch.inputs.dtype == np.uint8
    assert batch.targets["labels"].tolist() == [int(name.removeprefix("image")) for name in batch.image_ids]
    # each crop is one of the four 8x8 windows of its own image at 9x9, and all four occur
    found = set()
    for pixels, row in zip(batch.inputs, make.rows(0), strict=True):
        image = cv2.resize(cv2.imread(str(dataset[row].path))[..., ::-1], (9, 9))
        found |= {(y, x) for y in (0, 1) for x in (0, 1) if np.array_equal(image[y : y + 8, x : x + 8], pixels)}
    assert found == {(0, 0), (0, 1), (1, 0), (1, 1)}


@pytest.fixture
def ruler(classified, tmp_path):
    """One 512 x 768 image that, resized to 256 x 256, holds its own column in red and its own row in green.

    Half as wide, column i lies between columns 2i and 2i + 1, which are both of value i; a third as high, row j is the
    middle one of three rows of value j.
    """
    pixels = np.zeros((768, 512, 3), np.uint8)
    pixels[..., 0] = np.arange(512) // 2
    pixels[..., 1] = (np.arange(768) // 3)[:, None]
    dataset = classified(1)
    cv2.imwrite(str(dataset[0].path), pixels[..., ::-1])
    return dataset


def test_caffenet_s_crops_lie_anywhere_in_the_resized_image_and_are_mirrored_whole(ruler):
    make = CropBatches(ClassifiedImages.of(ruler), 48, 256, 227, mirror=True, seed=3)
    corners, flips = set(), 0
    for pixels in make(0).inputs:
        columns, rows = pixels[..., 0].astype(int), pixels[..., 1].astype(int)
        is_mirrored = bool(columns[0, 0] > columns[0, -1])
        columns = columns[:, ::-1] if is_mirrored else columns
        x, y = columns[0, 0], rows[0, 0]
        assert np.array_equal(columns, np.broadcast_to(np.arange(x, x + 227), (227, 227)))
        assert np.array_equal(rows, np.broadcast_to(np.arange(y, y + 227)[:, None], (227, 227)))
        assert 0 <= x <= 29 and 0 <= y <= 29
        corners.add((x, y))
        flips += is_mirrored
    # 48 draws out of 900 corners: about one meets another; a fair coin gives 12 to 36 heads but once in 2,000
    assert len(corners) > 40
    assert 12 <= flips <= 36


def test_caffenet_s_centre_crop_begins_at_14(ruler):
    (pixels,) = CentreBatches(ClassifiedImages.of(ruler), 1, 256, 227)(0).inputs
    assert pixels[0, 0].tolist() == [14, 14, 0]
    assert pixels[-1, -1].tolist() == [14 + 226, 14 + 226, 0]


def test_half_of_the_crops_are_mirrored(classified):
    # side = crop: nothing but the mirror varies. 400 draws: within 0.12 of one half but once in a million
    plain, mirrored = crops(classified(1), 400, side=8), crops(classified(1), 400, side=8, mirror=True)
    original, drawn = plain(0).inputs[0], mirrored(0).inputs
    is_mirrored = [np.array_equal(pixels, original[:, ::-1]) for pixels in drawn]
    assert all(m or np.array_equal(pixels, original) for m, pixels in zip(is_mirrored, drawn, strict=True))
    assert abs(np.mean(is_mirrored) - 0.5) < 0.12


def test_validation_takes_the_centre_of_every_image_in_order(classified):
    # 14 of 256 - 227 in CaffeNet; here (11 - 8) // 2 = 1
    dataset = classified(5)
    val = CentreBatches(ClassifiedImages.of(dataset), 2, 11, 8)
    batches = [val(i) for i in range(len(val))]
    assert [len(b.targets["labels"]) for b in batches] == [2, 2, 1]
    assert [name for b in batches for name in b.image_ids] == [f"image{i}" for i in range(5)]
    image = cv2.resize(cv2.imread(str(dataset[4].path))[..., ::-1], (11, 11))
    assert np.array_equal(batches[2].inputs[0], image[1:9, 1:9])


@pytest.mark.parametrize("count", [0, 2])
def test_an_image_without_one_class_is_named(classified, count):
    dataset = classified(2)
    annotations = Annotations.of(Boxes.of([[0, 0, 5, 5]] * count), [0] * count)
    dataset.samples[1] = Sample("image1", dataset[1].path, (10, 14), annotations)
    with pytest.raises(
        DataError, match=rf"image image1 \(.*image1.png\) has {count} annotations, expected exactly one"
    ):
        ClassifiedImages.of(dataset)


def test_an_image_of_a_split_without_annotations_is_named(classified):
    dataset = classified(1)
    dataset.samples[0] = Sample("image0", dataset[0].path, (10, 14), None)
    with pytest.raises(DataError, match="has 0 annotations"):
        ClassifiedImages.of(dataset)


def test_processes_share_the_pictures_of_a_batch(classified):
    make = crops(classified(5), 4, mirror=True)
    whole, parts = make(1), [make(1, World(rank, 3)) for rank in range(3)]
    assert [len(part.targets["labels"]) for part in parts] == [2, 1, 1]
    assert {part.total for part in parts} == {4}
    for rank, part in enumerate(parts):
        assert np.array_equal(part.inputs, whole.inputs[rank::3])
        assert np.array_equal(part.targets["labels"], whole.targets["labels"][rank::3])
        assert part.image_ids == whole.image_ids[rank::3]
