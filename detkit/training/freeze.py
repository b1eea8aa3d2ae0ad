"""The part of a backbone that is trained."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from detkit.errors import ConfigError
from detkit.registry import nearest

HEADS = "heads"
"""Names no layer of the backbone: only the new heads are learnt."""


def freeze_before(backbone: nn.Module, first: str, *, change: bool = True) -> None:
    """Freezes the parameters before a layer: they are not trained, do not decay, and get no gradient.

    Args:
        backbone: its parameters are registered in the order of the forward pass.
        first: the first layer that is trained, as the prefix of its parameters' names ("conv3", "features.10"); "heads"
            freezes all layers, empty none.
        change: False only checks the name.

    Raises:
        ConfigError: if no parameter has this prefix.
    """
    names = [name for name, _ in backbone.named_parameters()]
    if first in ("", HEADS):
        start = 0 if not first else len(names)
    else:
        start = next((i for i, name in enumerate(names) if f"{name}.".startswith(f"{first}.")), -1)
    if start < 0:
        layers = list(dict.fromkeys(_layers(names)))
        raise ConfigError(
            f"FINETUNE.TUNE_FROM: no layer {first!r}.{nearest(first, layers)} Layers: {', '.join(layers)}; or {HEADS}."
        )
    for number, parameter in enumerate(backbone.parameters() if change else ()):
        parameter.requires_grad_(number >= start)


def _layers(names: Iterable[str]) -> list[str]:
    """The modules that hold the parameters."""
    return [name.rpartition(".")[0] for name in names]
