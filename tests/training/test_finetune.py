import json

import numpy as np
import pytest
import torch

from detkit.backbones.base import LayerSpec
from detkit.errors import ConfigError, DataError
from detkit.regions.base import RegionSampler
from detkit.regions.fixed_fraction import FixedFraction
from detkit.regions.image_centric import ImageCentric
from detkit.system.seeding import rng_for
from detkit.system.world import ALONE, World
from detkit.training import region_objective as objective_module
from detkit.training.finetune import FinetuneSettings, finetune
from detkit.training.region_objective import RegionSoftmax, regions_right


class Fixed(RegionSampler):
    """The same rows each time."""

    def __init__(self, rows):
        self.rows = np.array(rows)

    def draw(self, index, rng, **step):
        return self.rows


def softmax(toy, extractor, sampler, settings, seed=3):
    """R-CNN's objective on the toy images, whose network has 16 features."""
    parts = {"index": toy.index, "extractor": extractor, "sampler": sampler}
    return RegionSoftmax(**parts, layers={"final": LayerSpec((16,))}, settings=settings, seed=seed)


def batches(toy, sampler, *, mirror=True, seed=3):
    """Makes the batch of an iteration, in a process of its own or with others."""
    objective = softmax(toy, toy.extractor, sampler, FinetuneSettings(mirror=mirror), seed)
    return lambda iteration, world=ALONE: objective.batch(iteration, world)


@pytest.fixture
def tune(toy, backbone, cpu, tmp_path):
    def tune(folder="run", *, workers=0, sampler=None, extractor=None, **settings):
        net = backbone()
        chosen = FinetuneSettings(**{"iterations": 4, "lr": 0.01, **settings})
        objective = softmax(toy, extractor or toy.extractor, sampler or FixedFraction(batch_size=16), chosen)
        given = {"compute": cpu, "workers": workers, "seed": 3, "folder": tmp_path / folder}
        return finetune(net, objective, chosen, **given)["class"], net

    return tune


def test_the_defaults_are_the_paper_s():
    s = FinetuneSettings()
    assert (s.iterations, s.lr, s.lr_drop_every, s.lr_gamma) == (70_000, 0.001, 20_000, 0.1)
    assert (s.momentum, s.weight_decay, s.bias_lr_factor, s.head_lr_factor, s.head_std) == (0.9, 0.0005, 2, 10, 0.01)


def test_a_batch_is_what_the_sampler_draws_grouped_by_image(toy):
    # an image has five rows: its ground truth, a proposal on it (IoU 0.9), three far from it
    # rows 12, 0, 11 and 4 lie in images 2, 0, 2, 0: image 0 gives rows 0 and 4, image 2 rows 12 and 11
    batch = batches(toy, Fixed([12, 0, 11, 4]))(0)
    assert batch.image_ids == ["picture0", "picture2"]
    assert batch.targets["labels"].tolist() == [0, 2, 2, 0]
    asked = [boxes.tensor.tolist() for _, boxes, _ in toy.extractor.seen]
    assert asked == [toy.index.boxes.tensor[[0, 4]].tolist(), toy.index.boxes.tensor[[12, 11]].tolist()]
    assert [len(i["crops"]) for i in batch.inputs] == [2, 2]


def test_fine_tuning_uses_the_extractor_for_training(toy, tune):
    class Reading(type(toy.extractor)):
        """Prepares nothing itself."""

        def for_training(self):
            return toy.extractor

        def prepare(self, image, boxes, flips):
            raise AssertionError("the extractor for features was asked")

    tune(extractor=Reading(), iterations=2)
    assert toy.extractor.seen


def test_every_image_is_decoded_once_and_in_rgb(toy, monkeypatch):
    paths, read = [], objective_module.sample_image
    monkeypatch.setattr(objective_module, "sample_image", lambda sample: paths.append(sample.path) or read(sample))
    batches(toy, Fixed([0, 1, 2, 3, 4, 5, 6]))(0)
    assert paths == [toy.samples[0].path, toy.samples[1].path]
    red, green = (image for image, _, _ in toy.extractor.seen)
    assert red[5, 5].tolist() == [250, *red[5, 5, 1:]]
    assert green[10, 15, 1] == 250


