"""How long the command line takes to say what it can."""

from __future__ import annotations

import statistics
import subprocess
import sys
from functools import partial

from figures import Figure
from inputs import Setting
from timing import interleaved, ratio

COMMANDS = {
    "detkit --help": "from detkit.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass",
    "python": "pass",
    "import torch": "import torch",
}


def figures(setting: Setting) -> list[Figure]:
    """``detkit --help`` beside a bare interpreter and beside one that imports torch."""

    def start(code: str) -> None:
        subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)

    seconds = interleaved({name: partial(start, code) for name, code in COMMANDS.items()}, setting.repeats)
    own = seconds.pop("detkit --help")
    found = []
    for name, times in seconds.items():
        best, low, high = ratio(own, times)
        medians = (statistics.median(own), "s", name, statistics.median(times))
        found.append(Figure("start-up", "detkit --help", *medians, best, low, high))
    return found
