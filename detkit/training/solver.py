"""Training of a backbone with a linear head on its last layer, shared by pre-training and fine-tuning."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detkit.backbones.base import Backbone
from detkit.config.ranges import Fraction, NonNegative, Positive
from detkit.errors import DetkitError, ModelError
from detkit.system.compute import Compute
from detkit.system.seeding import torch_seed
from detkit.system.stream import in_threads
from detkit.system.world import ALONE, World
from detkit.training.checkpoint import load_checkpoint, save_checkpoint
from detkit.training.head import NewHead
from detkit.training.hooks import Checkpoint, FiniteLoss, MetricsWriter, ProgressHook, some_of
from detkit.training.optim import CaffeSGD, caffe_rules, step_lr
from detkit.training.trainer import Trainer

CHECKPOINT = "checkpoint.safetensors"
METRICS = "metrics.jsonl"
CALIBRATION_IMAGES = 16
"""Images that the new head's centre and scale are taken from."""


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


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's data as a worker makes it.

    Args:
        inputs: what the step's forward pass reads.
        labels: (N,) int64, in the order of its rows.
        image_ids: the images it comes from, for messages.
        total: rows of the step in all processes.
    """

    inputs: Any
    labels: np.ndarray
    image_ids: Sequence[str]
    total: int


class BatchMaker(Protocol):
    """Makes a process's part of the batch of an iteration."""

    def __call__(self, iteration: int, world: World) -> Batch:
        """Depends on its arguments alone; several threads call it at once."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is particular to one kind of training.

    Args:
        name: "finetune" or "pretrain": labels bars and messages, seeds the random numbers; in capitals it is the
            section of the config.
        num_outputs: rows of the head.
        make_batch: runs ahead of the steps.
        features: (N, D) last layer of a batch's inputs.
        right: shares to write beside the loss, from (N, num_outputs) scores and (N,) labels: by name, how many are
            right of how many.
    """

    name: str
    num_outputs: int
    make_batch: BatchMaker
    features: Callable[[Any], Tensor]
    right: Callable[[Tensor, Tensor], Mapping[str, tuple[int, int]]]


def train(
    backbone: Backbone,
    task: Task,
    settings: SolverSettings,
    *,
    compute: Compute,
    workers: int,
    seed: int,
    folder: Path,
    world: World = ALONE,
) -> nn.Linear:
    """Trains all layers of a backbone, in place, and a new head by softmax cross-entropy averaged over the batch.

    A run that was cut off goes on from the checkpoint in ``folder`` and ends, on one machine's CPU, with the same bits
    as one that was not. The backbone is left in eval mode.

    Several processes each take a part of every batch and add their gradients up, so a step is the same step, but for
    rounding and for what dropout draws. Process 0 keeps the checkpoint and the metrics.

    Raises:
        DetkitError: the loss or a weight is no number, or making a batch failed.
        ModelError: the folder's checkpoint is of another network.
    """
    head = _new_head(backbone.layers[backbone.last_layer].dim, task, settings, seed)
    net = nn.ModuleDict({"backbone": backbone, "head": head}).train()
    compute.prepare(net)
    rules = caffe_rules(
        net, head="head", head_lr_factor=settings.head_lr_factor, bias_lr_factor=settings.bias_lr_factor
    )
    optimizer = CaffeSGD(rules, momentum=settings.momentum, weight_decay=settings.weight_decay)
    state = _State(net, optimizer, folder / CHECKPOINT)
    start, stop = state.load() if world.is_first else 0, settings.iterations
    if start == 0 and settings.head_norm and world.is_first:
        net.eval()
        with torch.no_grad(), compute.autocast():
            head.calibrate(_first_features(task), settings.head_norm)
        net.train()
    start = world.tell(start)
    world.copy_first(state.tensors().values())
    image_ids: Sequence[str] = ()

    def step(iteration: int) -> dict[str, float]:
        nonlocal image_ids
        batch = next(batches)
        image_ids = batch.image_ids
        labels = torch.from_numpy(batch.labels).to(compute.device)
        with torch_seed(seed, task.name, "step", iteration, *world.others_number), compute.autocast():
            scores = head(task.features(batch.inputs)).float()
        loss = F.cross_entropy(scores, labels, reduction="sum") / batch.total
        loss.backward()
        optimizer.add_up_gradients(world)
        metrics = _metrics(loss.detach(), task.right(scores.detach(), labels), world)
        if not math.isfinite(metrics["loss"]):
            image_ids = world.gather(image_ids)
        lr = step_lr(settings.lr, iteration, every=settings.lr_drop_every, gamma=settings.lr_gamma)
        optimizer.step(lr)
        return {"lr": lr, **metrics}

    advice = f"lower {task.name.upper()}.LR (now {settings.lr})"

    def save(done: int) -> None:
        if not all(bool(weights.isfinite().all()) for weights in net.parameters()):
            raise DetkitError(
                f"{task.name}: iteration {done - 1} left weights that are no numbers (images {some_of(image_ids)}); "
                f"{advice}"
            )
        state.save(done)

    hooks = [
        FiniteLoss(task.name, lambda: image_ids, advice),
        MetricsWriter(folder / METRICS),
        Checkpoint(save, settings.checkpoint_every),
        ProgressHook(task.name),
    ]
    with closing(in_threads(partial(task.make_batch, world=world), start, stop, workers)) as batches:
        Trainer(step, hooks if world.is_first else []).run(start, stop)
    net.eval()
    return head.folded()


def _metrics(loss: Tensor, right: Mapping[str, tuple[int, int]], world: World) -> dict[str, float]:
    """The loss and the shares of a step in all processes; a share of nothing is left out."""
    numbers = torch.tensor([float(loss), *(float(n) for pair in right.values() for n in pair)], dtype=torch.float64)
    world.add_up([numbers])
    total, *counts = numbers.tolist()
    shares = {name: hits / of for name, hits, of in zip(right, counts[::2], counts[1::2], strict=True) if of}
    return {"loss": total, **shares}


def _first_features(task: Task) -> Tensor:
    """(N, D) float32 features of the first batches, as many as show ``CALIBRATION_IMAGES`` images, at most that many.

    Regions of one image have much in common: the centre and spread of two images are not those of the data.
    """
    features: list[Tensor] = []
    images: set[str] = set()
    while len(images) < CALIBRATION_IMAGES and len(features) < CALIBRATION_IMAGES:
        batch = task.make_batch(len(features), ALONE)
        images.update(batch.image_ids)
        features.append(task.features(batch.inputs).float())
    return torch.cat(features)


def _new_head(dim: int, task: Task, settings: SolverSettings, seed: int) -> NewHead:
    with torch_seed(seed, task.name, "head"):
        head = nn.Linear(dim, task.num_outputs)
        nn.init.normal_(head.weight, std=settings.head_std)
        nn.init.zeros_(head.bias)
    return NewHead(head)


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
