"""Against torchvision's RoIAlign, which loops over sampling points."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F
from torchvision import ops

from detkit.regions.roi_align import roi_align

STRIDE = 8
REGIONS = torch.tensor(
    [
        [0, 10, 20, 70, 60],
        [1, 3.3, 4.7, 90.2, 75.9],
        [0, -40, -25, 50, 40],  # beyond the corner at the origin
        [1, 60, 50, 200, 170],  # beyond the other corner
        [0, -900, -900, -800, -800],  # wholly outside
        [1, 30, 30, 30.5, 30.25],  # far smaller than a cell
        [0, 30, 30, 30, 50],  # without area
        [1, -500, -400, 600, 500],  # far larger than the image
        [0, 0, 0, 104, 72],  # the image
    ]
)


@pytest.fixture
def maps():
    """Two maps of 9 x 13 cells, 72 x 104 pixels."""
    return torch.randn(2, 5, 9, 13, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()


def torchvisions(maps, bins, sampling_ratio):
    return ops.roi_align(maps, REGIONS.to(maps), bins, 1 / STRIDE, sampling_ratio, aligned=True)


@pytest.mark.parametrize("sampling_ratio", [0, 1, 3])
@pytest.mark.parametrize("bins", [(1, 1), (7, 7), (4, 6), (13, 2)])
def test_regions_and_their_gradients_are_those_of_torchvision(maps, bins, sampling_ratio):
    expected = torchvisions(maps, bins, sampling_ratio)
    found = roi_align(maps, REGIONS.double(), bins, stride=STRIDE, sampling_ratio=sampling_ratio)
    torch.testing.assert_close(found, expected)
    pull = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradients = [torch.autograd.grad((out * pull).sum(), maps)[0] for out in (found, expected)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_numbers_are_those_of_torchvision_in_float32_and_near_in_bfloat16(maps, layout):
    single = maps.detach().float().contiguous(memory_format=layout)
    expected = torchvisions(single, (7, 7), 0)
    torch.testing.assert_close(roi_align(single, REGIONS, (7, 7), stride=STRIDE), expected, atol=1e-5, rtol=1e-5)
    half = roi_align(single.bfloat16(), REGIONS, (7, 7), stride=STRIDE)
    assert half.dtype == torch.bfloat16
    # bfloat16 keeps 8 bits: 2**-9 = 0.2 % of a map's cell, a weight and a sum each
    assert (half.float() - expected).norm() < 0.006 * expected.norm()


@pytest.mark.parametrize("cells", [1, 3, 5])
def test_cells_are_the_averages_of_the_bins(maps, cells):
    bins = roi_align(maps, REGIONS, (13, 7), stride=STRIDE)
    averaged = roi_align(maps, REGIONS, (13, 7), stride=STRIDE, cells=cells)
    torch.testing.assert_close(averaged, F.adaptive_avg_pool2d(bins, cells))


def test_no_regions_give_no_rows(maps):
    assert roi_align(maps, REGIONS[:0], (4, 6), stride=STRIDE).shape == (0, 5, 4, 6)
    assert roi_align(maps, REGIONS[:0], (4, 6), stride=STRIDE, cells=3).shape == (0, 5, 3, 3)
