"""The command ``detkit``, also as ``python -m detkit``."""

import sys

from detkit.cli.interrupts import interrupted, interruptible


def main() -> int:
    """Runs the command. Ctrl-C ends it with one line, even while it is still being imported."""
    try:
        with interruptible():
            from detkit.cli.main import main as run

            return run()
    except KeyboardInterrupt:
        return interrupted()


if __name__ == "__main__":
    sys.exit(main())
