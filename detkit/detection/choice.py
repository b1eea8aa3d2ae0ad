"""The score from which each class is shown."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor

from detkit.errors import ConfigError
from detkit.registry import nearest

MinScore = float | Mapping[str, float] | None
"""One for every class, some by class name, or the model's own."""


def least_scores(
    own: Tensor, class_names: Sequence[str], min_score: MinScore = None, classes: Collection[str] | None = None
) -> Tensor:
    """(K,) float32: the lowest score that is shown, for each class; inf for classes that are not selected.

    Args:
        own: (K,) float32, the model's thresholds.
        class_names: the K classes.
        min_score: replaces the thresholds of all classes, or of those that a mapping names.
        classes: names of the selected classes; None selects all.

    Raises:
        ConfigError: if a name is of no class, or a score is nan.
    """
    by_name = min_score if isinstance(min_score, Mapping) else {}
    for name in (*by_name, *(classes or ())):
        if name not in class_names:
            known = ", ".join(class_names)
            raise ConfigError(
                f"class {name!r}: the model has no such class.{nearest(name, class_names)} It has: {known}"
            )
    least = torch.full_like(own, min_score) if isinstance(min_score, int | float) else own.clone()
    for name, score in by_name.items():
        least[class_names.index(name)] = score
    if bool(least.isnan().any()):
        raise ConfigError(f"min_score {min_score}: expected numbers, such as 0.5")
    if classes is not None:
        asked = torch.tensor([name in classes for name in class_names])
        least = torch.where(asked, least, math.inf)
    return least
