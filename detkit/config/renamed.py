"""Keys that have another name by now."""

from __future__ import annotations

from collections.abc import Mapping

RENAMED: Mapping[str, str] = {}
"""For each key that is gone, in full ("FINETUNE.LR"), a sentence that names the key or keys to write instead."""
