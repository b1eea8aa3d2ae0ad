from __future__ import annotations

import hashlib
import logging
import pickle
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import save_file

from detkit.backbones.caffenet import AlexNet, CaffeNet
from detkit.backbones.preprocessing import Preprocessing
from detkit.backbones.tiny import TinyNet
from detkit.backbones.torchvision_nets import TorchvisionBackbone
from detkit.backbones.weight_sources import read_weights
from detkit.backbones.weights import load_weights, refuse_misfit, save_weights, weights_identity
from detkit.errors import WeightsError


def tiny(**settings):
    return TinyNet(**{"input_size": 16, "width": 4, "fc_dim": 8, **settings})


def same_tensors(one, other):
    return all(torch.equal(t, other.state_dict()[name]) for name, t in one.state_dict().items())


@pytest.mark.parametrize("mean", [(1 / 3, 0.1, 117.003), np.random.default_rng(0).uniform(0, 255, (3, 16, 16))])
def test_saved_weights_come_back_bit_by_bit_with_their_preprocessing(tmp_path, mean):
    backbone, other = tiny(), tiny()
    backbone.preprocessing = Preprocessing.of("BGR", 1 / 255, mean, (0.229, 1, 57.1))
    backbone.to(memory_format=torch.channels_last)
    save_weights(tmp_path / "net.safetensors", backbone)
    load_weights(other, str(tmp_path / "net.safetensors"))
    assert same_tensors(backbone, other)
    form = other.preprocessing
    assert (form.order, form.scale) == ("BGR", 1 / 255)
    assert torch.equal(form.mean, backbone.preprocessing.mean) and torch.equal(form.std, backbone.preprocessing.std)
    assert [p.name for p in tmp_path.iterdir()] == ["net.safetensors"]


def test_the_home_of_an_unknown_user_is_no_place_for_weights():
    with pytest.raises(WeightsError, match=r"weights ~nosuchuser/x\.pth: ~nosuchuser is the home of no user here"):
        read_weights("~nosuchuser/x.pth")


def test_identity_is_the_hash_of_the_content(tmp_path):
    path = tmp_path / "net.safetensors"
    save_weights(path, tiny())
    assert weights_identity(str(path)) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_identity_of_torchvisions_weights_holds_its_version():
    assert weights_identity("torchvision:DEFAULT") == f"torchvision:DEFAULT of torchvision {torchvision.__version__}"


@pytest.mark.parametrize("form", ["plain", "state_dict", "module."])
def test_state_dicts_of_torch_save_are_read_and_widened(tmp_path, form):
    backbone, other = tiny(), tiny()
    state = {name: t.half() for name, t in backbone.state_dict().items()}
    if form == "module.":
        state = {f"module.{name}": t for name, t in state.items()}
    torch.save({"state_dict": state, "epoch": 3} if form == "state_dict" else state, tmp_path / "net.pth")
    kept = other.preprocessing
    load_weights(other, str(tmp_path / "net.pth"))
    assert other.conv1.weight.dtype == torch.float32
    assert torch.equal(other.conv1.weight, backbone.conv1.weight.half().float())
    assert other.preprocessing is kept


def test_head_of_the_trained_classifier_is_left_out_and_logged(tmp_path, caplog):
    backbone = tiny()
    save_file({**backbone.state_dict(), "fc8.weight": torch.zeros(1000, 8)}, tmp_path / "net.safetensors")
    other = tiny()
    with caplog.at_level(logging.INFO):
        load_weights(other, str(tmp_path / "net.safetensors"))
    assert same_tensors(backbone, other)
    assert "not used: fc8.weight" in caplog.text


def test_metadata_give_channels_range_mean_and_std(tmp_path):
    metadata = {"channels": "BGR", "range": "1", "mean": "1,2,3", "std": "4,5,6"}
    save_file(dict(tiny().state_dict()), tmp_path / "net.safetensors", metadata)
    form = read_weights(str(tmp_path / "net.safetensors")).preprocessing
    assert (form.order, form.scale) == ("BGR", 1 / 255)
    assert (form.mean.tolist(), form.std.tolist()) == ([1, 2, 3], [4, 5, 6])


@pytest.mark.parametrize("bad", [{"mean": "1,2"}, {"std": "1,0,1"}, {"channels": "GBR"}, {"range": "all"}])
def test_metadata_that_say_nothing_sensible_are_refused(tmp_path, bad):
    metadata = {"channels": "RGB", "range": "255", "mean": "1,2,3", "std": "1,1,1", **bad}
    save_file(dict(tiny().state_dict()), tmp_path / "net.safetensors", metadata)
    with pytest.raises(
        WeightsError, match=r"net.safetensors: its metadata describe no preprocessing .*expected channels"
    ):
        load_weights(tiny(), str(tmp_path / "net.safetensors"))


