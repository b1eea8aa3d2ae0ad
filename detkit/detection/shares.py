"""The shares of features in a score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from detkit.backbones.base import LayerSpec
from detkit.classifiers.base import Classifier
from detkit.detection.units import Unit


@dataclass(frozen=True)
class Share:
    """What one feature adds to a score: value times weight.

    Args:
        unit: the feature.
        value: x.
        weight: w of the class.
        share: w * x.
    """

    unit: Unit
    value: float
    weight: float
    share: float


@dataclass(frozen=True)
class Shares:
    """A linear score as a sum: bias + features in favour of the class + features against it.

    Args:
        output: "margin", or "logit" if the scores are the softmax of logits.
        total: the value of the output.
        bias: the value without features.
        support: the sum of all positive shares.
        against: the sum of all negative shares.
        num_support: number of features with a positive share.
        num_against: number of features with a negative share.
        largest: the largest positive shares, falling, then the largest negative ones.
    """

    output: Literal["margin", "logit"]
    total: float
    bias: float
    support: float
    against: float
    num_support: int
    num_against: int
    largest: tuple[Share, ...]

    @classmethod
    def of(
        cls, classifier: Classifier, features: Tensor, label: int, layer: str, spec: LayerSpec, most: int
    ) -> Shares | None:
        """The shares in the score of one class; None if the classifier is not linear or the class is never found.

        Args:
            classifier: the classifier.
            features: (D,) features of the region.
            label: the class.
            layer: name of the layer that the classifier reads.
            spec: shape of the layer.
            most: number of shares of each sign in ``largest``.
        """
        linear = classifier.linear()
        if linear is None or not bool(linear.bias[label].isfinite()):
            return None
        weight, x = linear.weight[label].double(), features.double()
        shares = weight * x
        order = shares.argsort(descending=True, stable=True)
        support, against = order[shares[order] > 0], order.flip(0)[shares[order.flip(0)] < 0]
        named = torch.cat([support[:most], against[:most]]).tolist()
        bias = float(linear.bias[label])
        return cls(
            output="margin" if classifier.score_kind == "margin" else "logit",
            total=bias + float(shares.sum()),
            bias=bias,
            support=float(shares[support].sum()),
            against=float(shares[against].sum()),
            num_support=len(support),
            num_against=len(against),
            largest=tuple(
                Share(Unit.of(layer, spec, i), float(x[i]), float(weight[i]), float(shares[i])) for i in named
            ),
        )
