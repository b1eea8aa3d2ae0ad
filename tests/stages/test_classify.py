import numpy as np
import pytest
import torch

from detkit.classifiers.linear_svm import LinearSVM
from detkit.cli.main import main
from detkit.errors import DetkitError
from detkit.stages.classify import refuse_silent

SQUARE, FAR = [0, 0, 20, 20], [60, 60, 90, 90]


class OneClass(LinearSVM):
    """Fires for class 1 wherever the first feature is above a limit."""

    limit = 0.5

    def score(self, features):
        scores = torch.full((len(features), self.num_classes), -torch.inf)
        scores[features[:, 0] > self.limit, 1] = 0.0
        return scores


@pytest.fixture
def source(make_index, array_source):
    index = make_index([([SQUARE], [i % 2], [FAR]) for i in range(3)], 2)
    return array_source(index, np.arange(6)[:, None] / 5)


def test_a_class_that_fires_somewhere_is_enough(source):
    # the truths are rows 0, 2 and 4, with features of 0, 0.4 and 0.8
    refuse_silent(OneClass(num_classes=2, feature_dim=1), source)


def test_a_classifier_that_fires_for_none_of_its_own_objects_is_refused_by_name(source):
    # the last proposal's feature of 1 is above the limit, but it is no object
    silent = OneClass(num_classes=2, feature_dim=1)
    silent.limit = 0.9
    with pytest.raises(DetkitError, match=r"OneClass has learnt no class: each scores -inf for all of 3 ground truths"):
        refuse_silent(silent, source)


def test_a_run_whose_classes_never_fire_ends_with_one_line(trained, capsys, monkeypatch):
    monkeypatch.setattr(LinearSVM, "fit_together", lambda *given, **options: None)
    assert main(["train", "--config", str(trained), "--from", "classify"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "learnt no class" in line]
    assert "LinearSVM has learnt no class: each scores -inf for all of 16 ground truths of DATA.TRAIN" in line
    assert "check DATA.TRAIN, PROPOSALS and the keys of CLASSIFIER.LinearSVM" in line


def test_a_run_with_a_negative_iou_of_zero_learns_its_classes(trained, capsys):
    assert main(["train", "--config", str(trained), "CLASSIFIER.LinearSVM.NEGATIVE_IOU=0"]) == 0
    assert "never fires" not in capsys.readouterr().out
