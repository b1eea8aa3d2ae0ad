from __future__ import annotations

import pytest

from tests.config.conftest import fails


def test_override_without_value_is_refused(write):
    assert "command line: SEED has no value; write SEED=VALUE" in fails(write("SEED: 1\n"), "SEED")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["STAGES=[Pretrain,", "Propose,", "Detect]", "SEED=2"],
            "STAGES: [Pretrain, is a part of a list; put it in quotes: 'STAGES=[Pretrain, Propose, Detect]'",
        ),
        (["STAGES", "[Pretrain,", "Propose]"], "put it in quotes: 'STAGES=[Pretrain, Propose]'"),
        (["STAGES=[Pretrain"], "put it in quotes: 'STAGES=[Pretrain ...]'"),
        (
            ["OUTPUT_DIR=my", "run"],
            "run has no value; write run=VALUE, or quotes around a value with spaces: 'OUTPUT_DIR=my run'",
        ),
        (["SEED=1", "SEED"], "SEED has no value; write SEED=VALUE"),
    ],
)
def test_a_value_that_the_shell_has_split_is_shown_in_quotes(write, words, message):
    refused = fails(write("SEED: 1\n"), *words)
    assert refused.startswith("command line: ") and refused.endswith(message)
