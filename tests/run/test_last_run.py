import pytest

from detkit.run.last_run import has_plan, last_plan

STEP = '{"stage": {}, "settings": {}, "parts": {}, "content": {}, "data": [], "inputs": {}}'
UNFIT = '{"detect": {"stage": {}, "settings": {}, "parts": {}, "content": {}, "data": [], "inputs": 5}}'
EARLIER = '{"stage": "Detect", "version": 1, "config": {}, "extra": {}, "data": [], "inputs": {}}'


@pytest.mark.parametrize("text", ["", "[]", "{", "5", '{"detect": 5}', '{"detect": {}}', UNFIT])
def test_a_plan_of_no_use_is_none(tmp_path, text):
    (tmp_path / "plan.json").write_text(text)
    assert last_plan(tmp_path) == {}


def test_a_plan_is_read_back(tmp_path):
    (tmp_path / "plan.json").write_text(f'{{"detect": {STEP}}}')
    assert list(last_plan(tmp_path)) == ["detect"]


def test_without_a_plan_there_is_none(tmp_path):
    assert last_plan(tmp_path) == {}


def test_a_plan_of_an_earlier_format_is_a_run_s_and_is_compared_with_nothing(tmp_path):
    (tmp_path / "plan.json").write_text(f'{{"detect test": {EARLIER}}}')
    assert has_plan(tmp_path)
    assert last_plan(tmp_path) == {}
