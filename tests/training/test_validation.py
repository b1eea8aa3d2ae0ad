"""Loss and accuracy on other images while a network is tuned."""

from __future__ import annotations

import json

import pytest
import torch

from detkit.regions.fixed_fraction import FixedFraction
from detkit.regions.index import RegionIndex
from detkit.structures import Boxes, Proposals
from detkit.system.world import ALONE
from detkit.training import validation as validation_module
from detkit.training.finetune import FinetuneSettings, finetune
from detkit.training.region_objective import RegionSoftmax


class CutOffError(Exception):
    pass


@pytest.fixture
def tune(toy, backbone, cpu, tmp_path):
    """Tunes on the first two images, validates on the others; gives network, objective and the lines of metrics."""
    boxes = Boxes.of([[0, 0, 8, 8], [2, 2, 12, 11], [12, 8, 22, 17]])
    halves = [
        RegionIndex.build(samples, [Proposals.unranked(boxes, (20, 24))] * 2, num_classes=2)
        for samples in (toy.samples[:2], toy.samples[2:])
    ]

    def tune(folder, *, validates=True, workers=0, **settings):
        given = {"iterations": 6, "lr": 0.05, "checkpoint_every": 2, "head_std": 0.1, "validate_batches": 3}
        chosen = FinetuneSettings(**{**given, "validate_every": 2 if validates else 0, **settings})
        net = backbone()
        objective = RegionSoftmax(
            index=halves[0],
            extractor=toy.extractor,
            sampler=FixedFraction(batch_size=8),
            layers=net.layers,
            settings=chosen,
            seed=3,
        )
        parts = {"compute": cpu, "workers": workers, "seed": 3, "folder": tmp_path / folder}
        finetune(net, objective, chosen, **parts, validation=halves[1] if validates else None)
        return (
            net,
            objective,
            [json.loads(one) for one in (tmp_path / folder / "metrics.jsonl").read_text().splitlines()],
        )

    tune.other = halves[1]
    return tune


def without_time(lines):
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def test_the_training_is_the_same_to_the_bit_and_the_lines_have_both(tune):
    plain, heads, alone = tune("plain", validates=False)
    net, measured, lines = tune("measured")
    assert all(torch.equal(t, net.state_dict()[name]) for name, t in plain.state_dict().items())
    assert all(torch.equal(t, measured.state_dict()[name]) for name, t in heads.state_dict().items())
    assert [line["iteration"] for line in alone] == [6] and not any("val" in name for name in alone[0])
    assert [line["iteration"] for line in lines] == [2, 4, 6]
    names = {"loss", "foreground_accuracy", "background_accuracy"}
    assert all(names | {f"val_{name}" for name in names} <= line.keys() for line in lines)
    # the lines hold the means of two steps each, the line of six steps theirs
    assert sum(line["loss"] for line in lines) / 3 == pytest.approx(alone[0]["loss"], rel=1e-5)
    assert len({line["val_loss"] for line in lines}) == 3


def test_the_figures_are_those_of_the_network_in_eval_mode_on_fixed_batches(tune):
    net, objective, lines = tune("run")
    other = objective.on(tune.other).eval()
    assert not net.training
    with torch.no_grad():
        found = [other.losses(net, other.batch(number, ALONE)) for number in range(3)]
    assert lines[-1]["val_loss"] == pytest.approx(sum(float(one.terms["class"]) for one in found) / 3, rel=1e-5)
    hits, of = (sum(one.right["foreground_accuracy"][i] for one in found) for i in (0, 1))
    assert lines[-1]["val_foreground_accuracy"] == pytest.approx(hits / of)
    assert set(other.batch(0, ALONE).image_ids) <= {"picture2", "picture3"}
    assert not other.batch(0, ALONE).targets["flips"].any()


def test_workers_do_not_change_the_figures(tune):
    assert without_time(tune("alone")[2]) == without_time(tune("helped", workers=2)[2])


def test_a_run_that_is_cut_off_ends_with_the_same_figures(tune, monkeypatch):
    whole = tune("whole")[2]
    measure, done = validation_module.Validation.measure, []

    def cut_off(self, *given, **words):
        if len(done) == 2:
            raise CutOffError
        done.append(1)
        return measure(self, *given, **words)

    with monkeypatch.context() as patch:
        patch.setattr(validation_module.Validation, "measure", cut_off)
        with pytest.raises(CutOffError):
            tune("parts")
    assert without_time(tune("parts")[2]) == without_time(whole)


def test_the_last_step_is_measured_and_lines_in_between_have_no_figure(tune):
    lines = tune("run", iterations=7, validate_every=4)[2]
    assert [(line["iteration"], "val_loss" in line) for line in lines] == [(4, True), (7, True)]
    lines = tune("long", iterations=21, validate_every=50)[2]
    assert [(line["iteration"], "val_loss" in line) for line in lines] == [(20, False), (21, True)]
