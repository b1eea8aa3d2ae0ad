"""Checks that a component keeps what its base class promises."""

from collections.abc import Iterator
from contextlib import contextmanager

from detkit.components import load_components
from detkit.registry import Registry
from detkit.testing.check import ContractError, check_component, checks_of

__all__ = ["ContractError", "check_component", "checks_of", "isolated"]


@contextmanager
def isolated(registry: Registry) -> Iterator[Registry]:
    """Takes back what was registered inside the block when it ends; for tests of parts.

    detkit's own parts are loaded first: a module registers when it is first imported, and never again.
    """
    load_components()
    with registry.isolated():
        yield registry