def test_a_batch_depends_on_seed_and_iteration_alone(toy):
    make = batches(toy, FixedFraction(batch_size=16))
    first = make(7)
    make(8)
    again = batches(toy, FixedFraction(batch_size=16))(7)
    assert np.array_equal(first.targets["labels"], again.targets["labels"])
    assert all(np.array_equal(a["crops"], b["crops"]) for a, b in zip(first.inputs, again.inputs, strict=True))
    other = batches(toy, FixedFraction(batch_size=16), seed=4)(7)
    assert [i["crops"].shape for i in other.inputs] != [i["crops"].shape for i in first.inputs]


def test_a_quarter_of_a_fixed_fraction_batch_is_foreground(toy):
    labels = batches(toy, FixedFraction(batch_size=128))(0).targets["labels"]
    assert (labels < 2).sum() == 32
    assert (labels == 2).sum() == 96


def test_half_of_the_regions_are_mirrored(toy):
    # 4000 fair draws: the share is within 0.04 of one half but once in two million
    batches(toy, Fixed([0] * 4000))(0)
    assert abs(toy.extractor.seen[0][2].mean() - 0.5) < 0.04


def test_mirroring_can_be_off(toy):
    batches(toy, Fixed([0] * 50), mirror=False)(0)
    assert not toy.extractor.seen[0][2].any()


def test_draws_and_flips_come_from_the_generator_of_the_iteration(toy):
    rng = rng_for(3, "finetune", "draw", 5)
    rows = FixedFraction(batch_size=8).draw(toy.index, rng)
    flips = rng.random(8) < 0.5
    batches(toy, FixedFraction(batch_size=8))(5)
    order = np.concatenate([positions for _, positions in toy.index.by_image(rows)])
    assert np.array_equal(np.concatenate([f for _, _, f in toy.extractor.seen]), flips[order])


def test_the_head_has_a_row_for_each_class_and_background(tune):
    head, net = tune()
    assert head.weight.shape == (3, 16)
    assert head.bias.shape == (3,)
    assert not head.weight.requires_grad
    assert not net.training


def test_workers_do_not_change_bits(tune):
    (alone, net), (helped, other) = tune("alone"), tune("helped", workers=2)
    assert torch.equal(alone.weight, helped.weight)
    assert all(torch.equal(t, other.state_dict()[name]) for name, t in net.state_dict().items())


def test_a_longer_run_tells_classes_and_background_apart(tune, tmp_path):
    tune(iterations=80, lr=0.02, lr_drop_every=60)
    last = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert last["lr"] == pytest.approx(0.002)
    assert last["foreground_accuracy"] > 0.7
    assert last["background_accuracy"] > 0.9


def test_targets_stand_in_the_order_of_the_regions(toy):
    batch = batches(toy, Fixed([12, 0, 11, 4]))(0)
    assert batch.targets["rows"].tolist() == [0, 4, 12, 11]
    flips = np.concatenate([flips for _, _, flips in toy.extractor.seen])
    assert np.array_equal(batch.targets["flips"], flips)


def test_what_stands_before_a_layer_stays_and_costs_no_gradient(tune, backbone):
    start = backbone().state_dict()
    _, net = tune(tune_from="fc")
    assert torch.equal(net.conv.weight, start["conv.weight"])
    assert not net.conv.weight.requires_grad
    assert not torch.equal(net.fc.weight, start["fc.weight"])


def test_first_loss_of_an_all_zero_head_is_the_log_of_its_outputs(tune, tmp_path):
    # two classes and background, averaged over the 16 regions of the step
    tune(iterations=1, head_std=0.0)
    line = json.loads((tmp_path / "run/metrics.jsonl").read_text())
    assert line["loss"] == pytest.approx(np.log(3), abs=1e-5)


def test_heads_alone_can_be_learnt(tune, backbone):
    head, net = tune(tune_from="heads")
    assert all(torch.equal(t, backbone().state_dict()[name]) for name, t in net.state_dict().items())
    assert head.weight.abs().max() > 0


def test_a_layer_to_tune_from_that_is_not_there_is_answered_with_those_that_are(tune):
    with pytest.raises(
        ConfigError, match=r"FINETUNE.TUNE_FROM: no layer 'conv1'. Did you mean conv\? Layers: conv, fc"
    ):
        tune(tune_from="conv1")


