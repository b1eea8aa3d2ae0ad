import json
import math
from contextlib import contextmanager

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from detkit.errors import DetkitError, ModelError
from detkit.system.seeding import rng_for
from detkit.system.world import ALONE
from detkit.training.checkpoint import load_checkpoint
from detkit.training.objective import Batch, Losses, Objective, first_features, new_head, plain_head
from detkit.training.solver import SolverSettings, train

SETTINGS = {"iterations": 6, "lr": 0.05, "lr_drop_every": 4, "checkpoint_every": 2}


def noise_batch(iteration, world=ALONE):
    """Sixteen noise images whose class is the brightest channel."""
    pixels = rng_for(5, "noise", iteration).random((16, 8, 8, 3), dtype=np.float32)
    labels = rng_for(5, "labels", iteration).integers(0, 3, 16)
    pixels[np.arange(16), :, :, labels] += 2
    own = world.own(range(16))
    return Batch(pixels[own], {"labels": labels[own]}, [f"image{iteration}"], total=16)


class HaltError(Exception):
    pass


class Naming(Objective):
    """Names noise images; ``passes`` tells of each network pass whether it was in train mode.

    ``halt_at`` breaks off before that iteration's network pass.
    """

    leaves = ("class",)

    def __init__(self, make_batch, halt_at, num_outputs, settings, seed):
        super().__init__()
        self.make_batch, self.halt_at, self.settings, self.passes = make_batch, halt_at, settings, []
        self.classes = new_head(16, num_outputs, std=settings.head_std, seed=seed, name="finetune")

    def prepare(self, backbone, compute):
        if self.settings.head_norm:
            seen = first_features(self, lambda batch: self.features(backbone, batch))
            self.classes.calibrate(seen, self.settings.head_norm)

    def batch(self, iteration, world):
        return self.make_batch(iteration, world)

    def features(self, backbone, batch):
        if self.halt_at is not None and len(self.passes) == self.halt_at:
            raise HaltError
        self.passes.append(backbone.training)
        return backbone(torch.from_numpy(batch.inputs).permute(0, 3, 1, 2), ["final"])["final"]

    def losses(self, backbone, batch):
        scores = self.classes(self.features(backbone, batch)).float()
        labels = torch.from_numpy(batch.targets["labels"])
        loss = F.cross_entropy(scores, labels, reduction="sum") / batch.total
        return Losses({"class": loss}, {"accuracy": (int((scores.argmax(1) == labels).sum()), len(labels))})

    def heads(self):
        return {"class": plain_head(self.classes)}


class TwoLosses(Naming):
    """The same with the loss in two parts, and a share of which nothing is known."""

    def losses(self, backbone, batch):
        (loss,) = super().losses(backbone, batch).terms.values()
        return Losses({"class": loss / 4, "box": loss * 3 / 4}, {"nothing": (0, 0)})


@pytest.fixture
def run(tmp_path, cpu):
    """Trains a network and gives its head and, of each network pass, whether it was in train mode."""

    def run(
        net,
        folder="run",
        *,
        workers=0,
        halt_at=None,
        make_batch=noise_batch,
        num_outputs=3,
        seed=3,
        kind=Naming,
        **changes,
    ):
        settings = SolverSettings(**{**SETTINGS, **changes})
        objective = kind(make_batch, halt_at, num_outputs, settings, seed)
        given = {"compute": cpu, "workers": workers, "seed": seed, "folder": tmp_path / folder}
        train(net, objective, settings, name="finetune", **given)
        return objective.heads()["class"], objective.passes

    return run


def bits(net, head):
    return {**net.state_dict(), "head.weight": head.weight, "head.bias": head.bias}


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


@pytest.mark.parametrize("halt_at", [1, 4, 5])
def test_a_resumed_run_ends_with_the_same_bits(run, backbone, halt_at):
    whole = backbone()
    expected = bits(whole, run(whole, "whole")[0])
    with pytest.raises(HaltError):
        run(backbone(), "parts", halt_at=halt_at)
    resumed = backbone()
    head, passes = run(resumed, "parts")
    assert len(passes) == 6 - halt_at // 2 * 2
    assert_same_bits(bits(resumed, head), expected)


def test_workers_do_not_change_bits(run, backbone):
    alone, helped = backbone(), backbone()
    expected = bits(alone, run(alone, "alone")[0])
    assert_same_bits(bits(helped, run(helped, "helped", workers=2)[0]), expected)


