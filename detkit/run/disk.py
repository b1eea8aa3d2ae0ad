"""How much disk the large results of a run take, and whether it is there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from detkit.backbones.base import LayerSpec
from detkit.backbones.shapes import network_bytes
from detkit.config.node import Config
from detkit.errors import ConfigError
from detkit.training.solver import CHECKPOINT


@dataclass(frozen=True)
class DiskNeed:
    """Bytes that a step writes.

    Args:
        kept: of what stays.
        temporary: of the checkpoints that are beside it while the step runs.
    """

    kept: int = 0
    temporary: int = 0

    def without(self, folder: Path) -> DiskNeed:
        """What is left of it where files of the step lie in its folder already."""
        sizes = {file.name: file.stat().st_size for file in folder.glob("*.safetensors")}
        checkpoint = sizes.pop(CHECKPOINT, 0)
        return DiskNeed(max(0, self.kept - sum(sizes.values())), max(0, self.temporary - checkpoint))


HALF, ROW_NUMBER = 2, 8
"""Bytes of a stored number and of the int64 that says which region it is of."""


def feature_bytes(rows: Mapping[str, int], layers: Mapping[str, LayerSpec]) -> int:
    """Bytes that stored features take, less the few of the files' headers.

    Args:
        rows: regions kept of each layer.
        layers: the backbone's layers.
    """
    return sum(count * (HALF * layers[layer].dim + ROW_NUMBER) for layer, count in rows.items())


def training_need(config: Config) -> DiskNeed:
    """What training the configured backbone takes at most: its file, and beside it a new and an old checkpoint.

    A checkpoint holds the weights and their velocities.
    """
    return DiskNeed(network_bytes(config), 4 * network_bytes(config))


def free_bytes(folder: Path) -> int:
    """Free bytes of the disk on which a folder lies or would lie."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    return shutil.disk_usage(there).free


def refuse_small_disk(root: Path, needed: Mapping[str, DiskNeed]) -> None:
    """Refuses to begin what does not fit.

    Args:
        root: where artefacts lie.
        needed: what each step still writes.

    Raises:
        ConfigError: naming what is needed, what is free, and the keys that lower the need.
    """
    checkpoints = max((need.temporary for need in needed.values()), default=0)
    total, free = sum(need.kept for need in needed.values()) + checkpoints, free_bytes(root)
    if total > free:
        parts = {**{label: need.kept for label, need in needed.items()}, "checkpoints": checkpoints}
        steps = ", ".join(f"{label} {size / 1e9:.3g} GB" for label, size in parts.items() if size)
        raise ConfigError(
            f"ARTIFACTS: the run needs {total / 1e9:.3g} GB ({steps}), {free / 1e9:.3g} GB are free at {root}; "
            "store no features (FEATURES.STORE stream), fewer layers (FEATURES.LAYERS) or boxes "
            "(PROPOSALS.TRAIN_MAX_BOXES), or set ARTIFACTS to a folder on a larger disk"
        )
