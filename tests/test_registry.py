import pytest

from detkit.errors import ConfigError
from detkit.registry import Registry
from tests.fresh import run_fresh


class Known:
    pass


class New:
    pass


def test_what_was_registered_in_an_isolated_block_is_gone_after_it_and_the_rest_stays():
    registry = Registry("PARTS")
    registry.register(Known)
    with pytest.raises(KeyError), registry.isolated() as same:
        assert same is registry
        registry.register(New)
        assert registry.names() == ["Known", "New"]
        raise KeyError
    assert registry.names() == ["Known"] and registry.get("Known") is Known
    with pytest.raises(ConfigError, match="no 'New'"):
        registry.get("New")


def test_detkits_own_components_stay_where_they_are_first_imported_in_such_a_block():
    program = (
        "from detkit.registry import EVALUATORS\n"
        "from detkit.testing import isolated\n"
        "with isolated(EVALUATORS):\n"
        "    import detkit.evaluation.voc\n"
        "print(*EVALUATORS.names())"
    )
    done = run_fresh(program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["COCO", "ProposalRecall", "VOC"]
