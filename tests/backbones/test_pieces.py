from __future__ import annotations

import pytest
import torch

from detkit.backbones import pieces as module
from detkit.backbones.pieces import pieces


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((0, 10), []),
        ((1, 10), [[0]]),
        ((7, 10), [[0, 1, 2], [3, 4, 5], [6]]),  # three images of 10 numbers fit into 30
        ((2, 31), [[0], [1]]),  # an image is never cut
    ],
)
def test_a_piece_holds_as_many_images_as_fit_but_at_least_one(shape, expected, monkeypatch):
    monkeypatch.setattr(module, "PIECE_NUMBERS", 30)
    assert [list(range(shape[0]))[few] for few in pieces(torch.zeros(shape))] == expected


@pytest.mark.parametrize(("count", "expected"), [(0, []), (7, [(0, 7)])])
def test_images_elsewhere_than_on_the_cpu_are_one_piece(count, expected, monkeypatch):
    monkeypatch.setattr(module, "PIECE_NUMBERS", 1)
    assert [(few.start, few.stop) for few in pieces(torch.zeros(count, 10, device="meta"))] == expected
