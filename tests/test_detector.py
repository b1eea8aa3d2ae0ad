import pytest
import torch

from detkit.box_heads.identity import Identity
from detkit.classifiers.linear_svm import LinearSVM
from detkit.detector import RegionScorer
from detkit.postprocess import Postprocess
from detkit.structures import Boxes


class ToTheRight(Identity):
    """Moves every box by 5 pixels."""

    def refine(self, features, boxes, labels):
        return Boxes(boxes.tensor + torch.tensor([5.0, 0, 5, 0]))


@pytest.fixture
def scorer():
    """One class whose margin is the feature."""
    svm = LinearSVM(num_classes=1, feature_dim=1)
    svm.load({"weight": torch.ones(1, 1), "bias": torch.zeros(1), "scale": torch.ones(())})
    return RegionScorer(svm, "fc7", ToTheRight(num_classes=1, feature_dim=1), "pool5")


@pytest.mark.parametrize(("above", "lefts"), [(None, [5, 5, 5]), (0.0, [5, 0, 0])])
def test_candidates_are_moved_whatever_their_score_unless_only_those_above_a_score_shall(scorer, above, lefts):
    features = {"fc7": torch.tensor([[-1.0], [2.0], [0.0]])}
    found = scorer.candidates(Boxes.of([[0, 0, 9, 9]] * 3), features, Postprocess(refine_above=above))
    assert found.scores.tolist() == [2, 0, -1]
    assert found.refined.tensor[:, 0].tolist() == lefts
    assert found.boxes.tensor[:, 0].tolist() == [0, 0, 0]
