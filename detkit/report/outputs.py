"""The outputs of a run: results, detection files, the model, pictures, the AP table."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from detkit.data.images import sample_image
from detkit.evaluation.coco_files import write_coco
from detkit.evaluation.table import results_table
from detkit.evaluation.voc_files import write_voc
from detkit.report.export import calibration_of, export_model
from detkit.report.losses import loss_files
from detkit.report.notices import notices
from detkit.report.pretrained import export_weights, pretraining_results
from detkit.run.artifacts import read_result
from detkit.run.kinds import DETECTIONS, DETECTIONS_FILE, METRICS, RESULTS_FILE
from detkit.run.run_folder import REPORT, TRAINING
from detkit.run.runner import Run
from detkit.stages.detect import load_detections
from detkit.system.files import replacing_folder, write_json, writing
from detkit.training.tensorboard import mirror
from detkit.visualize import picture_grid, write_image
from detkit.visualize.legend import with_legend

log = logging.getLogger("detkit")

PICTURES = 12


def write_outputs(run: Run) -> list[str]:
    """Writes all outputs that the finished steps allow into the run's folder.

    Returns:
        Lines for the reader: warnings, the AP table, paths of outputs. If an output cannot be written, they go to the
        log.

    Raises:
        Exception: the first that an output raised, after all other outputs are written.
    """
    told, errors = notices(run), []
    lines = list(told)
    parts: list[Callable[[Run], list[str]]]
    parts = [_write_detections, _draw_pictures, _write_results, _write_losses, _write_weights, _write_model]
    if run.config.RUNTIME.REPORT:
        parts.append(partial(_write_report, told=told))
    for write in parts:
        try:
            lines += write(run)
        except Exception as error:  # the others do not depend on it; it is raised when they are written
            errors.append(error)
    lines.append(f"everything of this run: {run.folder}")
    if errors:
        for line in lines:
            log.info(line)
        raise errors[0]
    return lines


def _write_results(run: Run) -> list[str]:
    results = _results(run)
    if not results:
        return []
    write_json(run.folder / RESULTS_FILE, results)
    return [results_table(results)]


def _write_losses(run: Run) -> list[str]:
    """Copies the metrics files of all training stages to RUN/training.

    With RUNTIME.TENSORBOARD, it also writes event files of training stages that ended earlier.
    """
    trained = loss_files(run)
    if trained:
        folder = run.folder / TRAINING
        with writing(folder), replacing_folder(folder) as unfinished:
            for step, file in trained.items():
                shutil.copyfile(file, unfinished / f"{step.id.lower()}.jsonl")
    for step, file in trained.items():
        events = run.tensorboard(step)
        if events is not None and not events.is_dir():
            mirror(file, events)
    return []


def _write_weights(run: Run) -> list[str]:
    weights = export_weights(run)
    return [f"weights: {weights} (BACKBONE.WEIGHTS={weights})"] if weights else []


def _write_model(run: Run) -> list[str]:
    model = export_model(run)
    return [f"model: {model} (detkit detect --model {model} IMAGE)"] if model else []


def _write_report(run: Run, told: Sequence[str]) -> list[str]:
    from detkit.report.page.build import sections, write_page  # its template engine and plots take time to import
    from detkit.report.page.inputs import Inputs

    inputs, file = Inputs.of_run(run, told), run.folder / REPORT
    write_page(file, inputs, sections(inputs))
    return [f"report: {file}"]


def _results(run: Run) -> dict[str, Any]:
    """The content of results.json; empty if nothing was measured."""
    evaluated = run.find(METRICS, "TEST")
    results: dict[str, Any] = {"data": _data_report(run)}
    if evaluated is not None:
        where = {"dataset": run.config.DATA.NAME, "split": run.config.DATA.TEST}
        results = {**where, **results, **read_result(evaluated / RESULTS_FILE)}
    if pretraining := pretraining_results(run):
        results["pretrain"] = pretraining
    return results if len(results) > 1 else {}


def _write_detections(run: Run) -> list[str]:
    detected = run.find(DETECTIONS, "TEST")
    if detected is None:
        return []
    dataset, detections = run.datasets("TEST"), load_detections(detected / DETECTIONS_FILE)
    folder = run.folder / "detections"
    with writing(folder), replacing_folder(folder) as unfinished:
        write_voc(unfinished, run.config.DATA.TEST, dataset, detections)
        write_coco(unfinished / "detections.json", dataset, detections)
    return []


def _draw_pictures(run: Run) -> list[str]:
    detected = run.find(DETECTIONS, "TEST")
    if detected is None:
        return []
    dataset, detections = run.datasets("TEST"), load_detections(detected / DETECTIONS_FILE)
    shown = range(min(PICTURES, len(dataset)))
    images = [sample_image(dataset[i]) for i in shown]
    truths = [dataset[i].annotations for i in shown]
    calibration = calibration_of(run)
    found = [calibration.shown(detections[i]) for i in shown]
    grid = picture_grid(images, found, dataset.class_names, truths=truths, min_score=-math.inf)
    write_image(run.folder / "pictures.png", with_legend(grid, dataset.class_names))
    return []


def _data_report(run: Run) -> dict[str, dict[str, Any]]:
    """The images that each role's data set left out, and its repairs."""
    return {
        role: {
            "skipped": list(dataset.skipped),
            "num_skipped": len(dataset.skipped),
            "num_warnings": len(dataset.warnings),
            "num_size_differences": dataset.num_size_differences,
        }
        for role, dataset in run.data().items()
    }
