import pytest
import torch

from detkit.backbones.base import LayerSpec
from detkit.classifiers.linear_svm import LinearSVM
from detkit.classifiers.softmax import Softmax
from detkit.detection.shares import Shares

FC = LayerSpec((4,))


def svm(bias=0.5):
    """w = (1, -2, 0, 4) for features that are halved."""
    made = LinearSVM(num_classes=1, feature_dim=4)
    weight = torch.tensor([[1.0, -2.0, 0.0, 4.0]])
    made.load({"weight": weight, "bias": torch.tensor([bias]), "scale": torch.tensor(0.5)})
    return made


def test_shares_are_weight_times_value_and_add_up_to_the_margin():
    x = torch.tensor([2.0, 3.0, 7.0, 1.0])
    found = Shares.of(svm(), x, 0, "fc7", FC, most=1)
    # .5*2 = 1, -1*3 = -3, 0*7, 2*1 = 2 and the bias of .5
    assert (found.output, found.bias, found.support, found.against, found.total) == ("margin", 0.5, 3.0, -3.0, 0.5)
    assert (found.num_support, found.num_against) == (2, 1)
    assert [(one.unit.number, one.value, one.weight, one.share) for one in found.largest] == [
        (3, 1, 2, 2),
        (1, 3, -1, -3),
    ]
    assert found.total == pytest.approx(float(svm().score(x[None])[0, 0]))


def test_of_probabilities_the_logit_is_taken_apart():
    made = Softmax(num_classes=1, feature_dim=4)
    made.load({"weight": torch.tensor([[1.0, 0, 0, 0], [0, 1, 0, 0]]), "bias": torch.tensor([0.25, 0.0])})
    found = Shares.of(made, torch.tensor([2.0, 1.0, 0, 0]), 0, "fc7", FC, most=3)
    assert (found.output, found.total, [one.share for one in found.largest]) == ("logit", 2.25, [2.0])


def test_what_is_not_linear_or_never_fires_has_no_shares():
    made = svm()
    made.linear = lambda: None
    assert Shares.of(made, torch.ones(4), 0, "fc7", FC, most=3) is None
    assert Shares.of(svm(-float("inf")), torch.ones(4), 0, "fc7", FC, most=3) is None
