"""CaffeNet and AlexNet against OpenCV's importer of Caffe's files, on random weights; see caffe_networks.py."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch

from detkit.backbones import caffenet
from detkit.backbones.caffenet import AlexNet, CaffeNet
from detkit.backbones.lrn import local_response_norm
from detkit.backbones.weights import load_weights
from tests.reference.caffe_writer import caffemodel, kept, random_input, random_weights

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def oracle():
    with np.load(Path(__file__).with_name("caffe_networks.npz")) as file:
        return dict(file)


@pytest.fixture(scope="module")
def networks(oracle, tmp_path_factory):
    """Both networks with the oracle's weights, which went through a .caffemodel file."""
    path = tmp_path_factory.mktemp("caffe") / "random.caffemodel"
    with path.open("wb") as file:
        file.writelines(caffemodel(random_weights(int(oracle["seed"]))))
    with torch.device("meta"):
        one, other = CaffeNet().eval(), AlexNet().eval()
    one = one.to_empty(device="cpu")
    load_weights(one, str(path))
    path.unlink()
    other.load_state_dict(one.state_dict(), assign=True)
    return {"CaffeNet": one, "AlexNet": other}


@torch.no_grad()
def outputs(network, oracle, crops=2):
    x = torch.from_numpy(random_input(int(oracle["seed"]))[:crops])
    return kept({name: rows.numpy() for name, rows in network(x, ["pool5", "fc6", "fc7"]).items()})


def difference(found, expected):
    """The largest difference in parts of the largest value."""
    return float(np.abs(found - expected).max() / expected.max())


@pytest.mark.parametrize("name", ["CaffeNet", "AlexNet"])
def test_every_layer_equals_what_opencv_computes(networks, oracle, name):
    # 3.0e-6 at most where the numbers were made
    for layer, rows in outputs(networks[name], oracle).items():
        expected = oracle[f"{name}/{layer}"]
        assert rows.shape == expected.shape and (expected > 0).mean() > 0.2
        assert difference(rows, expected) < TOLERANCE


def relative_change(found, expected):
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize(
    "mistake, change",
    [({"alpha": 5e-4}, 0.587), ({"k": 2.0}, 0.361)],
    ids=["alpha not divided by the number of channels", "k of Krizhevsky's paper"],
)
def test_other_constants_of_the_normalisation_are_told_apart(networks, oracle, monkeypatch, mistake, change):
    monkeypatch.setattr(caffenet, "local_response_norm", functools.partial(local_response_norm, **mistake))
    found, expected = outputs(networks["CaffeNet"], oracle, crops=1)["fc7"], oracle["CaffeNet/fc7"][:1]
    assert relative_change(found, expected) == pytest.approx(change, abs=0.02)
    assert difference(found, expected) > 1000 * TOLERANCE


def test_other_order_of_pooling_and_normalisation_is_told_apart(oracle):
    found, expected = oracle["AlexNet/fc7"], oracle["CaffeNet/fc7"]
    assert relative_change(found, expected) == pytest.approx(0.300, abs=0.02)
    assert difference(found, expected) > 1000 * TOLERANCE
