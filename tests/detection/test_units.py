import numpy as np
import pytest
import torch

from detkit.backbones.base import LayerSpec
from detkit.backbones.receptive_fields import ReceptiveField
from detkit.detection.units import Unit, channel_peak, drawn_field, strongest_regions, strongest_units
from detkit.structures import Boxes

MAP, FC = LayerSpec((3, 2, 2)), LayerSpec((5,))


def test_numbers_run_over_columns_then_rows_then_channels():
    unit = Unit.of("pool5", MAP, 7)  # 4 cells a channel: 7 is the last cell of channel 1
    assert (unit.channel, unit.cell, str(unit)) == (1, 3, "pool5 7 (channel 1, row 1, column 1)")
    assert unit.of_channel == slice(4, 8)
    assert str(Unit.of("fc7", FC, 4)) == "fc7 4"
    assert str(Unit.of("pool5", LayerSpec((2, 5, 1)), 6)) == "pool5 6 (channel 1, bin 1)"


def test_each_channel_gives_its_strongest_cell_and_what_is_rarer_comes_first_among_equals():
    features = torch.zeros(2, 12)
    features[0, [1, 2]] = torch.tensor([6.0, 6.0])  # channel 0 twice: cell 2, as region 1 excites cell 1, too
    features[1, 1] = 6.0
    features[0, 5] = 6.0
    features[1, 5] = 3.0  # channel 1 as strong, but region 1 excites it, so it comes behind
    assert [unit.number for unit in strongest_units(features, 0, "pool5", MAP, 3)] == [2, 5]  # channel 2 is silent
    assert [unit.number for unit in strongest_units(features, 0, "pool5", MAP, 1)] == [2]


def test_regions_that_show_the_same_as_a_stronger_one_are_left_out():
    # 0 and 1 share 9 of 11 columns, 2 shares 1 of 19 with 0 (.05) and 2 of 18 with 1 (.11); 3 is not excited
    boxes = Boxes.of([[0, 0, 10, 10], [1, 0, 11, 10], [9, 0, 19, 10], [50, 0, 60, 10]])
    assert strongest_regions(boxes, torch.tensor([2.0, 1.0, 0.5, 0.0]), 9).tolist() == [0, 2]
    assert strongest_regions(boxes, torch.tensor([1.0, 2.0, 0.5, 0.0]), 9).tolist() == [1]
    assert strongest_regions(boxes, torch.tensor([2.0, 1.0, 0.5, 0.0]), 1).tolist() == [0]
    assert strongest_regions(boxes, torch.zeros(4), 9).tolist() == []


def test_the_channels_largest_is_over_all_its_cells_and_regions():
    features = torch.arange(24.0).view(2, 12)
    assert channel_peak(features, Unit.of("pool5", MAP, 4)) == 19
    assert channel_peak(features[:0], Unit.of("pool5", MAP, 4)) == 0


@pytest.mark.parametrize(
    ("cell", "drawn"),
    [
        ([-4, 2, 4, 10], [0, 2, 4, 10]),  # centred on the edge: half of it is drawn
        ([-12, 0, -4, 8], [0, 0, 4, 8]),  # centred outside: its centre moves to the edge first
        ([-5, -5, 25, 25], None),
    ],
)
def test_fields_are_drawn_inside_the_crop(cell, drawn):
    field = ReceptiveField(np.array([cell], float), 4, 20)
    found = drawn_field(field, Unit.of("pool5", LayerSpec((1, 1, 1)), 0))
    assert found is None if drawn is None else found.tolist() == drawn
