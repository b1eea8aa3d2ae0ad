from __future__ import annotations

import pytest
import torch

AT = [0.05, 0.1, 0.2, 0.5, 1, 2]
BY_HAND = {1.0: [0.00125, 0.005, 0.02, 0.125, 0.5, 1.5], 3.0: [0.01125, 0.045, 13 / 90, 4 / 9, 17 / 18, 35 / 18]}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("sigma", [1.0, 3.0])
def test_value_and_gradient_by_hand(project, sigma, sign):
    # x^2 sigma^2 / 2 below 1 / sigma^2, then x - 1 / (2 sigma^2): with sigma 3, 0.1 gives 0.045, 0.2 gives
    # 0.2 - 1/18. The slope is sigma^2 x below and 1 from there on.
    for x, value in zip(AT, BY_HAND[sigma], strict=True):
        found = torch.tensor([sign * x + 7], dtype=torch.float64, requires_grad=True)
        loss = project.objective.smooth_l1(found, torch.tensor([7.0], dtype=torch.float64), sigma)
        assert float(loss.detach()) == pytest.approx(value, abs=1e-9)
        loss.backward()
        assert float(found.grad) == pytest.approx(sign * min(sigma**2 * x, 1), abs=1e-9)


def test_differences_are_added_up(project):
    # 0.125 + 0.5 + 1.5 + 0
    found = torch.tensor([[0.5, 1.0], [2.0, 3.0]])
    assert float(project.objective.smooth_l1(found, torch.tensor([[0.0, 2.0], [4.0, 3.0]]), 1.0)) == pytest.approx(
        2.125
    )