def test_misshapen_tensor_is_named_with_both_shapes_and_nothing_is_changed(tmp_path):
    save_file(dict(tiny(fc_dim=9).state_dict()), tmp_path / "net.safetensors")
    backbone = tiny()
    before = backbone.conv1.weight.clone()
    with pytest.raises(
        WeightsError, match=r"net.safetensors: tensor fc6.weight has the shape \(9, 16\), but TinyNet needs \(8, 16\)"
    ):
        load_weights(backbone, str(tmp_path / "net.safetensors"))
    assert torch.equal(backbone.conv1.weight, before)


def test_weights_of_another_network_name_the_nearest_one(tmp_path):
    state = torchvision.models.squeezenet1_1(weights=None).state_dict()
    torch.save(state, tmp_path / "net.pth")
    with pytest.raises(
        WeightsError, match=r"no tensor conv1.weight, but TinyNet needs .*looks like TorchvisionBackbone squeezenet1_1"
    ):
        load_weights(tiny(), str(tmp_path / "net.pth"))


def test_file_that_names_another_network_of_the_same_shapes_is_refused(tmp_path):
    # CaffeNet and AlexNet have equal tensors; only the order of their layers differs.
    with torch.device("meta"):
        other = AlexNet()
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / "net.safetensors", {"network": "CaffeNet"})
    with pytest.raises(WeightsError, match="they are of CaffeNet, not of AlexNet"):
        load_weights(other, str(tmp_path / "net.safetensors"))
    assert {k: t.shape for k, t in other.state_dict().items()} == {k: t.shape for k, t in meta_caffenet().items()}


def meta_caffenet():
    with torch.device("meta"):
        return CaffeNet().state_dict()


def test_mean_image_of_another_size_is_refused(tmp_path):
    backbone = tiny()
    backbone.preprocessing = Preprocessing.of("RGB", 1.0, np.zeros((3, 256, 256)), (1, 1, 1))
    save_weights(tmp_path / "net.safetensors", backbone)
    with pytest.raises(WeightsError, match=r"the mean image is \(3, 256, 256\), but TinyNet needs \(3, 16, 16\)"):
        load_weights(tiny(), str(tmp_path / "net.safetensors"))


def test_values_that_are_not_finite_are_refused(tmp_path):
    backbone = tiny()
    torch.nn.init.constant_(backbone.fc7.bias, float("nan"))
    save_weights(tmp_path / "net.safetensors", backbone)
    with pytest.raises(WeightsError, match=r"tensor fc7.bias holds values that are no finite numbers"):
        load_weights(tiny(), str(tmp_path / "net.safetensors"))


class Hostile:
    def __reduce__(self):
        return (print, ("code of the file has run",))


def test_pickled_code_is_refused_in_one_line_and_does_not_run(tmp_path, capsys):
    (tmp_path / "raw.pth").write_bytes(pickle.dumps({"conv1.weight": Hostile()}))
    torch.save({"conv1.weight": Hostile()}, tmp_path / "zip.pth")
    for name in ("raw.pth", "zip.pth"):
        with pytest.raises(
            WeightsError, match=rf"{name}: refused, as it is no plain state dict.*save it again"
        ) as error:
            load_weights(tiny(), str(tmp_path / name))
        assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "name, content, text",
    [
        ("net.caffe2", b"x", r"unknown kind of file '.caffe2'; allowed: .safetensors, .pth, .pt"),
        ("net.safetensors", b"no such thing", "not a safetensors file"),
        ("net.pt", b"", "not a file of torch.save|refused"),
        (
            "net.pt",
            b"PK\x03\x04 cut off",
            r"torch.save, or a damaged one \(RuntimeError: .*\); download it again",
        ),
    ],
)
def test_unreadable_files_are_named(tmp_path, name, content, text):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=text) as error:
        load_weights(tiny(), str(tmp_path / name))
    assert name in str(error.value) and "\n" not in str(error.value)


def test_missing_file_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(
        WeightsError,
        match=rf"no such file \(looked at {tmp_path}/net.pth\); allowed: .* or timm:DEFAULT; .* \"random\"",
    ):
        load_weights(tiny(), str(tmp_path / "net.pth"))


def test_empty_specification_names_no_file():
    with pytest.raises(WeightsError, match="no such file"):
        load_weights(tiny(), "")


