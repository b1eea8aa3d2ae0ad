import pytest

from detkit.system import processes
from detkit.system.processes import cores_of_one, excess_of_workers, resolve_workers


@pytest.mark.parametrize(
    ("cores", "sharing", "expected"), [(1, 1, 1), (2, 1, 1), (8, 1, 7), (8, 2, 3), (8, 8, 0), (4, 8, 0)]
)
def test_as_many_workers_as_a_process_has_cores_but_one(monkeypatch, cores, sharing, expected):
    monkeypatch.setattr(processes, "num_cores", lambda: cores)
    assert resolve_workers(-1, sharing) == expected
    assert resolve_workers(5, sharing) == 5 and resolve_workers(0, sharing) == 0
    assert cores_of_one(sharing) == max(1, cores // sharing)


def test_more_workers_than_cores_are_told(monkeypatch):
    monkeypatch.setattr(processes, "num_cores", lambda: 2)
    assert excess_of_workers(0) == excess_of_workers(2) == ""
    assert excess_of_workers(64) == "64 workers on 2 cores: more workers than cores take memory and give no speed"
