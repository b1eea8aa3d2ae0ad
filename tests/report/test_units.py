"""The regions that excite units most, on features that are given and on a small run."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detkit.backbones.base import LayerSpec
from detkit.detection.units import Unit
from detkit.report import units
from detkit.report.unit_source import UnitSource
from detkit.report.units import TopRegions, diverse, top_regions

SPEC = LayerSpec((2, 1, 2))


class Given:
    """Features of the regions of an index, image by image."""

    def __init__(self, index, values):
        self.index, self.values = index, torch.tensor(values)

    def images(self, requests, layers):
        for image, rows in requests:
            yield image, {layers[0]: self.values[torch.from_numpy(rows)]}

    def every_row(self):
        spans = [self.index.rows(i) for i in range(self.index.num_images)]
        return [(i, np.arange(s.start, s.stop)) for i, s in enumerate(spans)]


class Reader:
    role = "TEST"


@pytest.fixture
def source(make_index):
    """Two images: the first with two boxes that nearly coincide and one apart, the second with one box."""
    near = [[0, 0, 10, 10], [1, 0, 11, 10], [50, 0, 60, 10]]
    index = make_index([([], [], near), ([], [], [[0, 0, 10, 10]])], 1, with_truths=False)
    # columns: channel 0 has the numbers 0 and 1, channel 1 the numbers 2 and 3
    values = [[2.0, 1, 0, 0], [3.0, 8, 0, 0], [1.0, 0, 0, 0], [4.0, 0, 0, 0]]
    given = Given(index, values)
    return UnitSource(None, Reader(), given, "pool5", given.every_row())


def test_of_each_image_the_strongest_stay_and_are_ranked_over_all_images(source):
    (top,) = top_regions(source, [Unit.of("pool5", SPEC, 0)])
    # row 0 goes: row 1 nearly coincides with it and excites the unit more
    assert top.rows.tolist() == [3, 1, 2]
    assert top.activations.tolist() == [4, 3, 1]
    # the channel's largest is 8, of its other cell
    assert top.peak == 8 and top.relative.tolist() == [0.5, 0.375, 0.125]
    (silent,) = top_regions(source, [Unit.of("pool5", SPEC, 2)])
    assert len(silent.rows) == 0 and silent.relative.tolist() == []


def test_no_more_than_the_strongest_are_kept(source, monkeypatch):
    monkeypatch.setattr(units, "KEPT", 2)
    (top,) = top_regions(source, [Unit.of("pool5", SPEC, 0)])
    assert top.rows.tolist() == [3, 1]


def test_json_names_image_and_box(source):
    top = TopRegions(Unit.of("pool5", SPEC, 1), 8.0, np.array([1]), np.array([8.0], np.float32))
    assert top.plain(source) == {
        "number": 1,
        "channel": 0,
        "cell": 1,
        "channel_peak": 8.0,
        "regions": [{"image": "image0", "box": [1, 0, 11, 10], "activation": 8.0, "relative": 1.0}],
    }


def test_units_that_differ_most_from_image_to_image_are_chosen_and_none_shows_what_another_does():
    # per image the largest activation; channels of two cells: 0 is always on, 1 varies, 2 does as 1 does but weaker,
    # 3 varies in another way, 4 is silent
    peaks = torch.zeros(4, 10)
    peaks[:, 0] = 6
    peaks[:, 3] = torch.tensor([0.0, 4, 0, 4])
    peaks[:, 2] = torch.tensor([0.0, 1, 0, 1])
    peaks[:, 4] = torch.tensor([0.0, 3, 0, 3])
    peaks[:, 7] = torch.tensor([2.0, 2, 0, 0])
    assert diverse(peaks, LayerSpec((5, 1, 2))) == [3, 7]
