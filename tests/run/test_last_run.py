import pytest

from detkit.run.last_run import last_plan

STEP = '{"config": {}, "extra": {}, "data": [], "version": 1, "inputs": {}}'
UNFIT = '{"detect": {"config": {}, "extra": {}, "data": [], "version": 1, "inputs": 5}}'


@pytest.mark.parametrize("text", ["", "[]", "{", "5", '{"detect": 5}', '{"detect": {}}', UNFIT])
def test_a_plan_of_no_use_is_none(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    assert last_plan(tmp_path) == {}


def test_a_plan_is_read_back(tmp_path):
    (tmp_path / "plan.json").write_text(f'{{"detect": {STEP}}}')
    assert list(last_plan(tmp_path)) == ["detect"]


def test_without_a_plan_there_is_none(tmp_path):
    assert last_plan(tmp_path) == {}
