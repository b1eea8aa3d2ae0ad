"""What every objective on regions keeps; those on other batches are checked as far as their constructor tells."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from detkit.backbones.tiny import TinyNet
from detkit.config.schema import given_of
from detkit.proposals.sliding_window import SlidingWindow
from detkit.regions.base import RegionExtractor
from detkit.regions.image_centric import ImageCentric
from detkit.regions.index import RegionIndex
from detkit.regions.shared_map import SharedMap
from detkit.regions.warped_crops import WarpedCrops
from detkit.structures import Annotations, Boxes, Sample
from detkit.system.compute import Compute
from detkit.system.seeding import torch_seed
from detkit.system.world import ALONE
from detkit.testing.expect import expect
from detkit.training.finetune import FinetuneSettings
from detkit.training.objective import Batch
from detkit.training.region_objective import RegionObjective

K = 2
GIVEN = {"index", "extractor", "sampler", "layers", "settings", "seed"}


@contextmanager
def _on_regions(make: Any, extractor: RegionExtractor | None = None) -> Iterator[tuple[RegionObjective, TinyNet]]:
    """The objective on regions of two drawn images, by default on their crops, and a network."""
    with tempfile.TemporaryDirectory() as folder, torch_seed(0, "contract"):
        samples = []
        for number in range(K):
            pixels = np.full((60, 80, 3), 40, np.uint8)
            pixels[10:40, 20:50, number] = 250
            path = Path(folder) / f"image{number}.png"
            cv2.imwrite(str(path), pixels)
            truth = Annotations.of(Boxes.of([[20, 10, 50, 40]]), [number])
            samples.append(Sample(path.stem, path, (60, 80), truth))
        found = [SlidingWindow().propose(np.zeros((60, 80, 3), np.uint8)) for _ in samples]
        backbone = TinyNet(input_size=16, width=4, fc_dim=8)
        objective: RegionObjective = make(
            index=RegionIndex.build(samples, found, K),
            extractor=extractor or WarpedCrops(input_size=16, padding=1),
            sampler=ImageCentric(batch_size=8),
            layers=backbone.layers,
            settings=FinetuneSettings(head_std=0.1),
            seed=3,
        )
        backbone.eval()
        with torch.no_grad():
            objective.prepare(backbone, Compute(torch.device("cpu"), torch.float32, compile=False))
        yield objective, backbone


def _is_of_regions(make: Any) -> bool:
    return issubclass(make.component, RegionObjective)


def it_names_the_heads_that_it_leaves(make: Any) -> None:
    """Texts."""
    leaves = make.component.leaves
    expect(isinstance(leaves, tuple) and all(isinstance(name, str) for name in leaves), f"leaves: {leaves!r}")


def an_objective_on_regions_is_given_regions(make: Any) -> None:
    """By the builder, and nothing else."""
    if _is_of_regions(make):
        more = given_of(make.component) - GIVEN
        expect(not more, f"the builder gives {sorted(GIVEN)}, but its constructor asks for {sorted(more)}, too")


def a_batch_depends_on_its_number_alone(make: Any) -> None:
    """A resumed run makes it again."""
    if not _is_of_regions(make):
        return
    with _on_regions(make) as (objective, _):
        first = objective.batch(4, ALONE)
        objective.batch(5, ALONE)
        again = objective.batch(4, ALONE)
        same = all(np.array_equal(first.targets[name], again.targets[name]) for name in first.targets)
        expect(same and list(first.image_ids) == list(again.image_ids), "the batch of iteration 4 was another one")
        expect(first.total == len(next(iter(first.targets.values()))), "total is not the number of rows")


def losses_are_finite_numbers_whose_gradients_reach_heads_and_network(make: Any) -> None:
    """Each a scalar; all parts of the objective are learnt."""
    if not _is_of_regions(make):
        return
    with _on_regions(make) as (objective, backbone):
        losses = objective.losses(backbone, objective.batch(0, ALONE))
        expect(losses.terms, "there is no loss")
        for name, term in losses.terms.items():
            expect(term.shape == () and bool(torch.isfinite(term)), f"the loss {name} is {term}")
        total = torch.stack(list(losses.terms.values())).sum()
        parameters = {**dict(objective.named_parameters()), "conv1": backbone.conv1.weight}
        found = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
        without = [name for name, gradient in zip(parameters, found, strict=True) if gradient is None]
        expect(not without, f"no gradient reaches {', '.join(without)}")


def losses_of_parts_of_a_batch_add_up(make: Any) -> None:
    """Processes each take some images of a step, and add their losses."""
    if not _is_of_regions(make):
        return
    with _on_regions(make) as (objective, backbone), torch.no_grad():
        whole = objective.batch(0, ALONE)
        ends = np.cumsum([len(next(iter(one.values()))) for one in whole.inputs])
        parts, start = [], 0
        for number, end in enumerate(ends):
            targets = {name: rows[start:end] for name, rows in whole.targets.items()}
            parts.append(Batch(whole.inputs[number : number + 1], targets, whole.image_ids, whole.total))
            start = int(end)
        expected = objective.losses(backbone, whole).terms
        for name, term in expected.items():
            added = sum(float(objective.losses(backbone, part).terms[name]) for part in parts)
            close = abs(added - float(term)) <= 1e-4 * max(1.0, abs(float(term)))
            expect(close, f"the loss {name} is {float(term)}, but {added} as the sum of its parts")


def heads_are_those_that_it_names(make: Any) -> None:
    """(outputs, D) and (outputs,) on the CPU; "class" has a row for background, "box" four for each class.

    D is the number of a region's features, which an extractor may raise above the backbone's.
    """
    if not _is_of_regions(make):
        return
    wider = SharedMap(input_size=16, padding=1, short_sides=(48,), wider=1.5)
    with _on_regions(make, wider) as (objective, backbone):
        heads = objective.heads()
        expect(tuple(heads) == make.component.leaves, f"heads gave {tuple(heads)}, leaves says {make.component.leaves}")
        layers = objective.extractor.describe(backbone.layers)
        for name, layer in objective.head_layers().items():
            rows = {"class": K + 1, "box": 4 * K}.get(name, heads[name].weight.shape[0])
            shape, expected = tuple(heads[name].weight.shape), (rows, layers[layer].dim)
            expect(shape == expected, f"the head {name} on {layer} is {shape}, expected {expected}")


CHECKS = (
    it_names_the_heads_that_it_leaves,
    an_objective_on_regions_is_given_regions,
    a_batch_depends_on_its_number_alone,
    losses_are_finite_numbers_whose_gradients_reach_heads_and_network,
    losses_of_parts_of_a_batch_add_up,
    heads_are_those_that_it_names,
)
