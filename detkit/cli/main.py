"""The command ``detkit``: parses its arguments and turns errors into exit codes."""

from __future__ import annotations

import argparse
import io
import os
import sys
import traceback
from collections.abc import Sequence

import detkit
from detkit.cli import (
    ablate,
    cache,
    compare,
    completion,
    config,
    data,
    detect,
    diagnose,
    doctor,
    estimate,
    evaluate,
    explain,
    export,
    init,
    list_components,
    paper,
    report,
    status,
    train,
    units,
)
from detkit.cli.interrupts import INTERRUPTED, interruptible
from detkit.errors import ConfigError, DetkitError, ProcessLostError, WriteError
from detkit.report.doctor import MEND_LIBRARIES, missing_library
from detkit.system.files import writing
from detkit.system.memory import keep_freed_memory
from detkit.system.processes import is_first_process, started_by_torchrun

COMMANDS = (
    train,
    evaluate,
    report,
    diagnose,
    compare,
    detect,
    export,
    explain,
    units,
    paper,
    ablate,
    estimate,
    status,
    cache,
    config,
    init,
    list_components,
    data,
    doctor,
    completion,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0 if the command succeeded, 2 for a mistake of the user, 130 if it was interrupted. Other errors are raised, and
        the process exits with 1.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names out of files need not fit the terminal's encoding
    parser = argparse.ArgumentParser(
        prog="detkit",
        description="Train, evaluate and run object detectors that consist of interchangeable parts.",
        epilog="Recipes: projects/rcnn/*.yaml. Start with: detkit train --config projects/rcnn/quick.yaml",
    )
    parser.add_argument("--version", action="version", version=f"detkit {detkit.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        sub = command.add_parser(commands)
        sub.add_argument("--debug", action="store_true", help="show the traceback of a mistake")
        sub.set_defaults(run=command.run)
    args, rest = parser.parse_known_args(arguments)
    if rest and (not hasattr(args, "overrides") or any(word.startswith("--") for word in rest)):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        args.overrides += rest  # KEY=VALUE words on both sides of an option
    try:
        if started_by_torchrun() and args.command != "train":
            raise ConfigError("only detkit train runs in several processes; start this without torchrun")
        keep_freed_memory()
        os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")  # detkit's own threads are what runs side by side
        with interruptible(), writing():
            return int(args.run(args))
    except DetkitError as error:
        if args.debug:
            traceback.print_exc()
        elif is_first_process() or not isinstance(error, ProcessLostError):
            if isinstance(error, WriteError) and hasattr(args, "places"):
                error = WriteError(error.refusal, args.places)
            print(f"detkit {args.command}: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:  # torch raises it wherever this process happens to be when a worker ends
        from detkit.system.stream import is_lost_worker

        if not is_lost_worker(error):
            raise
        print(
            f"detkit {args.command}: a worker process was ended from outside ({error}); most often memory ran out: use "
            "fewer of them (--workers) or none",
            file=sys.stderr,
        )
        return 2
    except BrokenPipeError:
        return 0
    except ImportError as error:
        library = missing_library(error)
        if not library:
            raise
        print(f"detkit {args.command}: the system library {library} is missing; {MEND_LIBRARIES}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if not is_first_process():
            return INTERRUPTED
        hint = "; the same command goes on from here" if args.command == "train" else ""
        print(f"\ndetkit {args.command}: interrupted{hint}", file=sys.stderr)
        return INTERRUPTED
