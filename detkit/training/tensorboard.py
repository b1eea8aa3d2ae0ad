"""The metrics of a training run as event files of TensorBoard."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from detkit.errors import ConfigError
from detkit.system.files import remove_folder, writing
from detkit.training.trainer import Hook, Metrics

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def refuse_without_tensorboard() -> None:
    """Refuses RUNTIME.TENSORBOARD if the package is not installed.

    Raises:
        ConfigError: if the package is missing; it says what to install.
    """
    if find_spec("tensorboard") is None:
        raise ConfigError(
            "RUNTIME.TENSORBOARD: true, but the package tensorboard is not installed; "
            'pip install "detkit[tensorboard]", or give false'
        )


class TensorBoard(Hook):
    """Copies the numbers of a metrics file to TensorBoard's event files. Put it after ``MetricsWriter``.

    Each line is copied as soon as it is written. The event files start with the metrics file's first line, so a resumed
    run shows each point once.

    Args:
        path: the metrics file.
        folder: folder of the event files; its content is replaced.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder = path, folder
        self.lines: TextIO | None = None
        self.writer: SummaryWriter | None = None

    def before_run(self, start: int, stop: int) -> None:
        """Writes the lines that the metrics file holds already."""
        from torch.utils.tensorboard import SummaryWriter

        with writing(self.folder):
            remove_folder(self.folder)
            # An open TensorBoard forgets what it had read of the old files.
            self.writer = SummaryWriter(str(self.folder), purge_step=0)
        self.lines = self.path.open()
        self._follow()

    def after_step(self, iteration: int, metrics: Metrics) -> None:
        """Writes the lines that are new."""
        self._follow()

    def after_run(self) -> None:
        """Closes the files."""
        if self.lines is not None:
            self.lines.close()
        if self.writer is not None:
            self.writer.close()
        self.lines = self.writer = None

    def _follow(self) -> None:
        assert self.lines is not None and self.writer is not None
        lines = self.lines.readlines()
        for line in map(json.loads, lines):
            iteration = line.pop("iteration")
            for name, value in line.items():
                self.writer.add_scalar(name, value, iteration)
        if lines:
            self.writer.flush()


def mirror(path: Path, folder: Path) -> None:
    """Writes the event files of a finished training run.

    Args:
        path: its metrics file.
        folder: folder of the event files; its content is replaced.
    """
    hook = TensorBoard(path, folder)
    try:
        hook.before_run(0, 0)
    finally:
        hook.after_run()
