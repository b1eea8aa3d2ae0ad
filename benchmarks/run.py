"""Measures detkit's speed: every figure beside what it is compared with, in one run.

python benchmarks/run.py --out FOLDER [--only NAME ...] [--quick] [--data VOC_FOLDER] [--page docs/performance.md]
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import os
import platform
import sys
from pathlib import Path
from typing import Any

import cv2
import torch
from figures import Figure, put_into, write
from inputs import Setting

import detkit
from detkit.system.compute import CPUINFO, Compute
from detkit.system.memory import keep_freed_memory

FAMILIES = (
    "startup",
    "evaluation",
    "extraction",
    "processes",
    "detection",
    "proposals",
    "mining",
    "streamed",
    "diagnosis",
    "curves",
)


def main() -> int:
    """Runs the families that were asked for and writes their figures after each."""
    args = _arguments()
    keep_freed_memory()  # both as the commands do that are measured
    cv2.setNumThreads(1)
    torch.set_num_threads(args.threads)
    setting = Setting(quick=args.quick, data=args.data, threads=args.threads, weights=args.weights, recipe=args.recipe)
    machine = _machine(setting)
    figures: list[Figure] = []
    for family in args.only or FAMILIES:
        print(f"{family} ...", file=sys.stderr, flush=True)
        figures += importlib.import_module(family).figures(setting)
        write(args.out, machine, figures)
    print((args.out / "table.md").read_text(encoding="utf-8"))
    if args.page:
        put_into(args.page, machine, figures)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="gets table.md and table.json")
    parser.add_argument("--only", nargs="+", choices=FAMILIES, metavar="NAME", help=", ".join(FAMILIES))
    parser.add_argument("--quick", action="store_true", help="show that it works; the figures mean nothing")
    parser.add_argument("--data", type=Path, metavar="VOC_FOLDER", help="photographs instead of drawn shapes")
    parser.add_argument("--weights", default="", metavar="FILE", help="of the recipe's network, with --data")
    parser.add_argument("--recipe", type=Path, metavar="FILE", help="of the streamed run, with --data: squeezenet_svm")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the network")
    parser.add_argument("--page", type=Path, metavar="FILE", help="a page whose generated section gets the table")
    args = parser.parse_args()
    if args.data is not None and not (args.data / "JPEGImages").is_dir():
        parser.error(f"--data {args.data}: no JPEGImages there; expected a VOC folder")
    if args.recipe is not None and (args.data is None or not args.recipe.is_file()):
        parser.error(f"--recipe {args.recipe}: expected a recipe for a VOC folder, and that folder by --data")
    if args.page is not None and args.quick:
        parser.error("--page and --quick: figures of a quick run mean nothing and go on no page")
    return args


def _machine(setting: Setting) -> dict[str, Any]:
    """What the figures depend on."""
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"the machine is busy (load {load:.1f}): the figures will be wrong", file=sys.stderr)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "detkit": detkit.__version__,
        "torch": torch.__version__,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": setting.threads,
        "dtype": Compute.resolve(device="cpu").name,
        "images": "photographs" if setting.data else "drawn shapes",
        "load at the start": f"{load:.1f}",
        **({"quick": "figures mean nothing"} if setting.quick else {}),
    }


def _processor() -> str:
    """Its name, as far as the system tells it."""
    lines = CPUINFO.read_text().splitlines() if CPUINFO.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main())
