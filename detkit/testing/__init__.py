"""Checks that a component keeps what its base class promises."""

from detkit.testing.check import ContractError, check_component, checks_of

__all__ = ["ContractError", "check_component", "checks_of"]
