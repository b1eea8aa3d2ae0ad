from __future__ import annotations

import pytest

from detkit.system import clock
from detkit.system.clock import Clock


def test_times_of_a_stage_add_up_also_when_it_fails(monkeypatch):
    times = iter([0.0, 1.0, 5.0, 7.0, 10.0, 14.0])
    monkeypatch.setattr(clock.time, "perf_counter", lambda: next(times))
    stages = Clock()
    with stages("warp"):
        pass
    with stages("network"):
        pass
    with pytest.raises(KeyError), stages("warp"):
        raise KeyError
    assert stages.seconds == {"warp": 5.0, "network": 2.0}
    assert stages.total == 7.0
