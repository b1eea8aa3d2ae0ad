"""Settings objects out of config sections."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fvcore.common.config import CfgNode

T = TypeVar("T")


def settings_of(kind: Callable[..., T], section: CfgNode) -> T:
    """The settings of a section: ``kind`` called with the section's keys as its arguments."""
    return kind(**{k.lower(): v for k, v in section.items()})
