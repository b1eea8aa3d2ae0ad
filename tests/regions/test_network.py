import numpy as np
import torch

from detkit.backbones.tiny import TinyNet
from detkit.regions.network import RegionNetwork
from detkit.regions.warped_crops import WarpedCrops
from detkit.structures import Boxes
from detkit.system.compute import Compute


def test_nothing_is_dropped_from_features_though_the_backbone_is_in_train_mode():
    torch.manual_seed(0)
    backbone = TinyNet(input_size=16, fc_dim=64, dropout=0.5).train()
    compute = Compute.resolve(dtype="float32", device="cpu", compile=False)
    network = RegionNetwork(backbone, WarpedCrops(input_size=16, padding=2), compute=compute, batch=2)
    image = np.random.default_rng(0).integers(0, 256, (30, 30, 3), np.uint8)
    boxes = Boxes.of([[0, 0, 20, 20], [5, 5, 30, 25]])
    first, again = (network.of_image(image, boxes, ["fc6", "fc7"]) for _ in range(2))
    # Half of fc6 is above 0; with dropout a quarter of it would be, another quarter each time.
    assert (first["fc6"] > 0).float().mean() > 0.35
    for layer, values in first.items():
        assert torch.equal(values, again[layer])
    assert backbone.training
