"""Peak memory and disk of a run that stores no features, beside one that does."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from figures import Figure
from inputs import ROOT, Setting

STREAMED, STORED = "FEATURES.STORE=stream", "FEATURES.ROLES=[TRAIN, TEST]"
NETWORKS = ("network.safetensors", "weights.safetensors")
CHECKPOINT = "checkpoint.safetensors"
MODEL = (("run", "model"), ("run", "model.partial"), ("run", "model.removed"))
DISK = "disk beyond model, networks and one checkpoint"
LEFT = "left: "
WORTH_TELLING = 0.1
"""Least MB of a part of the disk that has a row of its own."""


def figures(setting: Setting) -> list[Figure]:
    """Disk beyond images, model, networks and one checkpoint, memory of the process and its workers, seconds."""
    recipe, words = _recipe(setting)
    with tempfile.TemporaryDirectory() as name:
        streamed = _run(recipe, [*words, STREAMED], Path(name) / "streamed")
        stored = _run(recipe, [*words, STORED], Path(name) / "stored")
    aims = {DISK: "300 or less", "disk in all": "", "memory": "3000 or less", "seconds": ""}
    found = []
    for kind, aim in aims.items():
        unit = "s" if kind == "seconds" else "MB"
        given = (streamed[kind], unit, "features stored", stored[kind], stored[kind] / max(streamed[kind], 1e-9))
        found.append(Figure("streamed run", f"{kind}, {recipe.stem}", *given, aim=aim))
    left = {n.removeprefix(LEFT): mb for n, mb in streamed.items() if n.startswith(LEFT) and mb >= WORTH_TELLING}
    return [*found, *(Figure("streamed run", f"of that disk, {name}", size, "MB") for name, size in left.items())]


def left_over(sizes: Mapping[Path, int]) -> dict[str, int]:
    """{stage or part of the run: bytes} of what is neither the exported model nor a network nor the largest checkpoint.

    Args:
        sizes: path below the folder of the measurement (``artifacts/STAGE/...`` and ``run/...``) -> bytes.
    """
    checkpoints = [path for path in sizes if path.name == CHECKPOINT]
    spared = max(checkpoints, key=lambda path: sizes[path], default=None)
    left: Counter[str] = Counter()
    for path, size in sizes.items():
        if path.name not in NETWORKS and path.parts[:2] not in MODEL and path != spared:
            left[path.parts[1]] += size
    return dict(left)


def _recipe(setting: Setting) -> tuple[Path, list[str]]:
    """The recipe of the streamed run; drawn shapes without photographs, which have a recipe of their own.

    A fine-tuning is cut short on photographs: neither disk nor memory depends on its length.
    """
    folder = ROOT / "projects" / "rcnn"
    short = ["FINETUNE.ITERATIONS=20", "FINETUNE.CHECKPOINT_EVERY=10"]
    if setting.data is not None:
        weights = f"BACKBONE.WEIGHTS={setting.weights or 'random'}"
        return setting.recipe or folder / "squeezenet_svm.yaml", [f"DATA.VOC.ROOT={setting.data}", weights, *short]
    if not setting.quick:
        return folder / "quick.yaml", []
    few = ["DATA.Shapes.TRAIN_IMAGES=8", "DATA.Shapes.TEST_IMAGES=4", "PRETRAIN_DATA.Shapes.TRAIN_IMAGES=32"]
    return folder / "quick.yaml", [*few, "PRETRAIN.ITERATIONS=4", *short]


def _run(recipe: Path, words: list[str], folder: Path) -> dict[str, float]:
    """Most MB on disk while it ran and what they were, most MB in memory over it and its children, and seconds."""
    folder.mkdir(parents=True)
    own = [f"ARTIFACTS={folder / 'artifacts'}", f"OUTPUT_DIR={folder / 'run'}"]
    command = [sys.executable, "-c", "import sys; from detkit.cli.main import main; sys.exit(main(sys.argv[1:]))"]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, "train", "--config", str(recipe), *words, *own], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    most = {DISK: 0.0, "disk in all": 0.0, "memory": 0.0}
    watch = threading.Thread(target=_watch, args=(process, folder, most))
    watch.start()
    _, messages = process.communicate()
    watch.join()
    if process.returncode:
        raise RuntimeError(f"{recipe}: training ended with {process.returncode}: {messages.decode()[-500:]}")
    return {**most, "seconds": time.perf_counter() - start}


def _watch(process: subprocess.Popen[bytes], folder: Path, most: dict[str, float]) -> None:
    while process.poll() is None:
        sizes = {}
        for path in folder.rglob("*"):
            try:
                if path.is_file():
                    sizes[path.relative_to(folder)] = path.stat().st_size
            except FileNotFoundError:
                continue  # a file that was renamed meanwhile
        left = left_over(sizes)
        if sum(left.values()) / 1e6 > most[DISK]:
            for name in [name for name in most if name.startswith(LEFT)]:
                del most[name]
            most |= {DISK: sum(left.values()) / 1e6, **{f"{LEFT}{name}": size / 1e6 for name, size in left.items()}}
        most["disk in all"] = max(most["disk in all"], sum(sizes.values()) / 1e6)
        most["memory"] = max(most["memory"], sum(_unshared(pid) for pid in _family(process.pid)) / 1e6)
        time.sleep(0.5)


def _family(pid: int) -> list[int]:
    """A process and all that it started."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(word) for task in tasks for word in (task / "children").read_text().split()]
    except OSError:
        return []
    return [pid, *(one for child in children for one in _family(child))]


def _unshared(pid: int) -> int:
    """Bytes of a process, its part of pages that it shares with others included."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
