"""Programs in processes that know nothing of detkit yet."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path


def run_fresh(
    program: str, *words: str, cwd: Path | None = None, forget: Sequence[str] = ("detkit",)
) -> subprocess.CompletedProcess[str]:
    """Runs a program as ``python -c`` does, but in a forked process, which need not import torch again.

    Args:
        program: the text of it.
        words: its arguments.
        cwd: its working folder; this process's where it is None.
        forget: packages that are not imported there yet.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        number = os.fork()
        if not number:
            for stream, descriptor in ((out, 1), (err, 2)):
                os.dup2(stream.fileno(), descriptor)
            sys.stdout, sys.stderr = (os.fdopen(descriptor, "w", closefd=False) for descriptor in (1, 2))
            sys.argv[:] = ["-c", *words]
            os._exit(_run(program, cwd or Path.cwd(), forget))
        _, status = os.waitpid(number, 0)
        for stream in (out, err):
            stream.seek(0)
        return subprocess.CompletedProcess(list(words), os.waitstatus_to_exitcode(status), out.read(), err.read())


def _run(program: str, cwd: Path, forget: Sequence[str]) -> int:
    """The exit code of the program."""
    code: object = 1
    try:
        os.chdir(cwd)
        for name in [name for name in sys.modules if name.partition(".")[0] in forget]:
            del sys.modules[name]
        exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})
        code = 0
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(bool(code))
