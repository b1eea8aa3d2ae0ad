from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from detkit.cli.main import main
from detkit.config import load_config
from detkit.diagnosis.suppression import suppressors
from detkit.report.diagnosis import load_trace
from detkit.run.kinds import DETECTIONS, DETECTIONS_FILE, TRACE_FILE
from detkit.run.runner import Run
from detkit.stages.detect import load_detections
from tests.cli.test_evaluate import FOUND, PROGRAM, RECIPE, TRUTH
from tests.fresh import run_fresh


@pytest.fixture
def files(tmp_path):
    """A COCO data set of one image, a results file that finds its object, and their recipe."""
    (tmp_path / "truth.json").write_text(json.dumps(TRUTH))
    (tmp_path / "found.json").write_text(json.dumps(FOUND))
    (tmp_path / "r.yaml").write_text(RECIPE % (tmp_path / "truth.json"))
    return ["diagnose", "--config", str(tmp_path / "r.yaml"), "--detections", str(tmp_path / "found.json")]


def test_detection_files_are_diagnosed_without_the_libraries_of_training(files, tmp_path):
    words = [*files, "--out", str(tmp_path / "out")]
    done = run_fresh(PROGRAM, *words, forget=("detkit", "torchvision", "sklearn", "scipy"))
    assert done.returncode == 0, done.stderr
    *lines, imported = done.stdout.splitlines()
    assert imported == "imported"
    assert lines[0] == "1 images, 1 objects that count, 1 detections"
    found = json.loads((tmp_path / "out/diagnosis.json").read_text())
    assert (found["tide"]["ap"], found["thresholds_from"]) == (1, "best F1")


def test_without_a_folder_files_leave_nothing(files, tmp_path, capsys):
    before = sorted(tmp_path.iterdir())
    assert main(files) == 0
    assert sorted(tmp_path.iterdir()) == before
    assert "diagnosis.json" not in capsys.readouterr().out


def test_similar_classes_are_those_of_the_config(files, capsys):
    assert main([*files, "DIAGNOSIS.SIMILAR_CLASSES=[[cat, lynx]]"]) == 2
    error = capsys.readouterr().err
    assert error == (
        "detkit diagnose: DIAGNOSIS.SIMILAR_CLASSES: similar classes: no class 'lynx'; expected some of cat\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", ""], "--out '': expected a folder, or a name that is free"),
        (["--out", __file__], f"--out {__file__!r}: expected a folder, or a name that is free"),
        (["--detections", "nowhere.json"], "nowhere.json: no such file; expected a COCO results file"),
    ],
)
def test_wrong_words_are_one_line(files, capsys, words, message):
    assert main([*files, *words]) == 2
    assert capsys.readouterr().err == f"detkit diagnose: {message}\n"


def test_a_run_is_diagnosed_with_the_step_that_lost_each_object(trained, capsys):
    assert main(["diagnose", "--config", "tiny.yaml"]) == 0
    assert "all figures: runs/tiny/diagnosis.json" in capsys.readouterr().out
    found = json.loads(Path("runs/tiny/diagnosis.json").read_text())
    assert found["thresholds_from"] == "model"
    assert found["lost"]["unknown_steps"] == []
    assert found["lost"]["counts"]["unknown"] == 0
    assert sum(found["lost"]["counts"].values()) == len(found["lost"]["objects"])
    assert {rung["name"]: rung["holds"] for rung in found["ladder"]["rungs"]}["proposals"] is not None


def test_a_trace_leads_to_the_detections_of_the_run(trained):
    run = Run.of(load_config("tiny.yaml"), "tiny")
    folder = run.find(DETECTIONS, "TEST")
    trace, dataset = load_trace(run, folder), run.datasets("TEST")
    refined = trace.refined_in(np.array([sample.size for sample in dataset]))
    for image, found in enumerate(load_detections(folder / DETECTIONS_FILE)):
        own = trace.candidates_of(image)
        own = own[trace.kept[own]]
        stays = [
            row
            for label in range(len(dataset.class_names))
            for rows in [own[trace.labels[own] == label]]
            for row in rows[suppressors(refined[rows], trace.refined_scores[rows], trace.nms_iou) == -1]
        ]
        expected = sorted(zip(found.labels.tolist(), found.proposal_rows.tolist(), found.scores.tolist()))
        assert sorted(zip(trace.labels[stays], trace.rows[stays], trace.refined_scores[stays])) == expected


def test_a_trace_takes_at_most_30_bytes_a_candidate(trained):
    run = Run.of(load_config("tiny.yaml"), "tiny")
    folder = run.find(DETECTIONS, "TEST")
    candidates = len(load_trace(run, folder).rows)
    assert (folder / TRACE_FILE).stat().st_size < 30 * candidates + 1000


def test_a_run_without_a_trace_says_how_to_get_one(trained, capsys):
    run = Run.of(load_config("tiny.yaml"), "tiny")
    (run.find(DETECTIONS, "TEST") / TRACE_FILE).unlink()
    assert main(["diagnose", "--config", "tiny.yaml"]) == 0
    captured = capsys.readouterr()
    assert "`detkit train --from detect` makes what is missing" in captured.err
    assert "not known here: proposals, cap per image" in captured.out


def test_a_run_that_has_detected_nothing_is_refused(recipe, capsys):
    assert main(["diagnose", "--config", "tiny.yaml"]) == 2
    error = capsys.readouterr().err
    assert error.endswith("tiny.yaml: nothing was detected yet; run: detkit train --config tiny.yaml\n")


def test_a_folder_that_is_no_runs_is_left_alone(trained, capsys):
    shutil.rmtree("runs/tiny")
    assert main(["diagnose", "--config", "tiny.yaml"]) == 2
    assert "OUTPUT_DIR: runs/tiny is no folder of a run; give --out FOLDER" in capsys.readouterr().err
    assert not Path("runs/tiny").exists()
    assert main(["diagnose", "--config", "tiny.yaml", "--out", "told"]) == 0
    assert Path("told/diagnosis.json").is_file()
