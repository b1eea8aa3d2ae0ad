"""Named registries of interchangeable components."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from fvcore.common.registry import Registry as FvcoreRegistry
from typing_extensions import Self

from detkit.errors import ConfigError


def nearest(name: str, known: Iterable[str]) -> str:
    """The text " Did you mean ...?" with the most similar known name, or an empty string."""
    by_lower = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return f" Did you mean {by_lower[close[0]]}?" if close else ""


class Registry(FvcoreRegistry):
    """Maps component names to classes. The error for an unknown name names the nearest one and lists all."""

    def register(self, obj: Any = None, *, name: str = "") -> Any:
        """Register a class under its own name, as ``@REGISTRY.register()``, or under a given name.

        A class that is defined again in ``__main__``, as in a notebook, replaces the one before.

        Raises:
            ConfigError: if another class has the name.
        """
        if obj is None:
            return partial(self.register, name=name)
        name = name or obj.__name__
        taken = self._obj_map.get(name)
        if taken is not None and _is_another(taken, obj):
            raise ConfigError(
                f"{self._name}: the name {name!r} of {obj.__module__} is already taken by "
                f"{taken.__module__}.{taken.__qualname__}; give the class another name"
            )
        self._obj_map[name] = obj
        return obj

    def get(self, name: str) -> type[Any]:
        """The class registered under a name.

        Raises:
            ConfigError: if nothing is registered under this name.
        """
        if name not in self._obj_map:
            names = ", ".join(sorted(self._obj_map)) or "nothing"
            raise ConfigError(f"{self._name}: no {name!r}.{nearest(str(name), self._obj_map)} Registered: {names}.")
        return self._obj_map[name]

    @contextmanager
    def isolated(self) -> Iterator[Self]:
        """Removes classes that were registered inside the block when it ends; see ``detkit.testing.isolated``."""
        before = dict(self._obj_map)
        try:
            yield self
        finally:
            self._obj_map.clear()
            self._obj_map.update(before)

    @property
    def name(self) -> str:
        """The registry's own name, for messages and ``detkit list``."""
        return self._name

    def names(self) -> list[str]:
        """All registered names in alphabetical order."""
        return sorted(self._obj_map)


def _is_another(taken: type[Any], new: type[Any]) -> bool:
    """Whether both are wanted at once: of two modules, or a second class in a module that still has the first."""
    if taken.__module__ != new.__module__:
        return True
    return new.__module__ != "__main__" and getattr(sys.modules.get(new.__module__), new.__name__, None) is taken


DATASETS = Registry("DATASETS")
PROPOSAL_GENERATORS = Registry("PROPOSAL_GENERATORS")
BACKBONES = Registry("BACKBONES")
REGION_EXTRACTORS = Registry("REGION_EXTRACTORS")
REGION_SAMPLERS = Registry("REGION_SAMPLERS")
CLASSIFIERS = Registry("CLASSIFIERS")
BOX_HEADS = Registry("BOX_HEADS")
OBJECTIVES = Registry("OBJECTIVES")
EVALUATORS = Registry("EVALUATORS")
STAGES = Registry("STAGES")
QUESTIONS = Registry("QUESTIONS")
"""Questions to a paper, by what ``detkit paper`` calls them; no recipe names one."""

ALL_REGISTRIES = (
    DATASETS,
    PROPOSAL_GENERATORS,
    BACKBONES,
    REGION_EXTRACTORS,
    REGION_SAMPLERS,
    CLASSIFIERS,
    BOX_HEADS,
    OBJECTIVES,
    EVALUATORS,
    STAGES,
)
"""Those whose names stand in recipes."""
