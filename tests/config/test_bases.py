from __future__ import annotations

import pytest

from detkit.config import load_config
from tests.config.conftest import fails


def test_missing_file_and_missing_base_name_the_path(write):
    assert "no such file" in fails(write("SEED: 1\n").parent / "nowhere.yaml")
    assert "recipe.yaml:1: _BASE_ gone.yaml: no such file" in fails(write("_BASE_: gone.yaml\n"))


def test_base_is_also_found_among_the_recipes(write):
    assert load_config(write("_BASE_: projects/rcnn/_paper.yaml\n")).EVALUATORS == ["VOC", "COCO", "ProposalRecall"]


def test_two_bases_never_set_one_key(write):
    write("SEED: 1\n", "a.yaml")
    write("SEED: 2\n", "b.yaml")
    assert "SEED is set by two bases" in fails(write("_BASE_: [./a.yaml, ./b.yaml]\n"))


def test_a_base_has_bases_of_its_own_and_wins_over_them(write):
    write("SEED: 1\nRUNTIME: {BATCH: 1, WORKERS: 1, THREADS: 1}\n", "a.yaml")
    write("_BASE_: ./a.yaml\nRUNTIME: {BATCH: 2, WORKERS: 2}\n", "b.yaml")
    config = load_config(write("_BASE_: ./b.yaml\nRUNTIME: {BATCH: 3}\n"))
    assert (config.SEED, config.RUNTIME.BATCH, config.RUNTIME.WORKERS, config.RUNTIME.THREADS) == (1, 3, 2, 1)


@pytest.mark.parametrize("order", ["./left.yaml, ./right.yaml", "./right.yaml, ./left.yaml"])
def test_a_base_that_is_reached_twice_is_read_once(write, order):
    """If the right side read it again, its SEED would win over the left one, or count as a second base's."""
    write("SEED: 1\nRUNTIME: {BATCH: 1}\n", "root.yaml")
    write("_BASE_: ./root.yaml\nSEED: 2\n", "left.yaml")
    write("_BASE_: ./root.yaml\nRUNTIME: {WORKERS: 0}\n", "right.yaml")
    config = load_config(write(f"_BASE_: [{order}]\n"))
    assert (config.SEED, config.RUNTIME.BATCH, config.RUNTIME.WORKERS) == (2, 1, 0)
    write("_BASE_: ./root.yaml\nSEED: 3\n", "right.yaml")
    assert "SEED is set by two bases" in fails(write(f"_BASE_: [{order}]\n"))


def test_bases_that_stand_on_each_other_are_named_in_order(write):
    a = write("_BASE_: ./b.yaml\n", "a.yaml")
    b = write("# one\n_BASE_: ./a.yaml\n", "b.yaml")
    top = write("_BASE_: ./a.yaml\n")
    assert f"b.yaml:2: _BASE_ {a}: the files stand on each other: {a} -> {b} -> {a}" in fails(top)
    assert f"the files stand on each other: {b} -> {a} -> {b}" in fails(b)


def test_a_base_beside_the_file_is_offered_where_the_path_rule_does_not_find_it(write, tmp_path):
    write("SEED: 1\n", "sub/near.yaml")
    message = fails(write("_BASE_: near.yaml\n", "sub/r.yaml"))
    assert "_BASE_ near.yaml: no such file; looked for in " in message
    assert message.endswith("; write ./near.yaml for the one beside this file")
