"""``detkit eval``: metrics of a finished run, or of detection files alone."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path

from detkit.cli.options import add_config, add_detections, check_output, log_to, read_config, read_run


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declares the command."""
    parser = commands.add_parser(
        "eval",
        help="evaluate a finished run, or detection files alone",
        description="Without --detections: evaluates what `detkit train` detected. With it: evaluates VOC comp3/comp4 "
        "files in a folder, or a COCO results JSON, against DATA.TEST; needs neither images nor weights.",
    )
    add_detections(parser)
    parser.add_argument("--output", metavar="FILE", help="also write the metrics to this JSON file")
    parser.set_defaults(places="--output, OUTPUT_DIR, ARTIFACTS and DETKIT_CACHE")
    add_config(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints the tables."""
    from detkit.report.outputs import results_table
    from detkit.system.files import write_json

    check_output("--output", args.output)
    results = _of_files(args) if args.detections else _of_run(args)
    if args.output:
        write_json(Path(args.output), results)
    print(results_table(results))
    return 0


def _of_files(args: argparse.Namespace) -> dict[str, object]:
    from detkit.errors import ConfigError
    from detkit.evaluation.detection_files import read_detections
    from detkit.run.plan import Datasets
    from detkit.stages.evaluate import evaluate

    config = read_config(args)
    dataset = Datasets(config, needs_images=False)("TEST")
    detections = read_detections(Path(args.detections), dataset, config.DATA.TEST)
    metrics = evaluate(config, dataset, detections)
    if not metrics:
        raise ConfigError(f"EVALUATORS: {config.EVALUATORS} judge proposals, not detections; add VOC or COCO")
    where = {"dataset": config.DATA.NAME, "split": config.DATA.TEST, "num_images": len(dataset)}
    return {**where, "skipped": list(dataset.skipped), "metrics": metrics}


def _of_run(args: argparse.Namespace) -> dict[str, object]:
    from detkit.errors import ConfigError, ModelError
    from detkit.report.outputs import write_outputs
    from detkit.run.folders import refuse_folders
    from detkit.run.kinds import DETECTIONS, METRICS

    job = read_run(args)
    metrics = job.last(METRICS, "TEST")
    if metrics is None:
        raise ConfigError("STAGES: no stage evaluates; add Evaluate")
    if job.find(DETECTIONS, "TEST") is None:
        command = shlex.join(["detkit", "train", "--config", args.config, *args.overrides])
        raise ModelError(f"{args.config}: nothing was detected yet; run: {command}")
    refuse_folders(job, Path(args.config))
    log_to(job.folder)
    with job.alone():
        job.execute(first=metrics.id)
        write_outputs(job)
        results: dict[str, object] = json.loads((job.folder / "results.json").read_text(encoding="utf-8"))
    return results
