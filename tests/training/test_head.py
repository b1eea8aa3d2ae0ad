import torch
from torch import nn
from torch.testing import assert_close

from detkit.training.head import NewHead


def features():
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.rand(50, 6, generator=generator) + 5


def test_uncalibrated_head_is_the_plain_layer_to_the_bit():
    linear = nn.Linear(6, 3)
    head = NewHead(linear)
    assert torch.equal(head(features()), linear(features()))
    assert torch.equal(head.folded().weight, linear.weight)
    assert torch.equal(head.folded().bias, linear.bias)


def test_calibrated_features_are_centred_with_the_asked_mean_norm():
    head = NewHead(nn.Linear(6, 3))
    head.calibrate(features(), 20.0)
    seen = (features() - head.mean) * head.scale
    assert_close(seen.mean(0), torch.zeros(6), atol=1e-4, rtol=0)
    assert_close(seen.norm(dim=1).mean(), torch.tensor(20.0))


def test_folded_head_gives_the_same_scores_on_features_as_they_are():
    head = NewHead(nn.Linear(6, 3))
    head.calibrate(features(), 20.0)
    assert_close(head.folded()(features()), head(features()), atol=1e-4, rtol=1e-5)


def test_features_that_are_all_alike_stay_finite():
    head = NewHead(nn.Linear(6, 3))
    head.calibrate(torch.ones(4, 6), 20.0)
    assert bool(torch.isfinite(head(torch.ones(4, 6))).all())
