"""``detkit export``: a trained model as one file for programs without torch."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "export",
        help="write a trained model as an ONNX file, for programs without torch",
        description="The graph takes crops (N, 3, S, S) and their boxes (N, 4), and returns scores (N, K) and a box "
        "for each class (N, K, 4). Its metadata say how to cut and preprocess crops, and how to turn scores into "
        "detections. examples/onnx_detect.py runs it with numpy, OpenCV and onnxruntime only.",
    )
    parser.add_argument("--model", required=True, metavar="FOLDER", help="a model folder, RUN/model")
    parser.add_argument("--format", choices=("onnx",), default="onnx", help="default: onnx")
    parser.set_defaults(places="--output")
    parser.add_argument("--output", metavar="FILE", help="default: beside the model folder, RUN/model.onnx")
    parser.add_argument("--project", metavar="FOLDER", help="folder with the model's own components, if it has any")
    return parser


def run(args: argparse.Namespace) -> int:
    """Exports the model and prints how far its results are from torch's.

    Raises:
        ConfigError: if a package is missing.
        ModelError: if the folder is no model, or a component of it cannot be exported.
    """
    from detkit.cli.options import check_output, import_project
    from detkit.detection.load import load
    from detkit.report.onnx_file import refuse_without_onnx, write_onnx

    refuse_without_onnx()
    check_output("--output", args.output)
    import_project(args.project)
    file = Path(args.output) if args.output else Path(f"{Path(args.model)}.onnx")
    found = write_onnx(file, load(args.model, device="cpu", dtype="float32"))
    print(f"onnxruntime and torch agree: scores within {found.scores:.1g}, boxes within {found.boxes:.1g} of a side")
    print(f"model: {file} ({file.stat().st_size / 1e6:.1f} MB); examples/onnx_detect.py detects with it")
    return 0
