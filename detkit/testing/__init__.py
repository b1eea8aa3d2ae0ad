"""Checks that a component keeps what its base class promises."""
