"""Training of a backbone and new heads towards an objective."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
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
from detkit.training.objective import Losses, logged
from detkit.training.optim import CaffeSGD, caffe_rules, step_lr
from detkit.training.tensorboard import TensorBoard
from detkit.training.trainer import Trainer

if TYPE_CHECKING:
    from detkit.training.objective import Batch, Objective
    from detkit.training.validation import Validation

CHECKPOINT = "checkpoint.safetensors"
STEPS_FILE = "metrics.jsonl"


@dataclass(frozen=True, kw_only=True)
class SolverSettings:
    """How stochastic gradient descent runs.

    Args:
        iterations: number of steps.
        lr: learning rate of the first step.
        lr_drop_every: the learning rate is multiplied by ``lr_gamma`` each time after this number of steps.
        lr_gamma: factor on the learning rate at each drop.
        momentum: share of the last move that is repeated in a step.
        weight_decay: weight of half the squared norm of the weights; biases do not decay.
        bias_lr_factor: factor on the learning rate of biases.
        head_lr_factor: factor on the learning rate of the new head.
        head_norm: mean norm of the features before the new head, after centring and scaling; 0 does neither, as the
            paper with fc7.
        head_std: standard deviation of the head's Gaussian first weights; its biases start at 0.
        mirror: whether each crop is mirrored with probability one half, drawn anew each time.
        parts: number of parts of a step. They are computed one after another, and their gradients are added up. More
            parts need less memory, up to the number of images of a step: a part of regions takes whole images. The step
            is the same, except for rounding and the random numbers of dropout.
        checkpoint_every: number of steps between checkpoints on disk.
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
    parts: Annotated[int, Positive] = 1
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
    """Trains a backbone's parameters that require gradients, and an objective's heads, in place.

    An interrupted run resumes from the checkpoint in ``folder``. On one machine's CPU it ends with the same bits as a
    run without interruption. Backbone and heads are left in eval mode.

    With several processes, each takes a part of every batch, and their gradients are added up. A step is then the same
    as in one process, except for rounding and the random numbers of dropout. Process 0 writes the checkpoint and the
    metrics.

    Args:
        backbone: the network to start from.
        objective: makes the batches and computes the losses.
        settings: how gradient descent runs.
        name: "finetune" or "pretrain". It labels bars and messages and seeds the random numbers; in capitals it is
            the section of the config.
        compute: device and dtype.
        workers: threads that make batches.
        seed: fixes every random number.
        folder: holds the checkpoint and the metrics.
        world: the processes that share each step.
        validation: measures loss and accuracy on other images at intervals; it does not change the training.
        tensorboard: folder of event files of the metrics; None writes none.

    Raises:
        DetkitError: if the loss or a weight is nan or infinite, or making a batch failed.
        ModelError: if the folder's checkpoint is of another network.
    """
    net = nn.ModuleDict({"backbone": backbone, "head": objective}).train()
    net.zero_grad()  # an interrupted step may have left the gradients of its first parts
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
    image_ids: list[str] = []
    parts = [world.part(number, settings.parts) for number in range(settings.parts)]

    def batch_of(turn: int) -> Batch:
        return objective.batch(turn // settings.parts, parts[turn % settings.parts])

    def step(iteration: int) -> dict[str, float]:
        nonlocal image_ids
        image_ids, losses = [], []
        for part in parts:
            batch = next(batches)
            image_ids += batch.image_ids
            with torch_seed(seed, name, "step", iteration, *part.others_number), compute.autocast():
                losses.append(objective.losses(backbone, batch))
            sum(losses[-1].terms.values(), torch.zeros(())).backward()
        optimizer.add_up_gradients(world)
        metrics = logged(Losses.added(losses), world)
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
        MetricsWriter(folder / STEPS_FILE, also_every=validation.every if validation else 0),
        *([TensorBoard(folder / STEPS_FILE, tensorboard)] if tensorboard else []),
        Checkpoint(save, settings.checkpoint_every),
        ProgressHook(name),
    ]
    threads = in_threads(batch_of, start * settings.parts, stop * settings.parts, workers)
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