def test_the_seed_changes_the_result(run, backbone):
    a, b = run(backbone(), "a", seed=1)[0], run(backbone(), "b", seed=2)[0]
    assert not torch.equal(a.weight, b.weight)


def test_a_finished_run_is_only_read(run, backbone):
    first = backbone()
    expected = bits(first, run(first)[0])
    second = backbone()
    head, passes = run(second)
    assert passes == []
    assert_same_bits(bits(second, head), expected)


def test_the_network_learns_and_is_left_in_eval_mode(run, backbone, tmp_path):
    net = backbone()
    run(net, iterations=60, lr_drop_every=1000, head_std=0.1)
    last = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert last["iteration"] == 60
    assert last["accuracy"] > 0.8
    assert not net.training


def test_all_layers_are_trained(run, backbone):
    net, start = backbone(), backbone().state_dict()
    run(net, iterations=1)
    assert [name for name, t in net.state_dict().items() if torch.equal(t, start[name])] == []


def test_frozen_layers_stay(run, backbone):
    net, start = backbone(), backbone().state_dict()
    net.conv.requires_grad_(False)
    run(net)
    assert torch.equal(net.conv.weight, start["conv.weight"])
    assert not torch.equal(net.fc.weight, start["fc.weight"])


def test_first_loss_of_an_all_zero_head_is_the_log_of_its_outputs(run, backbone, tmp_path):
    run(backbone(), iterations=1, head_std=0.0)
    line = json.loads((tmp_path / "run/metrics.jsonl").read_text())
    assert line["loss"] == pytest.approx(math.log(3), abs=1e-5)
    assert line["lr"] == 0.05


def test_a_new_head_is_gaussian_with_zero_biases(run, backbone):
    # a rate this small moves nothing in float32; 1000 x 16 draws: the deviation is known to about 1 %
    head = run(backbone(), iterations=1, lr=1e-30, num_outputs=1000, head_std=0.01)[0]
    assert head.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert head.weight.mean().abs().item() < 6e-4
    assert head.bias.abs().max().item() < 1e-12


def test_the_checkpoint_holds_weights_velocities_and_the_iteration(run, backbone, tmp_path):
    run(backbone(), iterations=5)
    tensors, meta = load_checkpoint(tmp_path / "run/checkpoint.safetensors")
    names = [
        f"{part}.{kind}"
        for part in ("backbone.conv", "backbone.fc", "head.classes.linear")
        for kind in ("weight", "bias")
    ]
    assert sorted(tensors) == sorted(
        [*names, "head.classes.mean", "head.classes.scale", *(f"momentum.{name}" for name in names)]
    )
    assert meta == {"iteration": 5}


def test_a_loss_that_is_no_number_stops_with_its_images_and_keeps_the_last_state(run, backbone, tmp_path):
    def poisoned(iteration, world):
        batch = noise_batch(iteration)
        batch.inputs[:] = np.nan if iteration == 3 else batch.inputs
        return batch

    message = r"finetune: the loss at iteration 3 is nan \(images image3\); lower FINETUNE.LR \(now 0.05\)"
    with pytest.raises(DetkitError, match=message):
        run(backbone(), make_batch=poisoned)
    tensors, meta = load_checkpoint(tmp_path / "run/checkpoint.safetensors")
    assert meta == {"iteration": 2}
    assert all(bool(torch.isfinite(t).all()) for t in tensors.values())


def test_a_checkpoint_of_another_network_is_named(run, backbone):
    run(backbone())
    with pytest.raises(
        ModelError, match=r"another network: head\.classes\.linear\.bias is \(3,\), expected \(4,\); delete it"
    ):
        run(backbone(), num_outputs=4)


@pytest.mark.parametrize(("images", "batches"), [(1, 16), (2, 8), (7, 3), (40, 1)], ids=["one", "two", "seven", "many"])
def test_a_centred_head_is_calibrated_on_sixteen_images_or_batches(run, backbone, images, batches):
    def make_batch(iteration, world):
        pixels, targets = noise_batch(iteration).inputs, noise_batch(iteration).targets
        return Batch(pixels, targets, [f"{iteration}.{image}" for image in range(images)], total=16)

    _, passes = run(backbone(), make_batch=make_batch, head_norm=5.0)
    assert len(passes) == batches + SETTINGS["iterations"]


