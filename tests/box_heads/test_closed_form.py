import pytest
import torch
from torch.testing import assert_close

from detkit.box_heads.closed_form import solve_ridge


def test_one_example_by_hand():
    # minimise (2b - 6)^2 + 2 b^2: b = 2 * 6 / (4 + 2) = 2
    beta = solve_ridge([torch.tensor([[2.0]])], torch.tensor([[6.0]], dtype=torch.float64), 2.0)
    assert_close(beta, torch.tensor([[2.0]], dtype=torch.float64))


@pytest.mark.parametrize("form", ["auto", "primal", "dual"])
def test_parts_give_what_the_whole_gives(form):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(30, 7, generator=generator)
    targets = torch.randn(30, 4, generator=generator, dtype=torch.float64)
    whole = solve_ridge([features], targets, 3.0, form)
    assert_close(solve_ridge(features.split(8), targets, 3.0, form), whole, rtol=1e-12, atol=1e-12)
