from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from detkit.cli.estimate import _size, _time
from detkit.cli.main import main
from detkit.report import measure
from detkit.report.measure import Pass


def test_estimate_of_a_fresh_recipe_and_of_a_finished_one(recipe, capsys):
    assert main(["estimate", "--config", str(recipe), "--json", "before.json"]) == 0
    out = capsys.readouterr().out
    assert not Path("artifacts").exists()
    assert not Path("runs").exists()
    before = json.loads(Path("before.json").read_text())
    steps = {one["step"]: one for one in before["steps"]}
    # FINETUNE and TRAIN are one split here, so its proposals are made once
    states = [steps[f"propose {role}"]["state"] for role in ("finetune", "train", "test")]
    assert states == ["to do", "shared", "to do"]
    assert all(steps[name]["seconds"] > 0 for name in ("pretrain", "propose test", "finetune", "extract train"))
    assert before["seconds"] == pytest.approx(sum(one["seconds"] or 0 for one in before["steps"]))
    for heading in ("pretrain         to do", "not known:", "regress train: solving the regressors", "are free"):
        assert heading in out

    assert main(["train", "--config", str(recipe), "--until", "Extract"]) == 0
    written = sum(file.stat().st_size for file in Path("artifacts/extract").glob("*/*.safetensors"))
    assert steps["extract train"]["kept"] == pytest.approx(written, rel=0.5)  # three of twelve images stand for all

    assert main(["estimate", "--config", str(recipe), "--json", "after.json"]) == 0
    after = json.loads(Path("after.json").read_text())
    done = {one["step"] for one in after["steps"] if one["state"] == "done" and one["seconds"] == one["kept"] == 0}
    assert done == {"pretrain", "propose finetune", "propose test", "finetune", "extract train"}


@pytest.mark.parametrize("command", ["estimate", "train"])
def test_nothing_is_compiled_before_the_data_are_checked(recipe, monkeypatch, capsys, command):
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled"))
    words = ["COMPUTE.COMPILE=true", "DATA.NAME=VOC", "DATA.VOC.ROOT=nowhere"]
    assert main([command, "--config", str(recipe), *words]) == 2
    assert "data set VOC: no folder nowhere" in capsys.readouterr().err


def test_estimate_names_the_folder_that_its_file_cannot_lie_in(recipe, capsys):
    assert main(["estimate", "--config", str(recipe), "--json", "nowhere/a.json"]) == 2
    assert "--json nowhere/a.json: no such folder nowhere" in capsys.readouterr().err


def test_what_is_prepared_hides_behind_the_network_as_far_as_there_are_cores(monkeypatch):
    one = Pass("region", prepare=0.001, network=0.004)
    monkeypatch.setattr(measure, "num_cores", lambda: 2)
    # without workers one after the other: 100 * 5 ms
    assert one.seconds(10, 100, workers=0, threads=2) == pytest.approx(0.5)
    # both cores are the network's: (1 + 2 * 4 ms) / 2 cores for each region
    assert one.seconds(10, 100, workers=1, threads=2) == pytest.approx(0.45)
    # a third core does it beside
    monkeypatch.setattr(measure, "num_cores", lambda: 3)
    assert one.seconds(10, 100, workers=1, threads=2) == pytest.approx(0.4)
    # whole images are counted in images; one worker of slow preparations is what bounds
    assert Pass("image", 0.3, 0.1).seconds(10, 100, workers=1, threads=1) == pytest.approx(3.0)


def test_times_and_sizes_are_shown_in_their_unit():
    assert [_time(s) for s in (None, 0.04, 119, 121, 7300, 200_000)] == [
        "?",
        "0.0 s",
        "119.0 s",
        "2.0 min",
        "2.0 h",
        "2.3 d",
    ]
    assert [_size(n) for n in (80, 2_500_000, 3_100_000_000)] == ["0.1 kB", "2.5 MB", "3.1 GB"]
