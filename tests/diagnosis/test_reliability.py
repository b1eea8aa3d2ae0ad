import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from detkit.diagnosis import reliability, voc_verdicts
from tests.diagnosis.scenes import outcome, random_outcome

CAT = (0, "cat", (0, 0, 100, 100))


def test_bins_equal_scikit_learn():
    one = random_outcome(8, difficult=0.2)
    found, verdicts = reliability(one, one.det_scores), voc_verdicts(one)
    counted = ~verdicts.ignored
    accuracy, confidence = calibration_curve(verdicts.right[counted], one.det_scores[counted], n_bins=10)
    there = found.counts > 0
    assert found.accuracy[there] == pytest.approx(accuracy)
    assert found.confidence[there] == pytest.approx(confidence)
    assert found.counts.sum() == counted.sum()


def test_calibration_error_by_hand():
    # 0.95 right; 0.9 and 0.85 wrong, on the upper edge and inside of one bin
    dets = [(*CAT, 0.95), (*CAT, 0.9), (*CAT, 0.85)]
    found = reliability(outcome([CAT], dets), np.array([0.95, 0.9, 0.85]))
    assert found.counts[-2:].tolist() == [2, 1]
    assert found.ece == pytest.approx((2 * 0.875 + 0.05) / 3)
    assert found.mce == pytest.approx(0.875)


def test_no_detections_have_no_calibration_error():
    assert reliability(outcome([CAT], []), np.zeros(0)).ece is None


def test_scores_that_are_no_probabilities_are_refused():
    with pytest.raises(ValueError, match=r"expected probabilities from 0 to 1, got -1\.0 to -1\.0"):
        reliability(outcome([CAT], [(*CAT, -1.0)]), np.array([-1.0]))