def test_list_of_numbers_is_no_state_dict(tmp_path):
    torch.save([1, 2], tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="holds no state dict"):
        load_weights(tiny(), str(tmp_path / "net.pth"))


@pytest.fixture
def downloads(monkeypatch):
    """In place of the network: a function that a test gives."""

    def serve(answer):
        monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", answer)

    return serve


def test_torchvisions_weights_bring_their_own_mean_and_std(downloads):
    backbone = TorchvisionBackbone(arch="squeezenet1_1")
    backbone.preprocessing = Preprocessing.of("BGR", 1.0, (0, 0, 0), (1, 1, 1))
    state = {name: torch.full_like(t, 0.5) for name, t in backbone.state_dict().items()}
    downloads(lambda url, **settings: {**state, "classifier.1.bias": torch.zeros(1000)})
    load_weights(backbone, "torchvision:DEFAULT")
    assert (next(backbone.parameters()) == 0.5).all()
    assert backbone.preprocessing.order == "RGB"
    assert backbone.preprocessing.mean.tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert backbone.preprocessing.std.tolist() == pytest.approx([0.229, 0.224, 0.225])


def test_failing_download_names_the_address_and_the_way_round(downloads):
    def fail(url, **settings):
        raise URLError("no route")

    downloads(fail)
    with pytest.raises(
        WeightsError,
        match=r"cannot download https://download.pytorch.org/\S+/squeezenet1_1-\w+.pth .*no route.* by hand",
    ):
        load_weights(TorchvisionBackbone(arch="squeezenet1_1"), "torchvision:IMAGENET1K_V1")


def test_unknown_names_of_torchvision_are_answered_with_the_known_ones():
    backbone = TorchvisionBackbone(arch="squeezenet1_1")
    with pytest.raises(WeightsError, match="no such weights of squeezenet1_1; allowed: IMAGENET1K_V1, DEFAULT"):
        load_weights(backbone, "torchvision:IMAGENET")
    with pytest.raises(WeightsError, match="torchvision has none for this backbone"):
        load_weights(tiny(), "torchvision:DEFAULT")


@pytest.mark.parametrize(
    "arch, mean, std", [("squeezenet1_1", [123, 117, 104], 1), ("mobilenet_v2", [127.5] * 3, 127.5)]
)
def test_published_imagenet_weights_are_read_with_their_metadata(shared, arch, mean, std):
    backbone = TorchvisionBackbone(arch=arch)
    load_weights(backbone, str(shared / "weights" / f"{arch}.safetensors"))
    form = backbone.preprocessing
    assert (form.order, form.scale, form.mean.tolist(), form.std.tolist()) == ("RGB", 1.0, mean, [std] * 3)
    assert all(p.dtype == torch.float32 for p in backbone.parameters())


def on_meta(**settings):
    with torch.device("meta"):
        return tiny(**settings)


@pytest.mark.parametrize("mean", [(1.0, 2.0, 3.0), np.zeros((3, 16, 16))])
def test_misfit_is_told_from_the_header_alone(tmp_path, mean):
    backbone, path = tiny(), tmp_path / "net.safetensors"
    backbone.preprocessing = Preprocessing.of("RGB", 1.0, mean, (1, 1, 1))
    save_weights(path, backbone)
    refuse_misfit(on_meta(), str(path))
    with pytest.raises(WeightsError, match=r"has the shape .*, but TinyNet needs"):
        refuse_misfit(on_meta(width=5), str(path))


def test_misfit_of_a_mean_image_is_told_from_the_header(tmp_path):
    backbone, path = tiny(), tmp_path / "net.safetensors"
    backbone.preprocessing = Preprocessing.of("RGB", 1.0, np.zeros((3, 9, 9)), (1, 1, 1))
    save_weights(path, backbone)
    with pytest.raises(WeightsError, match=r"mean image is \(3, 9, 9\), but TinyNet needs \(3, 16, 16\)"):
        refuse_misfit(on_meta(), str(path))


def test_unknown_names_and_suffixes_are_misfits_and_nothing_is_downloaded(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("downloads")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)
    net = TorchvisionBackbone(arch="squeezenet1_1")
    refuse_misfit(net, "torchvision:DEFAULT")
    with pytest.raises(WeightsError, match="torchvision has no such weights of squeezenet1_1; allowed: IMAGENET1K_V1"):
        refuse_misfit(net, "torchvision:IMAGENET")
    (tmp_path / "net.onnx").touch()
    with pytest.raises(WeightsError, match=r"unknown kind of file '\.onnx'"):
        refuse_misfit(net, str(tmp_path / "net.onnx"))
