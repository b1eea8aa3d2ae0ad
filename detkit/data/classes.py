"""The selected classes of a data set, and the rule for objects of other classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Literal

from detkit.errors import ConfigError, DataError
from detkit.registry import nearest
from detkit.structures import OTHER_CLASS

Others = Literal["stop", "ignore", "drop"]
"""What becomes of an object of a class that is not asked for: a mistake, a region that nothing is learnt from and that
is not judged, or a part of the background."""


class Classes:
    """The selected classes. It counts the objects of other classes.

    Args:
        names: the K classes in label order.
        others: the rule for objects of other classes.
        section: the config section of the data set, for messages.
    """

    def __init__(self, names: Sequence[str], others: Others, section: str) -> None:
        self.names, self._others, self._section = tuple(names), others, section
        self._labels = {name: label for label, name in enumerate(self.names)}
        self._num_seen = 0
        self._found: Counter[str] = Counter()

    def label(self, name: str, where: str) -> int | None:
        """The label of an object: its class, OTHER_CLASS, or None if it is left out.

        Args:
            name: its class.
            where: names the object in messages.

        Raises:
            DataError: if it is of another class and ``others`` is "stop".
        """
        self._num_seen += 1
        if name in self._labels:
            return self._labels[name]
        self._found[name] += 1
        if self._others == "stop":
            raise DataError(
                f"{where} is of no class in {self._section}.CLASSES.{nearest(name, self.names)} Expected one of "
                f"{', '.join(self.names)}, or add {self._section}.OTHER_CLASSES=ignore (the image is kept, nothing is "
                f"learnt or judged there) or {self._section}.OTHER_CLASSES=drop (the object is background)"
            )
        return OTHER_CLASS if self._others == "ignore" else None

    def summary(self) -> list[str]:
        """A line about the objects of other classes; empty if there are none."""
        if not self._found:
            return []
        total = self._found.total()
        names = ", ".join(f"{count} {name}" for name, count in sorted(self._found.items()))
        return [
            f"{total} of {self._num_seen} objects ({total / self._num_seen:.1%}) are of other classes than "
            f"{self._section}.CLASSES ({names}); OTHER_CLASSES: {self._others} {_EFFECTS[self._others]}"
        ]


_EFFECTS = {
    "stop": "does not take their images",
    "ignore": "keeps their images; nothing is learnt there or judged",
    "drop": "takes them for background",
}


def refuse_repeated_names(names: Sequence[str], section: str) -> None:
    """Refuses class names of a config that are empty or repeated.

    Raises:
        ConfigError: if there is such a name; it names the key.
    """
    for name, count in Counter(names).items():
        if count > 1 or not name.strip():
            raise ConfigError(f"{section}.CLASSES: {name!r} stands there {count} times; expected different names")


def differ_by_case(names: Sequence[str]) -> list[str]:
    """A line for each group of classes whose names differ only in capitals."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.casefold(), []).append(name)
    return [
        f"classes {' and '.join(group)} differ by capitals only and are learnt as different classes"
        for group in groups.values()
        if len(group) > 1
    ]
