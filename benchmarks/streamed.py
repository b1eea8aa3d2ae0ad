"""Peak memory and disk of a run that stores no features, beside one that does."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from figures import Figure
from inputs import ROOT, Setting

STREAMED, STORED = "FEATURES.STORE=stream", "FEATURES.ROLES=[TRAIN, TEST]"


def figures(setting: Setting) -> list[Figure]:
    """Disk beyond images and model, memory of the process and its workers, seconds."""
    recipe, words = _recipe(setting)
    with tempfile.TemporaryDirectory() as name:
        streamed = _run(recipe, [*words, STREAMED], Path(name) / "streamed")
        stored = _run(recipe, [*words, STORED], Path(name) / "stored")
    aims = {"disk": "300 or less", "memory": "3000 or less", "seconds": ""}
    found = []
    for kind, aim in aims.items():
        unit = "s" if kind == "seconds" else "MB"
        given = (streamed[kind], unit, "features stored", stored[kind], stored[kind] / max(streamed[kind], 1e-9))
        found.append(Figure("streamed run", f"{kind}, {recipe.stem}", *given, aim=aim))
    return found


def _recipe(setting: Setting) -> tuple[Path, list[str]]:
    """Drawn shapes, or photographs with a fine-tuning that is cut short: neither disk nor memory depends on it."""
    folder = ROOT / "projects" / "rcnn"
    short = ["FINETUNE.ITERATIONS=20", "FINETUNE.CHECKPOINT_EVERY=10"]
    if setting.data is not None:
        weights = f"BACKBONE.WEIGHTS={setting.weights or 'random'}"
        return folder / "squeezenet_svm.yaml", [f"DATA.VOC.ROOT={setting.data}", weights, *short]
    if not setting.quick:
        return folder / "quick.yaml", []
    few = ["DATA.Shapes.TRAIN_IMAGES=8", "DATA.Shapes.TEST_IMAGES=4", "PRETRAIN_DATA.Shapes.TRAIN_IMAGES=32"]
    return folder / "quick.yaml", [*few, "PRETRAIN.ITERATIONS=4", *short]


def _run(recipe: Path, words: list[str], folder: Path) -> dict[str, float]:
    """Most MB on disk while it ran, most MB in memory over the process and its children, and seconds."""
    folder.mkdir(parents=True)
    own = [f"ARTIFACTS={folder / 'artifacts'}", f"OUTPUT_DIR={folder / 'run'}"]
    command = [sys.executable, "-c", "import sys; from detkit.cli.main import main; sys.exit(main(sys.argv[1:]))"]
    start = time.perf_counter()
    process = subprocess.Popen(
        [*command, "train", "--config", str(recipe), *words, *own], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    most = {"disk": 0.0, "memory": 0.0}
    watch = threading.Thread(target=_watch, args=(process, folder, most))
    watch.start()
    _, messages = process.communicate()
    watch.join()
    if process.returncode:
        raise RuntimeError(f"{recipe}: training ended with {process.returncode}: {messages.decode()[-500:]}")
    return {**most, "seconds": time.perf_counter() - start}


def _watch(process: subprocess.Popen[bytes], folder: Path, most: dict[str, float]) -> None:
    while process.poll() is None:
        sizes = []
        for path in folder.rglob("*"):
            try:
                sizes.append(path.stat().st_size if path.is_file() else 0)
            except FileNotFoundError:
                continue  # a file that was renamed meanwhile
        most["disk"] = max(most["disk"], sum(sizes) / 1e6)
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
