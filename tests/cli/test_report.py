"""``detkit report``: on a run and on detection files, and what it refuses."""

from __future__ import annotations

from pathlib import Path

from detkit.cli.main import main

RECIPE = ("--config", "projects/rcnn/quick.yaml")
FILES = (*RECIPE, "DATA.Shapes.TEST_IMAGES=2", "--detections", "found.json")
RUN = (*RECIPE, "STAGES=[Pretrain]", "BACKBONE.WEIGHTS=random")


def one_line(capsys):
    return capsys.readouterr().err.splitlines()[-1]


def test_detection_files_become_a_page_and_plots(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("found.json").write_text(
        '[{"image_id": "test_000000", "category_id": 1, "bbox": [1, 2, 30, 40], "score": 0.5}]'
    )
    assert main(["report", *FILES, "--plots", "plots", "--format", "png"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "report: report.html"
    assert Path("report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert list(Path("plots").glob("pr_*.png"))


def test_wrong_input_is_told_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", *RUN]) == 2
    assert one_line(capsys) == (
        "detkit report: projects/rcnn/quick.yaml: nothing of this run is finished yet; run: detkit train --config "
        "projects/rcnn/quick.yaml 'STAGES=[Pretrain]' BACKBONE.WEIGHTS=random"
    )
    assert main(["report", *RUN, "--output", "nowhere/a.html"]) == 2
    assert "--output nowhere/a.html: no such folder nowhere; make it first" in one_line(capsys)
    assert main(["report", *FILES]) == 2
    assert "found.json" in one_line(capsys)


def test_plots_that_cannot_be_written_are_told_in_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("found.json").write_text("[]")
    assert main(["report", *FILES, "--plots", "file"]) == 2
    assert one_line(capsys).startswith("detkit report: file")
