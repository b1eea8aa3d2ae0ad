"""A network of a few hundred weights, and the processor to run it on."""

import pytest

from detkit.backbones.tiny import TinyNet
from detkit.system.compute import Compute
from detkit.system.seeding import torch_seed


@pytest.fixture
def backbone():
    """Makes the same untrained network again and again."""

    def make():
        with torch_seed(0, "tiny"):
            return TinyNet(input_size=8, width=4, fc_dim=8)

    return make


@pytest.fixture
def cpu():
    return Compute.resolve(device="cpu", dtype="float32")
