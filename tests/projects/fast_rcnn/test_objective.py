from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from detkit.backbones.base import LayerSpec
from detkit.backbones.tiny import TinyNet
from detkit.errors import ConfigError
from detkit.regions.index import RegionIndex
from detkit.structures import Annotations, Boxes, Proposals, Sample
from detkit.system.compute import Compute
from detkit.system.world import ALONE, World
from detkit.training.finetune import FinetuneSettings

CPU = Compute(torch.device("cpu"), torch.float32, False)
K = 2
DIMS = {"pool5": 64, "fc6": 8, "fc7": 8}


@pytest.fixture
def index(tmp_path):
    """Five noisy images of 64 px with one object each and twelve proposals around and beside it."""
    rng = np.random.default_rng(0)
    samples, proposals = [], []
    for i in range(5):
        path = tmp_path / f"image{i}.png"
        cv2.imwrite(str(path), rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        truth = np.array([10.0 + 3 * i, 12, 40 + 3 * i, 44])
        samples.append(Sample(f"image{i}", path, (64, 64), Annotations.of(Boxes.of([truth]), [i % K])))
        proposals.append(Proposals.unranked(Boxes.of(truth + rng.uniform(-14, 14, (12, 4))), (64, 64)))
    return RegionIndex.build(samples, proposals, K)


@pytest.fixture
def make(project, index):
    def make(dims=None, mirror=True, head_norm=0.0, wider=0.0, **keys):
        return project.objective.MultiTask(
            index=index,
            extractor=project.roi_pool.RoIPool(input_size=32, short_sides=(64,), wider=wider),
            sampler=project.sampler.Hierarchical(batch_size=16),
            layers={name: LayerSpec((dim,)) for name, dim in (dims or DIMS).items()},
            settings=FinetuneSettings(mirror=mirror, head_norm=head_norm),
            seed=5,
            **keys,
        )

    return make


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return TinyNet(input_size=32, width=4, fc_dim=8)


def test_heads_learn_from_both_windows_of_a_region(make, backbone):
    objective = make(wider=1.8, box_std=0.5)
    losses = objective.losses(backbone, objective.batch(0, ALONE))
    sum(losses.terms.values()).backward()
    for head in (objective.classes, objective.boxes):
        region, around = head.linear.weight.grad.chunk(2, 1)
        assert region.shape == around.shape == (len(head.linear.weight), 8)
        assert region.abs().sum() > 0 and around.abs().sum() > 0 and not torch.equal(region, around)


def test_losses_are_those_of_eqs_1_to_3_over_all_regions_of_the_step(make, backbone):
    objective = make(box_weight=2.0, sigma=3.0, box_std=0.5)
    batch = objective.batch(0, ALONE)
    labels, goals = batch.targets["labels"], batch.targets["boxes"]
    assert batch.total == len(labels) and 0 < (labels < K).sum() < len(labels)
    found = objective.losses(backbone, batch)
    features = objective.extractor.forward(backbone, batch.inputs, ["fc7"])["fc7"].detach().numpy().astype(np.float64)
    scores, moves = (
        features @ head.linear.weight.detach().numpy().T + head.linear.bias.detach().numpy()
        for head in (objective.classes, objective.boxes)
    )
    classes = boxes = 0.0
    for row, move, label, goal in zip(scores, moves, labels, goals, strict=True):
        classes += np.log(np.exp(row).sum()) - row[label]
        if label < K:
            x = np.abs(move[4 * label : 4 * label + 4] - goal)
            boxes += np.where(x < 1 / 9, 4.5 * x**2, x - 1 / 18).sum()
    assert float(found.terms["class"].detach()) == pytest.approx(classes / batch.total, rel=1e-5)
    assert float(found.terms["box"].detach()) == pytest.approx(2 * boxes / batch.total, rel=1e-5)
    counts = {name: of for name, (_, of) in found.right.items()}
    assert counts == {"foreground_accuracy": (labels < K).sum(), "background_accuracy": (labels == K).sum()}


def test_only_the_boxes_of_the_true_class_are_learnt(make, backbone):
    objective = make()
    batch = objective.batch(0, ALONE)
    objective.losses(backbone, batch).terms["box"].backward()
    learnt = {k for k in range(K) if objective.boxes.linear.weight.grad[4 * k : 4 * k + 4].abs().sum() > 0}
    assert learnt == set(batch.targets["labels"].tolist()) - {K} and learnt
    assert objective.classes.linear.weight.grad is None


def test_boxes_are_learnt_from_the_layer_that_is_asked_for(make, backbone):
    objective = make(box_layer="pool5", box_std=0.5, head_norm=3.0)
    with torch.no_grad():
        objective.prepare(backbone, CPU)
    batch = objective.batch(0, ALONE)
    found = objective.losses(backbone, batch).terms
    pooled = objective.extractor.forward(backbone, batch.inputs, ["pool5"])["pool5"].detach()
    heads = objective.heads()
    assert heads["box"].weight.shape == (4 * K, 64) and heads["class"].weight.shape == (K + 1, 8)
    moves = ((pooled - objective.boxes.mean) * objective.boxes.scale) @ objective.boxes.linear.weight.T
    rows = np.flatnonzero(batch.targets["labels"] < K)
    own = moves.unflatten(1, (-1, 4))[rows, batch.targets["labels"][rows]].detach().numpy()
    x = np.abs(own - batch.targets["boxes"][rows])
    cost = np.where(x < 1, 0.5 * x**2, x - 0.5).sum() / batch.total
    assert float(found["box"].detach()) == pytest.approx(cost, rel=1e-4)


def test_a_layer_that_the_network_has_not_is_refused_by_name(make):
    with pytest.raises(ConfigError, match=r"no layer 'pool'. Did you mean pool5\?.* fc6, fc7"):
        make(box_layer="pool")


def test_layers_start_as_published(make):
    objective = make({"fc7": 2000})
    for head, rows, std in ((objective.classes, K + 1, 0.01), (objective.boxes, 4 * K, 0.001)):
        assert head.linear.weight.shape == (rows, 2000) and head.linear.bias.abs().sum() == 0
        assert float(head.linear.weight.detach().std()) == pytest.approx(std, rel=0.05)
    assert objective.leaves == ("class", "box")


def test_batches_are_pure_and_targets_follow_the_mirror(make, index):
    objective = make()
    batches = [objective.batch(i, ALONE) for i in (0, 1, 2, 3, 0)]
    for name, values in batches[0].targets.items():
        assert np.array_equal(values, batches[-1].targets[name])
    mirrored = False
    for batch in batches:
        rows, flips = batch.targets["rows"], batch.targets["flips"]
        for _, positions in index.by_image(rows):
            assert len(set(flips[positions])) == 1  # an image is mirrored as a whole
        is_mirrored = flips & (batch.targets["labels"] < K)
        plain = objective.targets.take(rows, np.zeros(len(rows), bool))
        np.testing.assert_allclose(batch.targets["boxes"][is_mirrored, 0], -plain[is_mirrored, 0], atol=1e-6)
        np.testing.assert_array_equal(batch.targets["boxes"][:, 1:], plain[:, 1:])
        mirrored |= bool(is_mirrored.any())
    assert mirrored


def test_two_processes_add_up_to_one(make, backbone):
    objective = make()
    backbone.requires_grad_(False), objective.requires_grad_(False)
    whole = objective.losses(backbone, objective.batch(0, ALONE)).terms
    parts = [objective.losses(backbone, objective.batch(0, World(rank, 2))).terms for rank in range(2)]
    for name in whole:
        assert float(sum(p[name] for p in parts)) == pytest.approx(float(whole[name]), rel=1e-5)


@pytest.mark.parametrize("norm", [0.0, 20.0])
def test_heads_are_plain_layers_that_give_scores_and_moves_in_pixels(make, backbone, norm):
    objective = make(head_norm=norm, box_std=0.1)
    with torch.no_grad():
        objective.prepare(backbone, CPU)
    batch = objective.batch(0, ALONE)
    features = objective.extractor.forward(backbone, batch.inputs, ["fc7"])["fc7"].detach()
    with torch.no_grad():
        scores, moves = objective.classes(features), objective.boxes(features)
    heads = objective.heads()
    torch.testing.assert_close(features @ heads["class"].weight.T + heads["class"].bias, scores, rtol=0, atol=1e-5)
    targets = objective.targets
    expected = moves.view(-1, K, 4) * torch.from_numpy(targets.std) + torch.from_numpy(targets.mean)
    found = features @ heads["box"].weight.T + heads["box"].bias
    torch.testing.assert_close(found.view(-1, K, 4), expected, rtol=0, atol=1e-5)


def test_a_hundred_steps_on_one_image_move_its_regions_onto_the_object(make, backbone):
    torch.manual_seed(1)
    objective = make(mirror=False)
    solver = torch.optim.SGD([*backbone.parameters(), *objective.parameters()], lr=0.03, momentum=0.9)
    batch = objective.batch(0, ALONE)
    first = None
    for _ in range(100):
        solver.zero_grad()
        terms = objective.losses(backbone, batch).terms
        sum(terms.values()).backward()
        solver.step()
        first = first or {name: float(t.detach()) for name, t in terms.items()}
    assert all(float(t.detach()) < 0.5 * first[name] for name, t in terms.items())


def test_other_than_four_deviations_are_refused(make):
    with pytest.raises(ConfigError, match=r"OBJECTIVE.MultiTask.TARGET_STDS: \[0.1, 0.2\] are not four numbers"):
        make(target_stds=(0.1, 0.2))
