import numpy as np
import torch
from torchvision.ops import nms

from detkit.diagnosis.suppression import NO_AREA, STAYS, suppressors
from tests.diagnosis.test_lost import BOX, FAR, NEAR


def test_suppression_is_greedy_and_a_tie_goes_to_the_lower_row():
    boxes = np.array([BOX, NEAR, FAR, BOX, (5, 5, 5, 9)], float)
    # 1 wins over 0 and 3; 2 stands alone; the last has no area
    assert suppressors(boxes, np.array([0.5, 0.9, 0.1, 0.5, 1]), 0.3).tolist() == [1, STAYS, STAYS, 1, NO_AREA]
    assert suppressors(boxes[[0, 3]], np.array([0.5, 0.5]), 0.3).tolist() == [STAYS, 0]


def test_suppression_equals_torchvisions():
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 100, (60, 2))
    boxes, scores = np.concatenate([corners, corners + rng.integers(10, 60, (60, 2))], 1).astype(float), rng.random(60)
    kept = nms(torch.from_numpy(boxes), torch.from_numpy(scores), 0.3).tolist()
    assert sorted(kept) == np.flatnonzero(suppressors(boxes, scores, 0.3) == STAYS).tolist()
