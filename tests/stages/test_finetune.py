"""What the stage reads where it measures on a validation split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from detkit.cli.main import main
from detkit.config import load_config
from detkit.errors import ConfigError
from detkit.run.datasets import Datasets
from detkit.run.plan import plan, refuse_unfit
from detkit.system.compute import Compute

VALIDATED = ["DATA.VAL=val", "FINETUNE.VALIDATE_EVERY=2", "FINETUNE.VALIDATE_BATCHES=2"]


def tuning(recipe, *words):
    """The step that tunes."""
    config = load_config(recipe, ["STAGES=[Pretrain, Propose, Finetune]", *words])
    (step,) = [
        s for s in plan(config, Datasets(config), Compute.resolve(dtype="float32", device="cpu")) if s.id == "Finetune"
    ]
    return step


def test_the_validation_split_is_hashed_only_where_it_is_measured_on(recipe):
    plain = tuning(recipe)
    named = tuning(recipe, "DATA.VAL=val", "FINETUNE.VALIDATE_BATCHES=2")
    assert (named.digest, list(named.data), list(named.inputs)) == (
        plain.digest,
        ["FINETUNE"],
        ["network", "proposals"],
    )
    assert not any("VALIDATE" in key for key in plain.description["settings"]["FINETUNE"])
    measured = tuning(recipe, *VALIDATED)
    assert (list(measured.data), list(measured.inputs)) == (["FINETUNE", "VAL"], ["network", "proposals", "validation"])
    others = [["DATA.VAL=test"], ["FINETUNE.VALIDATE_EVERY=3"], ["FINETUNE.VALIDATE_BATCHES=3"]]
    digests = {plain.digest, measured.digest, *(tuning(recipe, *VALIDATED, *words).digest for words in others)}
    assert len(digests) == 5


def test_a_measurement_without_a_split_is_refused(recipe):
    config = load_config(recipe, ["FINETUNE.VALIDATE_EVERY=2"])
    with pytest.raises(ConfigError, match=r"VALIDATE_EVERY: 2, but DATA\.VAL names no split to measure on; name one"):
        refuse_unfit(config, Datasets(config))


def test_a_run_measures_and_tunes_the_same_network(recipe):
    words = ["train", "--config", str(recipe), "--until", "finetune", "COMPUTE.DTYPE=float32"]
    networks = []
    for more in ([], VALIDATED):
        before = set(Path("artifacts/finetune").glob("*/network.safetensors"))
        assert main([*words, *more]) == 0
        (made,) = set(Path("artifacts/finetune").glob("*/network.safetensors")) - before
        networks.append(made)
    plain, measured = map(load_file, networks)
    assert plain.keys() == measured.keys()
    assert all(torch.equal(tensor, measured[name]) for name, tensor in plain.items())
    lines = [json.loads(line) for line in (networks[1].parent / "metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines if "val_loss" in line] == [2, 3]
