from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from detkit.backbones import pieces
from detkit.backbones.lrn import local_response_norm


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("channels", [5, 6, 96])
def test_equals_torchs_operator(layout, channels):
    x = (100 * torch.randn(2, channels, 7, 6)).contiguous(memory_format=layout)
    torch.testing.assert_close(
        local_response_norm(x), F.local_response_norm(x, 5, 1e-4, 0.75, 1.0), rtol=1e-6, atol=1e-6
    )


def test_equals_the_formula():
    x = np.random.default_rng(0).normal(0, 50, (1, 8, 1, 1))
    expected = [x[0, c, 0, 0] * (2.0 + 1e-4 / 5 * (x[0, max(0, c - 2) : c + 3] ** 2).sum()) ** -0.75 for c in range(8)]
    found = local_response_norm(torch.from_numpy(x).float(), k=2.0)
    np.testing.assert_allclose(found[0, :, 0, 0], expected, rtol=1e-6)


def test_gradient_equals_torchs():
    x = (100 * torch.randn(2, 9, 3, 3)).requires_grad_()
    weight = torch.randn(2, 9, 3, 3)
    (own,) = torch.autograd.grad((local_response_norm(x) * weight).sum(), x)
    (torchs,) = torch.autograd.grad((F.local_response_norm(x, 5, 1e-4, 0.75, 1.0) * weight).sum(), x)
    torch.testing.assert_close(own, torchs, rtol=1e-4, atol=1e-6)


def test_bfloat16_stays_and_is_summed_in_float32():
    x = (300 * torch.randn(1, 16, 4, 4)).bfloat16()
    found = local_response_norm(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), local_response_norm(x.float()), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_images_in_pieces_give_what_they_give_together(dtype, monkeypatch):
    x = (100 * torch.randn(5, 8, 3, 2)).to(dtype).contiguous(memory_format=torch.channels_last)
    together = local_response_norm(x.clone().requires_grad_()).detach()
    monkeypatch.setattr(pieces, "PIECE_NUMBERS", 2 * 8 * 3 * 2)
    with torch.no_grad():
        found = local_response_norm(x)
    assert torch.equal(found, together)
    assert found.stride() == x.stride()


def test_no_images_give_none():
    assert local_response_norm(torch.zeros(0, 8, 2, 2)).shape == (0, 8, 2, 2)
