"""The disk space that the large results of a run need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from detkit.backbones.base import LayerSpec
from detkit.backbones.shapes import network_bytes
from detkit.config.node import Config
from detkit.errors import ConfigError
from detkit.system.files import free_bytes
from detkit.training.solver import CHECKPOINT


@dataclass(frozen=True)
class DiskNeed:
    """Bytes that a step writes.

    Args:
        kept: bytes of the result.
        temporary: bytes of checkpoints, in addition, while the step runs.
    """

    kept: int = 0
    temporary: int = 0

    def without(self, folder: Path) -> DiskNeed:
        """The need that remains, less the files that the step's folder holds already."""
        sizes = {file.name: file.stat().st_size for file in folder.glob("*.safetensors")}
        checkpoint = sizes.pop(CHECKPOINT, 0)
        return DiskNeed(max(0, self.kept - sum(sizes.values())), max(0, self.temporary - checkpoint))


HALF, ROW_NUMBER = 2, 8
"""Bytes of a stored number and of the int64 that says which region it is of."""


def feature_bytes(rows: Mapping[str, int], layers: Mapping[str, LayerSpec]) -> int:
    """Bytes of stored features, without the small headers of their files.

    Args:
        rows: number of stored regions of each layer.
        layers: the backbone's layers.
    """
    return sum(count * (HALF * layers[layer].dim + ROW_NUMBER) for layer, count in rows.items())


def training_need(config: Config) -> DiskNeed:
    """The largest need of training the configured backbone: its file, a new and an old checkpoint.

    A checkpoint holds the weights and their velocities.
    """
    return DiskNeed(network_bytes(config), 4 * network_bytes(config))


def refuse_small_disk(root: Path, needed: Mapping[str, DiskNeed]) -> None:
    """Refuses to start steps whose results do not fit on the disk.

    Args:
        root: the folder of all artefacts.
        needed: what each step still writes.

    Raises:
        ConfigError: if space is too small; it names the need, the free space, and keys that lower the need.
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
