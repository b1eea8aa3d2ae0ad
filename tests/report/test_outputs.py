"""What a run leaves, also where a part of it cannot be written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from detkit.cli.main import main
from detkit.errors import DataError
from detkit.evaluation.voc import VOC
from detkit.registry import EVALUATORS
from detkit.report import outputs
from detkit.testing import isolated


class ByClass(VOC):
    """AP by class and nothing else, as docs/components.md asks for."""

    def compute(self):
        metrics = super().compute()
        return {"ByClass": {"AP": metrics["VOC07"]["AP"]}}


class Numpy(VOC):
    """A metric that JSON cannot hold."""

    def compute(self):
        import numpy as np

        return {"Numpy": {"AR": np.float32(0.5)}}


@pytest.fixture
def own_evaluators():
    with isolated(EVALUATORS):
        EVALUATORS.register(ByClass)
        EVALUATORS.register(Numpy)
        yield


def test_an_evaluator_of_ones_own_gets_a_column_and_a_part_that_fails_leaves_the_others(
    trained, own_evaluators, monkeypatch, capsys
):
    words = ["train", "--config", str(trained), "EVALUATORS=[VOC,ByClass]"]
    assert main([*words, "RUNTIME.REPORT=true"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "report: runs/tiny/report.html" in lines
    page = Path("runs/tiny/report.html").read_text(encoding="utf-8")
    assert all(f'id="{name}"' in page for name in ("ap", "pr", "pictures", "proposals", "training", "mining", "cost"))
    assert any(line.endswith("ByClass before box head  ByClass") for line in lines)
    mean = next(line for line in lines if line.startswith("mAP")).split()
    assert mean[1:3] == mean[-2:]  # VOC07 stands first, before and after the box head; ByClass has the same means
    results = json.loads(Path("runs/tiny/results.json").read_text())
    known = [ap for ap in results["metrics"]["ByClass"]["AP"].values() if ap is not None]
    assert sum(known) / len(known) == pytest.approx(results["metrics"]["VOC07"]["mAP"])

    for stage in ("pretrain", "finetune"):
        lines = Path(f"runs/tiny/training/{stage}.jsonl").read_text().splitlines()
        assert [json.loads(line)["iteration"] for line in lines] == [3] and "loss" in json.loads(lines[0])

    def fails(*given, **words):
        raise DataError("no picture today")

    monkeypatch.setattr(outputs, "picture_grid", fails)
    for name in ("results.json", "model/model.yaml", "pictures.png"):
        (Path("runs/tiny") / name).unlink()
    assert main(words) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "detkit train: no picture today"
    assert Path("runs/tiny/results.json").is_file() and Path("runs/tiny/model/model.yaml").is_file()
    assert "model: runs/tiny/model" in Path("runs/tiny/log.txt").read_text()


def test_an_evaluator_that_gives_no_metrics_is_refused_before_a_stage_runs(recipe, own_evaluators, capsys):
    assert main(["train", "--config", str(recipe), "EVALUATORS=[Numpy]"]) == 2
    assert "Numpy.compute: expected finite numbers, texts, None" in capsys.readouterr().err
    assert not Path("artifacts").exists()


def test_two_evaluators_that_give_one_metric_are_refused(recipe, own_evaluators, capsys):
    assert main(["train", "--config", str(recipe), "EVALUATORS=[ByClass,ByClass]"]) == 2
    assert "EVALUATORS: ByClass gives ByClass, as one before it does; rename its metrics" in capsys.readouterr().err
