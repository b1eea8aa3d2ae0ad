"""Training of a backbone and new heads towards an objective."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import torch
from torch import Tensor, nn

from detkit.backbones.base import Backbone
from detkit.backbones.fuse import norms_folded
from detkit.config.ranges import Fraction, NonNegative, Positive
from detkit.errors import DetkitError, ModelError
from detkit.system.compute import Compute
from detkit.system.seeding import torch_seed
from detkit.system.stream import in_threads
from detkit.system.world import ALONE, World
from detkit.training.checkpoint import load_checkpoint, save_checkpoint
from detkit.training.hooks import Checkpoint, FiniteLoss, MetricsWriter, ProgressHook, some_of
from detkit.training.objective import logged
from detkit.training.optim import CaffeSGD, caffe_rules, step_lr
from detkit.training.tensorboard import TensorBoard
from detkit.training.trainer import Trainer

if TYPE_CHECKING:
    from detkit.training.objective import Objective
    from detkit.training.validation import Validation

CHECKPOINT = "checkpoint.safetensors"
METRICS = "metrics.jsonl"


@dataclass(frozen=True, kw_only=True)
class SolverSettings:
    """How stochastic gradient descent runs.

    Args:
        iterations: steps in all.
        lr: learning rate of the first step.
        lr_drop_every: steps after which the rate is multiplied by ``lr_gamma``, again and again.
        lr_gamma: what it is multiplied by.
        momentum: share of the last move that is made again.
        weight_decay: weight of half the squared norm of the weights; biases do not decay.
        bias_lr_factor: how much faster biases are learnt.
        head_lr_factor: how much faster the new head is learnt.
        head_norm: mean norm that the features are centred and scaled to before the new head; 0 leaves them as they are,
            as the paper does with fc7.
        head_std: deviation of the Gaussian that the head's weights start from; its biases start from 0.
        mirror: whether half of the crops, drawn anew each time, are mirrored.
        checkpoint_every: steps after which the state is kept on disk.
    """

    iterations: Annotated[int, Positive]
    lr: Annotated[float, Positive]
    lr_drop_every: Annotated[int, Positive]
    lr_gamma: Annotated[float, Fraction] = 0.1
    momentum: Annotated[float, Fraction] = 0.9
    weight_decay: Annotated[float, NonNegative] = 0.0005
    bias_lr_factor: Annotated[float, Positive] = 2.0
    head_lr_factor: Annotated[float, Positive] = 1.0
    head_norm: Annotated[float, NonNegative] = 0.0
    head_std: Annotated[float, NonNegative] = 0.01
    mirror: bool = True
    checkpoint_every: Annotated[int, Positive] = 1000


def train(
    backbone: Backbone,
    objective: Objective,
    settings: SolverSettings,
    *,
    name: str,
    compute: Compute,
    workers: int,
    seed: int,
    folder: Path,
    world: World = ALONE,
    validation: Validation | None = None,
    tensorboard: Path | None = None,
) -> None:
    """Trains a backbone, as far as its parameters require gradients, and the heads of an objective, in place.

    A run that was cut off goes on from the checkpoint in ``folder`` and ends, on one machine's CPU, with the same bits
    as one that was not. Both are left in eval mode.

    Several processes each take a part of every batch and add their gradients up, so a step is the same step, but for
    rounding and for what dropout draws. Process 0 keeps the checkpoint and the metrics.

    Args:
        backbone: where training starts.
        objective: makes the batches, and says what the outputs cost.
        settings: how gradient descent runs.
        name: "finetune" or "pretrain": labels bars and messages, seeds the random numbers; in capitals it is the
            section of the config.
        compute: device and dtype.
        workers: threads that make batches.
        seed: with it every random number is fixed.
        folder: keeps the checkpoint and the metrics.
        world: the processes that share each step.
        validation: measures loss and accuracy on other images at intervals; the training is the same without.
        tensorboard: where event files of the metrics go; None for none.

    Raises:
        DetkitError: the loss or a weight is no number, or making a batch failed.
        ModelError: the folder's checkpoint is of another network.
    """
    net = nn.ModuleDict({"backbone": backbone, "head": objective}).train()
    compute.prepare(net)
    rules = caffe_rules(
        net, head="head", head_lr_factor=settings.head_lr_factor, bias_lr_factor=settings.bias_lr_factor
    )
    optimizer = CaffeSGD(rules, momentum=settings.momentum, weight_decay=settings.weight_decay)
    state = _State(net, optimizer, folder / CHECKPOINT)
    start, stop = state.load() if world.is_first else 0, settings.iterations
    if start == 0 and world.is_first:
        net.eval()
        with torch.no_grad(), compute.autocast():
            objective.prepare(backbone, compute)
        net.train()
    start = world.tell(start)
    world.copy_first(state.tensors().values())
    image_ids: Sequence[str] = ()

    def step(iteration: int) -> dict[str, float]:
        nonlocal image_ids
        batch = next(batches)
        image_ids = batch.image_ids
        with torch_seed(seed, name, "step", iteration, *world.others_number), compute.autocast():
            losses = objective.losses(backbone, batch)
        sum(losses.terms.values(), torch.zeros(())).backward()
        optimizer.add_up_gradients(world)
        metrics = logged(losses, world)
        if not math.isfinite(metrics["loss"]):
            image_ids = world.gather(image_ids)
        lr = step_lr(settings.lr, iteration, every=settings.lr_drop_every, gamma=settings.lr_gamma)
        optimizer.step(lr)
        return {"lr": lr, **metrics, **validated(iteration + 1)}

    def validated(done: int) -> dict[str, float]:
        if validation is None or not validation.is_due(done, stop):
            return {}
        net.eval()
        found = validation.measure(backbone, name=name, compute=compute, workers=workers, seed=seed, world=world)
        net.train()
        return found

    advice = f"lower {name.upper()}.LR (now {settings.lr})"

    def save(done: int) -> None:
        if not all(bool(weights.isfinite().all()) for weights in net.parameters()):
            raise DetkitError(
                f"{name}: iteration {done - 1} left weights that are no numbers (images {some_of(image_ids)}); {advice}"
            )
        state.save(done)

    hooks = [
        FiniteLoss(name, lambda: image_ids, advice),
        MetricsWriter(folder / METRICS, also_every=validation.every if validation else 0),
        *([TensorBoard(folder / METRICS, tensorboard)] if tensorboard else []),
        Checkpoint(save, settings.checkpoint_every),
        ProgressHook(name),
    ]
    threads = in_threads(partial(objective.batch, world=world), start, stop, workers)
    with closing(threads) as batches, norms_folded(backbone):
        Trainer(step, hooks if world.is_first else []).run(start, stop)
    net.eval()


@dataclass(frozen=True, eq=False)
class _State:
    """All that a resumed run needs: weights, buffers, velocities and the number of iterations that are done."""

    net: nn.Module
    optimizer: CaffeSGD
    path: Path

    def tensors(self) -> dict[str, Tensor]:
        velocity = {f"momentum.{name}": v for name, v in self.optimizer.velocity.items()}
        return {**self.net.state_dict(), **velocity}

    def save(self, iteration: int) -> None:
        save_checkpoint(self.path, self.tensors(), {"iteration": iteration})

    def load(self) -> int:
        """Puts the checkpoint's state in place and gives its iteration; 0 where there is none."""
        if not self.path.is_file():
            return 0
        stored, meta = load_checkpoint(self.path)
        own = self.tensors()
        _check_same_tensors(self.path, stored, own)
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(stored[name])
        return int(meta["iteration"])


def _check_same_tensors(path: Path, stored: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    for name in sorted(stored.keys() | own.keys()):
        found, expected = (tuple(t[name].shape) if name in t else "nothing" for t in (stored, own))
        if found != expected:
            raise ModelError(
                f"{path}: a checkpoint of another network: {name} is {found}, expected {expected}; "
                "delete it to start again"
            )
