import numpy as np
import pytest
import torch

from detkit.classifiers.softmax import Softmax
from detkit.errors import ConfigError
from detkit.regions.source import LinearHead


def test_scores_are_the_softmax_without_its_last_column():
    head = LinearHead(torch.tensor([[1.0], [2.0], [0.0]]), torch.tensor([0.0, 0.0, 3.0]))
    softmax = Softmax(num_classes=2, feature_dim=1).fit(None, np.random.default_rng(0), head=head)
    # logits 1, 2 and, for background, 3
    e = np.exp([1, 2, 3])
    np.testing.assert_allclose(softmax.score(torch.ones(1, 1)).numpy(), [e[:2] / e.sum()], rtol=1e-6)


def test_the_head_is_copied():
    head = LinearHead(torch.ones(3, 1), torch.ones(3))
    softmax = Softmax(num_classes=2, feature_dim=1).fit(None, np.random.default_rng(0), head=head)
    head.weight.zero_()
    assert softmax.state()["weight"].tolist() == [[1], [1], [1]]


def test_without_a_head_the_error_names_the_stage_and_the_alternative():
    with pytest.raises(ConfigError, match="this network has none; fine-tune it or use LinearSVM"):
        Softmax(num_classes=2, feature_dim=1).fit(None, np.random.default_rng(0))


def test_a_head_of_another_layer_is_an_error_that_names_the_key():
    head = LinearHead(torch.ones(3, 9), torch.ones(3))
    with pytest.raises(ConfigError, match=r"CLASSIFIER.LAYER: .*\(3, 9\), Softmax expected \(3, 4\)"):
        Softmax(num_classes=2, feature_dim=4).fit(None, np.random.default_rng(0), head=head)
