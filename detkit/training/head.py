"""The new last layer of a network that is being trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class NewHead(nn.Module):
    """A linear layer that may centre and scale its features first; ``folded`` returns the equal plain layer.

    Averaged maps have a large common part (SqueezeNet's mean norm is 79), so gradient descent can take only tiny steps.
    Without that part, the learning rates of networks with fully connected layers work.

    Args:
        linear: the layer, (num_outputs, D).
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear
        self.register_buffer("mean", torch.zeros(linear.in_features))
        self.register_buffer("scale", torch.ones(()))

    def calibrate(self, features: Tensor, norm: float) -> None:
        """Sets centre and scale from (N, D) features, so that the mean distance from the centre becomes ``norm``."""
        self.mean.copy_(features.mean(0))
        self.scale.copy_(norm / (features - self.mean).norm(dim=1).mean().clamp(min=1e-12))

    def forward(self, features: Tensor) -> Tensor:
        """(N, num_outputs) float32 scores of (N, D) features."""
        return self.linear((features.float() - self.mean) * self.scale)

    @torch.no_grad()
    def folded(self) -> nn.Linear:
        """The equal plain layer, on features that are neither centred nor scaled."""
        plain = nn.Linear(self.linear.in_features, self.linear.out_features, device=self.linear.weight.device)
        plain.weight.copy_(self.linear.weight * self.scale)
        plain.bias.copy_(self.linear.bias - plain.weight @ self.mean)
        return plain
