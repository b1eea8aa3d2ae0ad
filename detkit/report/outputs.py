"""What a run leaves for its reader: results, detection files, the model, pictures, the AP table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detkit.data.images import read_image
from detkit.evaluation.coco_files import write_coco
from detkit.evaluation.table import metrics_table
from detkit.evaluation.voc_files import write_voc
from detkit.report.export import calibration_of, export_model
from detkit.report.notices import notices
from detkit.report.pretrained import export_weights, pretraining_results
from detkit.run.artifacts import read_result
from detkit.run.runner import Run
from detkit.stages.detect import DETECTIONS, load_detections
from detkit.stages.evaluate import RESULTS
from detkit.system.files import replacing_folder, write_json, writing
from detkit.visualize import picture_grid, write_image

PICTURES = 12


def write_outputs(run: Run) -> list[str]:
    """Writes what the finished steps allow into the run's folder.

    Returns:
        Lines for the reader: warnings, the AP table, where things lie.
    """
    lines = notices(run)
    detected, evaluated = run.find("Detect", "TEST"), run.find("Evaluate", "TEST")
    if detected is not None:
        _write_detections(run, detected)
    results = _results(run, evaluated)
    if results:
        write_json(run.folder / RESULTS, results)
        lines.append(results_table(results))
    weights = export_weights(run)
    if weights is not None:
        lines.append(f"weights: {weights} (BACKBONE.WEIGHTS={weights})")
    model = export_model(run)
    if model is not None:
        lines.append(f"model: {model} (detkit detect --model {model} IMAGE)")
    lines.append(f"everything of this run: {run.folder}")
    return lines


def results_table(results: Mapping[str, Any]) -> str:
    """The metrics of a results.json, AP before the box head beside AP after it."""
    columns: dict[str, Any] = {}
    if "pretrain" in results:
        columns["pretrain"] = {name: v for name, v in results["pretrain"].items() if not isinstance(v, str)}
    before = results.get("metrics_before_box_head", {})
    for name, metrics in results.get("metrics", {}).items():
        if isinstance(metrics.get("AP"), Mapping) and name in before:
            columns[f"{name} before box head"] = before[name]
        columns[name] = metrics
    return metrics_table(columns)


def _results(run: Run, evaluated: Path | None) -> dict[str, Any]:
    """What results.json holds; empty where nothing was measured."""
    results: dict[str, Any] = {"data": _data_report(run)}
    if evaluated is not None:
        where = {"dataset": run.config.DATA.NAME, "split": run.config.DATA.TEST}
        results = {**where, **results, **read_result(evaluated / RESULTS)}
    if pretraining := pretraining_results(run):
        results["pretrain"] = pretraining
    return results if len(results) > 1 else {}


def _write_detections(run: Run, detected: Path) -> None:
    dataset = run.datasets("TEST")
    detections = load_detections(detected / DETECTIONS)
    folder = run.folder / "detections"
    with writing(folder), replacing_folder(folder) as partial:
        write_voc(partial, run.config.DATA.TEST, dataset, detections)
        write_coco(partial / "detections.json", dataset, detections)
    shown = range(min(PICTURES, len(dataset)))
    images = [read_image(dataset[i].path) for i in shown]
    truths = [dataset[i].annotations for i in shown]
    calibration = calibration_of(run)
    found = [calibration.shown(detections[i]) for i in shown]
    grid = picture_grid(images, found, dataset.class_names, truths=truths, min_score=-math.inf)
    write_image(run.folder / "pictures.png", grid)


def _data_report(run: Run) -> dict[str, dict[str, Any]]:
    """What each role's data set left out and repaired."""
    return {
        role: {
            "skipped": list(dataset.skipped),
            "num_skipped": len(dataset.skipped),
            "num_warnings": len(dataset.warnings),
            "num_size_differences": dataset.num_size_differences,
        }
        for role, dataset in run.data().items()
    }
