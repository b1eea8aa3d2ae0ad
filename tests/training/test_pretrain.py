import json

import pytest
import torch

from detkit.errors import ConfigError, DataError
from detkit.training.pretrain import PretrainSettings, _accuracy, _ranks, pretrain, pretrain_images, resized_side


@pytest.fixture
def fit(backbone, classified, cpu, tmp_path):
    def fit(count=8, val=4, folder="run", *, workers=0, **settings):
        net = backbone()
        scores = pretrain(
            net,
            classified(count),
            None if val is None else classified(val),
            PretrainSettings(**{"iterations": 3, "batch_size": 4, **settings}),
            compute=cpu,
            workers=workers,
            seed=3,
            folder=tmp_path / folder,
        )
        return scores, net

    return fit


def test_the_defaults_are_caffenet_s():
    s = PretrainSettings()
    assert (s.iterations, s.batch_size, s.lr, s.lr_drop_every, s.lr_gamma) == (450_000, 256, 0.01, 100_000, 0.1)
    assert (s.momentum, s.weight_decay, s.bias_lr_factor, s.head_lr_factor, s.head_std) == (0.9, 0.0005, 2, 1, 0.01)


def test_the_network_learns_to_tell_dark_from_bright(fit, tmp_path):
    scores, net = fit(iterations=60, lr=0.05, head_std=0.1)
    assert scores == {"top1": 1.0, "top5": 1.0, "num_images": 4}
    assert not net.training
    last = json.loads((tmp_path / "run/metrics.jsonl").read_text().splitlines()[-1])
    assert last["accuracy"] > 0.9


def test_without_a_validation_set_there_is_no_score(fit):
    assert fit(val=None)[0] == {}
    assert fit(val=0)[0] == {}


def test_workers_do_not_change_bits(fit):
    (alone, net), (helped, other) = fit(folder="alone"), fit(folder="helped", workers=2)
    assert alone == helped
    assert all(torch.equal(t, other.state_dict()[name]) for name, t in net.state_dict().items())


def test_a_finished_run_is_judged_again_without_a_step(fit):
    assert fit(folder="same")[0] == fit(folder="same")[0]


def test_ranks_count_the_classes_before_the_right_one():
    scores = torch.tensor([[0.1, 0.9, 0.5], [0.1, 0.9, 0.5], [0.1, 0.9, 0.5]])
    assert _ranks(scores, torch.tensor([1, 2, 0])).tolist() == [0, 1, 2]


def test_equal_scores_and_nan_gain_nothing():
    assert _ranks(torch.tensor([[1.0, 1.0, 1.0], [float("nan")] * 3]), torch.tensor([0, 0])).tolist() == [2, 2]


def test_accuracies_are_the_shares_within_the_first_and_the_first_five():
    # the right class is best, third, fifth, sixth and last of 200
    assert _accuracy(torch.tensor([0, 2, 4, 5, 199])) == {"top1": 0.2, "top5": 0.6, "num_images": 5}


def test_accuracies_agree_with_a_sort_of_the_scores():
    scores = torch.randn(50, 9, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(50) % 9
    hits = scores.sort(1, descending=True).indices == labels[:, None]
    found = _accuracy(_ranks(scores, labels))
    assert found["top1"] == pytest.approx(hits[:, 0].float().mean().item())
    assert found["top5"] == pytest.approx(hits[:, :5].any(1).float().mean().item())


def test_without_a_resize_images_are_as_much_larger_than_the_crop_as_caffenet_s():
    # 256 for 227 px; 115 * 256 / 227 = 129.7
    assert [resized_side(PretrainSettings(), crop) for crop in (227, 115)] == [256, 130]
    assert resized_side(PretrainSettings(resize=120), 115) == 120


def test_a_class_that_is_judged_but_not_learnt_is_named_with_its_image(classified):
    train, val = classified(1), classified(2)
    with pytest.raises(
        DataError, match=r"class bright of validation image .*image1\.png has no training image \(1 such"
    ):
        pretrain_images(train, val)


def test_a_training_set_without_images_is_refused(fit):
    with pytest.raises(DataError, match="pretrain: the training split holds no image"):
        fit(count=0)


def test_splits_of_different_classes_are_refused(backbone, classified, cpu, tmp_path):
    train, val = classified(2), classified(2)
    val.class_names = ("bright", "dark")
    with pytest.raises(DataError, match="different classes"):
        pretrain(backbone(), train, val, PretrainSettings(), compute=cpu, workers=0, seed=3, folder=tmp_path)


def test_images_smaller_than_the_crop_are_refused(fit):
    with pytest.raises(ConfigError, match=r"PRETRAIN\.RESIZE: 7 is smaller than the 8 px crops of this backbone"):
        fit(resize=7)