def test_every_step_is_in_train_mode_so_that_dropout_acts(run, backbone):
    assert run(backbone())[1] == [True] * SETTINGS["iterations"]


def test_every_step_runs_with_frozen_norms_folded(run, backbone, monkeypatch):
    inside, seen = [], []

    @contextmanager
    def folded(net):
        inside.append(net)
        yield
        inside.clear()

    class Watching(Naming):
        def losses(self, backbone, batch):
            seen.append(inside == [backbone])
            return super().losses(backbone, batch)

    monkeypatch.setattr("detkit.training.solver.norms_folded", folded)
    run(backbone(), kind=Watching)
    assert seen == [True] * SETTINGS["iterations"] and not inside


def test_every_step_that_goes_on_from_a_checkpoint_is_in_train_mode(run, backbone):
    with pytest.raises(HaltError):
        run(backbone(), checkpoint_every=2, halt_at=3)
    assert run(backbone(), checkpoint_every=2)[1] == [True] * (SETTINGS["iterations"] - 2)


def test_a_centred_head_is_calibrated_in_eval_mode_and_every_step_is_in_train_mode(run, backbone):
    # a batch shows one image here, so there are 16 passes before the first step
    assert run(backbone(), head_norm=5.0)[1] == [False] * 16 + [True] * SETTINGS["iterations"]


def test_several_losses_are_added_up_and_each_is_logged(run, backbone, tmp_path):
    whole, parts = backbone(), backbone()
    run(whole, "whole", iterations=1)
    run(parts, "parts", iterations=1, kind=TwoLosses)
    one, two = (json.loads((tmp_path / name / "metrics.jsonl").read_text()) for name in ("whole", "parts"))
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
    assert two["loss_class"] == pytest.approx(one["loss"] / 4, rel=1e-5)
    assert two["loss_box"] == pytest.approx(one["loss"] * 3 / 4, rel=1e-5)
    assert "nothing" not in two
    assert "loss_class" not in one  # a single loss is the loss
    assert all(torch.allclose(t, parts.state_dict()[name], atol=1e-7) for name, t in whole.state_dict().items())


@pytest.mark.parametrize("parts", [2, 3, 40], ids=["even", "uneven", "some_empty"])
def test_a_step_in_parts_is_the_same_step(run, backbone, no_dropout, tmp_path, parts):
    class Counting(Naming):
        def losses(self, backbone, batch):
            rows.append(len(batch.inputs))
            return super().losses(backbone, batch)

    rows: list[int] = []
    whole, divided = backbone(), backbone()
    expected = bits(whole, run(whole, "whole")[0])
    found = bits(divided, run(divided, "divided", kind=Counting, parts=parts)[0])
    assert all(torch.allclose(found[name], tensor, atol=1e-6) for name, tensor in expected.items())
    assert len(rows) == 6 * parts and sum(rows) == 6 * 16 and max(rows) == math.ceil(16 / parts)
    one, two = (json.loads((tmp_path / name / "metrics.jsonl").read_text()) for name in ("whole", "divided"))
    assert two["loss"] == pytest.approx(one["loss"], rel=1e-5)
    assert two["accuracy"] == one["accuracy"]


def test_a_run_in_parts_resumes_with_the_same_bits(run, backbone):
    whole, resumed = backbone(), backbone()
    expected = bits(whole, run(whole, "whole", parts=2)[0])
    with pytest.raises(HaltError):
        run(resumed, "parts", halt_at=9, parts=2)  # in the second part of the fifth step, with a gradient of the first
    head, passes = run(resumed, "parts", parts=2, workers=2)
    assert len(passes) == 2 * 2
    assert_same_bits(bits(resumed, head), expected)


def test_a_loss_that_is_no_number_in_the_first_part_names_the_images_of_all_parts(run, backbone):
    def poisoned(iteration, world):
        batch = noise_batch(iteration, world)
        batch.inputs[:] = np.nan if world.rank == 0 else batch.inputs
        return Batch(batch.inputs, batch.targets, [f"image{world.rank}"], total=batch.total)

    with pytest.raises(DetkitError, match=r"the loss at iteration 0 is nan \(images image0, image1\)"):
        run(backbone(), make_batch=poisoned, parts=2)
