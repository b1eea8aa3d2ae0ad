"""Checks that a component keeps the contract of its base class."""

from collections.abc import Iterator
from contextlib import contextmanager

from detkit.components import load_components
from detkit.registry import Registry
from detkit.testing.check import ContractError, check_component, checks_of

__all__ = ["ContractError", "check_component", "checks_of", "isolated"]


@contextmanager
def isolated(registry: Registry) -> Iterator[Registry]:
    """A block that removes the classes registered inside it when it ends, for tests of components.

    It loads detkit's own components first, because a module registers its classes only at its first import.
    """
    load_components()
    with registry.isolated():
        yield registry
