import numpy as np
import pytest
import torch

from detkit.backbones.tiny import TinyNet
from detkit.regions.device_warp import TOGETHER, warp_on_device
from detkit.regions.network import RegionNetwork
from detkit.regions.warp import warp_crops, warp_windows
from detkit.regions.warped_crops import WarpedCrops
from detkit.structures import Boxes
from detkit.system.compute import Compute


def both(image, boxes, flips, *, pixels, size=57, padding=5, mode="warp", context=True):
    windows = warp_windows(np.asarray(boxes), image.shape[:2], size, padding, mode, context)
    expected, _ = warp_crops(image, windows, flips, size, pixels)
    columns = (torch.from_numpy(a) for a in (image, windows.clip, windows.placed(flips), flips))
    return torch.from_numpy(expected), warp_on_device(*columns, size, pixels)


def random_boxes(rng, num, height, width):
    """Boxes of all sizes, some of them partly outside the image, some of a pixel."""
    corners = rng.uniform(-20, 20 + np.array([width, height]), (num, 2, 2))
    low = corners.min(1)
    return np.hstack([low, np.maximum(corners.max(1), low + rng.choice([0.5, 1, 3], (num, 1)))])


@pytest.mark.parametrize(("pixels", "limit"), [("float32", 0.02), ("uint8", 1)])
@pytest.mark.parametrize(("mode", "context"), [("warp", True), ("square", True), ("square", False)])
def test_pixels_are_those_of_the_worker(pixels, limit, mode, context):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (90, 130, 3), np.uint8)
    boxes = random_boxes(rng, TOGETHER + 36, 90, 130)
    flips = rng.random(len(boxes)) < 0.5
    expected, found = both(image, boxes, flips, pixels=pixels, mode=mode, context=context)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    # cv2 weighs in steps of 1/2048 for bytes, and with single-precision positions for floats.
    assert (found.double() - expected.double()).abs().max() <= limit
    assert ((found == 0).all(-1) == (expected == 0).all(-1)).float().mean() > 0.999


def test_a_photograph_differs_by_a_grey_level_in_few_pixels(shared):
    from detkit.data.images import read_image

    file = sorted((shared / "data/voc2007_test_demo/VOC2007/JPEGImages").glob("*.jpg"))[0]
    image, rng = read_image(file), np.random.default_rng(1)
    boxes = random_boxes(rng, 40, *image.shape[:2])
    expected, found = both(image, boxes, rng.random(40) < 0.5, pixels="uint8", size=227, padding=16)
    difference = (found.int() - expected.int()).abs()
    assert difference.max() <= 1
    assert difference.float().mean() < 0.2


def test_no_regions_give_no_crops():
    image = np.zeros((8, 9, 3), np.uint8)
    expected, found = both(image, np.zeros((0, 4)), np.zeros(0, bool), pixels="uint8")
    assert found.shape == expected.shape == (0, 57, 57, 3) and found.dtype == torch.uint8


def test_a_network_that_is_not_on_the_cpu_gets_images(monkeypatch):
    extractor = WarpedCrops(input_size=32, padding=4)
    extractor.run_on(torch.device("cuda"))
    image = np.random.default_rng(2).integers(0, 256, (40, 50, 3), np.uint8)
    boxes = Boxes.of([[3, 4, 30, 20], [10, 10, 50, 40]])
    prepared = extractor.prepare(image, boxes, np.array([True, False]))
    assert "crops" not in prepared and prepared["image"] is image


def test_features_of_both_ways_agree_whatever_the_batch():
    torch.manual_seed(0)
    backbone, compute = TinyNet(input_size=32, width=8, fc_dim=16), Compute.resolve(device="cpu", dtype="float32")
    image = np.random.default_rng(3).integers(0, 256, (60, 80, 3), np.uint8)
    boxes = Boxes.of(random_boxes(np.random.default_rng(4), 13, 60, 80))
    found = {}
    for device in ("cpu", "cuda"):
        network = RegionNetwork(backbone, WarpedCrops(input_size=32, padding=4), compute=compute, batch=5)
        network.extractor.run_on(torch.device(device))
        found[device] = network.of_image(image, boxes, ["fc7"])["fc7"]
    assert found["cuda"].shape == (13, 16)
    torch.testing.assert_close(found["cuda"], found["cpu"], rtol=0.02, atol=0.02)
    assert not torch.equal(found["cuda"][0], found["cuda"][1])