def test_accuracy_is_told_for_foreground_and_background_apart():
    scores = torch.tensor([[2.0, 1, 0], [0, 1, 2], [0, 0, 1], [3, 0, 1]])
    assert regions_right(scores, torch.tensor([0, 1, 2, 2])) == {
        "foreground_accuracy": (1, 2),
        "background_accuracy": (1, 2),
    }
    assert regions_right(scores[:1], torch.tensor([0])) == {
        "foreground_accuracy": (1, 1),
        "background_accuracy": (0, 0),
    }


def test_convolving_all_images_of_a_data_set_wide_batch_is_refused(tune, toy):
    toy.extractor.per_image = True
    with pytest.raises(ConfigError) as error:
        tune(extractor=toy.extractor)
    assert str(error.value) == (
        "REGION_SAMPLER.NAME: FixedFraction draws from the whole data set, so each step would convolve about as many "
        "images as it has regions with ToyExtractor; "
        "use ImageCentric, or allow it with FINETUNE.ALLOW_WHOLE_IMAGES true"
    )


def test_it_is_allowed_by_key_and_with_few_images(tune, toy):
    toy.extractor.per_image = True
    tune("key", extractor=toy.extractor, allow_whole_images=True)
    tune("few", extractor=toy.extractor, sampler=ImageCentric(images_per_batch=2, batch_size=8))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_image_is_named(tune, toy, workers):
    toy.samples[1].path.write_bytes(b"no picture")
    with pytest.raises(DataError) as error:
        tune(workers=workers)
    assert str(toy.samples[1].path) in str(error.value)
    assert "\n" not in str(error.value)


def test_nothing_to_draw_from_is_said_before_a_worker_starts(tune, toy):
    toy.index.label[:] = -1
    with pytest.raises(DataError, match="fine-tuning: a step needs 12 background regions, but the split has none"):
        tune(workers=2)


def test_processes_share_the_images_of_a_batch(toy):
    make = batches(toy, FixedFraction(batch_size=16))
    whole, parts = make(4), [make(4, World(rank, 3)) for rank in range(3)]
    assert sorted(i for part in parts for i in part.image_ids) == sorted(whole.image_ids)
    assert {part.total for part in parts} == {whole.total} == {16}
    labels, crops = dict(zip(whole.image_ids, by_image(whole), strict=True)), {}
    for part in parts:
        crops.update(zip(part.image_ids, by_image(part), strict=True))
    assert crops.keys() == labels.keys()
    for image, (own, pixels) in crops.items():
        assert np.array_equal(own, labels[image][0])
        assert np.array_equal(pixels, labels[image][1])


def test_a_process_may_have_no_image_of_a_batch(toy):
    part = batches(toy, Fixed([0, 4]))(0, World(2, 3))
    assert (part.inputs, part.targets["labels"].tolist(), part.image_ids, part.total) == ([], [], [], 2)


def by_image(batch):
    """(labels, crops) of each image of a batch."""
    counts = np.cumsum([len(i["crops"]) for i in batch.inputs])[:-1]
    return list(zip(np.split(batch.targets["labels"], counts), [i["crops"] for i in batch.inputs], strict=True))


def test_the_papers_labels_have_no_gap_at_half_an_overlap():
    assert FinetuneSettings().labels == {"foreground_iou": 0.5, "background_from": 0.0, "background_below": None}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"background_below": 0.6}, "from IoU 0.0 to below 0.6, foreground from 0.5"),
        ({"background_from": 0.5}, "from IoU 0.5 to below 0.5, foreground from 0.5"),
        ({"background_from": 0.3, "background_below": 0.2}, "from IoU 0.3 to below 0.2, foreground from 0.5"),
    ],
)
def test_thresholds_of_labels_that_leave_no_background_or_overlap_are_refused(settings, told):
    allowed = "allowed: BACKGROUND_FROM < BACKGROUND_BELOW <= FOREGROUND_IOU"
    with pytest.raises(ConfigError, match=f"FINETUNE: background is {told}; {allowed}"):
        FinetuneSettings(**settings)


def test_regions_in_parts_give_the_same_network(tune, no_dropout):
    (head, net), (expected_head, expected) = tune("parts", parts=2), tune("whole")
    assert torch.allclose(head.weight, expected_head.weight, atol=1e-6)
    assert all(torch.allclose(t, expected.state_dict()[name], atol=1e-6) for name, t in net.state_dict().items())
