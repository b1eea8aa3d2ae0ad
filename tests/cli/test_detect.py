from __future__ import annotations

from detkit.cli.detect import _profile, _proposals_ahead
from detkit.clock import Clock


def test_profile_gives_the_mean_the_sum_and_the_share_of_each_stage():
    clocks = [Clock(), Clock()]
    clocks[0].seconds = {"network": 3.0, "warp": 1.0}
    clocks[1].seconds = {"network": 3.0, "draw": 1.0}
    heading, *rows = [line.split() for line in _profile(clocks).splitlines()]
    assert heading == ["stage", "s/image", "s", "share"]
    assert rows == [
        ["network", "3.0000", "6.00", "75.0%"],
        ["warp", "0.5000", "1.00", "12.5%"],
        ["draw", "0.5000", "1.00", "12.5%"],
        ["all", "4.0000", "8.00", "100.0%"],
    ]


def test_one_image_and_no_workers_start_no_process(tmp_path):
    assert _proposals_ahead(None, [("a", tmp_path)], -1) is None
    assert _proposals_ahead(None, [("a", tmp_path), ("b", tmp_path)], 0) is None
