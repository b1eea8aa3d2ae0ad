from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from detkit.backbones.tiny import TinyNet
from detkit.data.images import read_image, sample_image
from detkit.regions.features import CompletedFeatures, ComputedFeatures, StoredFeatures, feature_file
from detkit.regions.index import RegionIndex
from detkit.regions.network import RegionNetwork
from detkit.regions.warped_crops import WarpedCrops
from detkit.run.shards import save_tensors
from detkit.structures import Boxes, Proposals, Sample
from detkit.system.compute import Compute


@pytest.fixture
def computed(tmp_path):
    """Five regions of one image and one of another, in network passes of two."""
    rng = np.random.default_rng(0)
    samples, found = [], []
    for name, count in (("a", 5), ("b", 1)):
        cv2.imwrite(str(tmp_path / f"{name}.png"), rng.integers(0, 256, (30, 30, 3), np.uint8))
        samples.append(Sample(name, tmp_path / f"{name}.png", (30, 30)))
        found.append(Proposals.unranked(Boxes.of([[0, 0, 10 + i, 20] for i in range(count)]), (30, 30)))
    torch.manual_seed(0)
    backbone = TinyNet(input_size=16, width=4, fc_dim=8)
    compute = Compute.resolve(dtype="float32", device="cpu", compile=False)
    network = RegionNetwork(backbone, WarpedCrops(input_size=16, padding=2), compute=compute, batch=2)
    return ComputedFeatures(RegionIndex.build(samples, found, 2, with_truths=False), network, workers=0)


def test_an_image_of_several_passes_is_decoded_once(computed, monkeypatch):
    seen = []

    def read(sample):
        seen.append(sample.path.stem)
        return sample_image(sample)

    monkeypatch.setattr("detkit.regions.features.sample_image", read)
    sizes = [(image, len(layers["fc7"])) for image, layers in computed.images(computed.every_row(), ["fc7"])]
    assert sizes == [(0, 5), (1, 1)]
    assert seen == ["a", "b"]


def test_rows_are_those_of_the_image_alone(computed):
    for image, layers in computed.images(computed.every_row(), ["fc7"]):
        sample, rows = computed.index.samples[image], computed.index.rows(image)
        alone = computed.network.of_image(read_image(sample.path), computed.index.boxes[rows], ["fc7"])
        torch.testing.assert_close(layers["fc7"], alone["fc7"])


@pytest.fixture
def rows_computed(monkeypatch):
    """How many regions each network pass was given."""
    counts, forward = [], RegionNetwork.forward

    def counting(self, inputs, layers):
        counts.append(sum(len(one["valid"]) for one in inputs))
        return forward(self, inputs, layers)

    monkeypatch.setattr(RegionNetwork, "forward", counting)
    return counts


def test_equal_boxes_of_an_image_are_computed_once(computed, rows_computed):
    different = {image: layers["fc7"] for image, layers in computed.images(computed.every_row(), ["fc7"])}
    assert sum(rows_computed) == 6
    rows_computed.clear()
    # the image's five boxes in another order, three of them again; the other image's box is equal to the first one
    order = np.array([3, 0, 3, 1, 4, 2, 0, 3])
    found = dict(computed.images([(0, order), (1, np.array([5, 5]))], ["fc7"]))
    assert rows_computed == [2, 2, 2]
    assert torch.equal(found[0]["fc7"], different[0][order])
    assert torch.equal(found[1]["fc7"], different[1][[0, 0]])
    rows_computed.clear()
    image, boxes = read_image(computed.index.samples[0].path), computed.index.boxes[:5]
    alone = computed.network.of_image(image, boxes[order], ["fc7"])["fc7"]
    assert sum(rows_computed) == 5
    assert torch.equal(alone, computed.network.of_image(image, boxes, ["fc7"])["fc7"][order])


def test_layers_that_are_stored_are_read_and_others_computed_in_one_pass(computed, rows_computed, tmp_path):
    for image, layers in computed.images(computed.every_row(), ["fc7"]):
        rows = torch.arange(len(layers["fc7"]))
        save_tensors(feature_file(tmp_path, image), {"fc7": layers["fc7"].half(), "fc7.rows": rows})
    rows_computed.clear()
    features = CompletedFeatures(StoredFeatures(computed.index, tmp_path, {"fc7": 8}), computed)
    read = [layers["fc7"] for _, layers in features.images(computed.every_row(), ["fc7"])]
    assert not rows_computed
    both = [layers for _, layers in features.images(computed.every_row(), ["fc7", "pool5"])]
    assert sum(rows_computed) == 6
    assert all(torch.equal(one, layers["fc7"]) and "pool5" in layers for one, layers in zip(read, both, strict=True))
    assert features.dim("pool5") == both[0]["pool5"].shape[1]
