"""A small network and a noisy image, for tests of region extractors."""

import numpy as np
import pytest
import torch

from detkit.backbones.tiny import TinyNet


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return TinyNet(input_size=32, width=8, fc_dim=16).eval()


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
