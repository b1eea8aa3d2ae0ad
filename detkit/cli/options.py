"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from detkit.errors import DataError
from detkit.system.files import writing
from detkit.system.processes import is_first_process

if TYPE_CHECKING:
    from detkit.config import Config
    from detkit.run.runner import Run
    from detkit.system.world import World


def add_config(parser: argparse.ArgumentParser) -> None:
    """Adds --config FILE and the overrides KEY=VALUE."""
    parser.add_argument("--config", required=True, metavar="FILE", help="recipe, for example projects/rcnn/quick.yaml")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="config keys to set, also as KEY VALUE")


def add_detections(parser: argparse.ArgumentParser) -> None:
    """Adds --detections DIR_OR_JSON."""
    parser.add_argument("--detections", metavar="DIR_OR_JSON", help="VOC result files or a COCO results JSON")


def read_config(args: argparse.Namespace) -> Config:
    """The config of the arguments: the recipe with its overrides."""
    from detkit.config import load_config

    return load_config(args.config, args.overrides)


def read_run(args: argparse.Namespace, *world: World) -> Run:
    """The run of the arguments' config, in one process or several."""
    from detkit.run.folders import run_of

    return run_of(Path(args.config), args.overrides, *world)


def import_project(folder: str | None) -> None:
    """Registers the components of the project that --project names; None registers nothing."""
    from detkit.components import load_components
    from detkit.config.project import import_named

    if folder:
        load_components()  # first: a package that is installed, too, is not imported again
        import_named(folder, "--project")


def check_output(option: str, file: str | None) -> None:
    """Refuses an output file whose folder does not exist, before anything is computed for it.

    Raises:
        DataError: if the folder does not exist, or no file can have this name; it names the option.
    """
    if file is None:
        return
    folder = Path(file).parent
    if not file or "\0" in file:
        raise DataError(f"{option} {file!r}: no file can have this name")
    if not folder.is_dir():
        raise DataError(f"{option} {file}: no such folder {folder}; make it first")


def log_to(folder: Path | None = None) -> None:
    """Sends the first process's messages to standard error and, with a folder, to log.txt in it."""
    log = logging.getLogger("detkit")
    log.setLevel(logging.INFO)
    log.handlers.clear()
    if not is_first_process():
        log.setLevel(logging.ERROR)
        return
    screen = logging.StreamHandler(sys.stderr)
    screen.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(screen)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "log.txt"
        if path.is_fifo():
            raise DataError(f"{path}: is a pipe, which waits for a reader; remove it")
        file = _LogFile(path, encoding="utf-8", errors="backslashreplace")
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S"))
        log.addHandler(file)


class _LogFile(logging.FileHandler):
    """A log that cannot be written ends the run in one line; logging itself would print a traceback and go on."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        with writing(Path(self.baseFilename)):
            raise
