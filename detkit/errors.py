"""The errors that detkit raises for mistakes of its caller."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

LONGEST = 2000


class DetkitError(Exception):
    """A mistake of the caller. One line says what is wrong, what is allowed and where the value comes from.

    The command line prints it without a traceback and exits with 2.
    """

    def __str__(self) -> str:
        return one_line(super().__str__())


class ConfigError(DetkitError):
    """A config file or command-line override that cannot be used."""


class DataError(DetkitError):
    """An image, annotation, split or data-set folder that cannot be used.

    Args:
        message: the mistake, or the first of several.
        problems: all mistakes that were found, a line each; empty if there is only one.
    """

    def __init__(self, message: str, problems: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.problems = tuple(problems) or (str(self),)


class WeightsError(DetkitError):
    """A weights file that is missing, of another network or unreadable."""


class ModelError(DetkitError):
    """A model folder or artefact that cannot be loaded."""


class ComponentError(DetkitError):
    """A registered component whose result breaks the contract of its kind."""


class ProcessLostError(DetkitError):
    """Another process of the run has ended, so this one cannot go on."""


class WriteError(DetkitError):
    """A file that the file system refuses to write.

    Args:
        refusal: the file and the system's reason.
        places: the options or keys that set the place; the command line replaces them by its own.
    """

    def __init__(self, refusal: str, places: str = "OUTPUT_DIR, ARTIFACTS and DETKIT_CACHE") -> None:
        step = f"make room, or choose folders that can be written with {places}"
        super().__init__(f"{refusal}; {step}; what is finished stays")
        self.refusal = refusal


def counted(number: int, thing: str) -> str:
    """The number and the thing, "1 image" or "2 images"."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def one_line(text: str) -> str:
    """The text as one line for a terminal. A text of more than LONGEST characters is shortened to its two ends.

    Control characters are escaped: names from files may contain them, and they could break the line or repaint the
    screen.
    """
    shown = text if len(text) <= LONGEST else f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    return "".join(c if _is_harmless(c) else c.encode("unicode_escape").decode() for c in shown)


def _is_harmless(character: str) -> bool:
    kind = unicodedata.category(character)
    return kind[0] != "C" and kind not in ("Zl", "Zp")
