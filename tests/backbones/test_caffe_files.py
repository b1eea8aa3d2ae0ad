from __future__ import annotations

import hashlib
import logging

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detkit.backbones.caffe_files import read_caffemodel, read_mean_image
from detkit.backbones.caffenet import AlexNet
from detkit.backbones.tiny import TinyNet
from detkit.backbones.weights import load_weights, weights_identity
from detkit.errors import WeightsError
from tests.reference.caffe_writer import (
    BYTES,
    FIXED32,
    FIXED64,
    VARINT,
    blob,
    caffemodel,
    field,
    layer,
    old_layer,
    text,
    varint,
)

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)
BIAS = np.array([0.5, -1], np.float32)


@pytest.fixture
def read(tmp_path):
    """The model of a file of the given bytes."""

    def read(content):
        path = tmp_path / "net.caffemodel"
        path.write_bytes(content)
        return read_caffemodel(path)

    return read


@pytest.mark.parametrize("form", ["shape", "legacy"])
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("make, kind", [(layer, "InnerProduct"), (old_layer, 14)])
def test_weights_are_read_from_every_form_of_the_format(read, form, packed, make, kind):
    blobs = [blob(values, form=form, packed=packed) for values in (WEIGHT, BIAS)]
    model = read(text(1, "some net") + make("relu6", kind, []) + make("fc6", kind, blobs))
    assert model.name == "some net"
    assert {name: t.tolist() for name, t in model.tensors.items()} == {
        "fc6.weight": WEIGHT.tolist(),
        "fc6.bias": BIAS.tolist(),
    }
    assert all(t.dtype == torch.float32 for t in model.tensors.values())


def test_bytes_by_hand(read):
    # layer (100 << 3 | 2 = 802 = a2 06) with name (1) "a" and a blob (7) with num (1), channels (2), height (3) and
    # width (4) 1 and data (5)
    with pytest.raises(WeightsError, match="byte 16: field 5 claims 3 bytes where 2 are left"):
        read(bytes.fromhex("a206 11 0a0161 3a0c 0801 1001 1801 2001 2a03 0000"))
    content = "a206 13 0a0161 3a0e 0801 1001 1801 2001 2a04 0000803f"
    assert read(bytes.fromhex(content)).tensors["a.weight"].tolist() == [[1.0]]


def test_kernels_keep_their_four_axes_and_doubles_become_float32(read):
    kernel = np.random.default_rng(0).normal(size=(4, 1, 3, 3))
    for form in ("shape", "legacy"):
        tensor = read(layer("conv1", "Convolution", [blob(kernel, form=form)])).tensors["conv1.weight"]
        assert torch.equal(tensor, torch.from_numpy(kernel).float())


def test_gradients_and_unknown_fields_are_passed_over(read):
    extra = field(6, BYTES, b"diff") + field(99, VARINT, varint(7)) + field(98, FIXED64, b"8 bytes!")
    other = field(3, BYTES, b"data") + field(97, FIXED32, b"four")
    model = read(other + layer("fc6", "InnerProduct", [blob(WEIGHT) + extra]) + other)
    assert model.tensors["fc6.weight"].tolist() == WEIGHT.tolist()


def with_numbers(shape, count):
    """A layer with a blob of that shape and that many numbers."""
    axes = field(7, BYTES, field(1, BYTES, b"".join(map(varint, shape))))
    return layer("fc6", "InnerProduct", [axes + field(5, BYTES, bytes(4 * count))])


GOOD = layer("fc6", "InnerProduct", [blob(WEIGHT), blob(BIAS)])


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "no layer of it holds weights; expected a network that Caffe has trained"),
        (layer("relu6", "ReLU", []), "no layer of it holds weights"),
        (GOOD[:-1], r"byte 0: field 100 claims \d+ bytes where \d+ are left"),
        (field(100, BYTES, varint(7 << 3 | BYTES) + varint(1 << 40)), r"field 7 claims 1099511627776 bytes"),
        (GOOD + b"\x80", "a number is cut off"),
        (GOOD + b"\xff" * 11, "a number of more than 64 bits"),
        (GOOD + b"\xff" * 9 + b"\x02", "a number of more than 64 bits"),
        (GOOD + b"\x0b", "field 1 of wire type 3; allowed: fields from 1, wire types 0, 1, 2 and 5"),
        (GOOD + b"\x02\x00", "field 0 of wire type 2"),
        (b"<html>not found</html>", "byte 0: field 7 of wire type 4"),
        (field(100, VARINT, varint(3)), "field 100 is of wire type 0, but 2 is needed"),
        (field(1, BYTES, b"\xff\xfe"), "field 1 is no UTF-8 text"),
        (layer("fc6", "InnerProduct", [field(5, BYTES, b"12345")]), "field 5 holds 5 bytes, which is no multiple of 4"),
        (layer("fc6", "InnerProduct", [field(5, FIXED64, b"8 bytes!")]), "field 5 is of wire type 1, but 5 or 2 is"),
        (layer("fc6", "InnerProduct", [field(1, BYTES, b"")]), "field 1 is of wire type 2, but 0 is needed"),
        (with_numbers((2, 3), 5), r"a blob of shape \(2, 3\) with 5 numbers"),
        (with_numbers((-2, -3), 6), r"a blob of shape \(-2, -3\) with 6 numbers"),
        (with_numbers((0, 3), 0), r"a blob of shape \(0, 3\) with 0 numbers"),
        (
            with_numbers((1 << 62, 1 << 62), 1),
            r"a blob of shape \(4611686018427387904, 4611686018427387904\) with 1 num",
        ),
        (with_numbers((1,) * 33, 1), r"a blob of shape \(1, 1, .*\) with 1 numbers"),
        (layer("fc6", "InnerProduct", [b""]), r"a blob of shape \(0, 0, 0, 0\) with 0 numbers"),
        (layer("", "InnerProduct", [blob(WEIGHT)]), "a layer with weights and without a name"),
        (GOOD + GOOD, "a second layer with the tensor fc6.weight"),
        (
            # layers (2) > layer (1) > name (1) and blobs (50)
            field(2, BYTES, field(1, BYTES, text(1, "fc6") + field(50, BYTES, blob(WEIGHT, form="legacy")))),
            r"a network in Caffe's first format \(V0LayerParameter\), which is not read; convert the file",
        ),
    ],
)
def test_damaged_files_are_refused_in_one_line_with_the_place(read, content, reason):
    with pytest.raises(WeightsError, match=rf"^weights \S+net.caffemodel: .*{reason}") as error:
        read(content)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "form, shape", [("legacy", (3, 256, 240)), ("shape", (3, 256, 240)), ("shape", (1, 3, 256, 240))]
)
def test_mean_image_is_cut_at_its_centre(tmp_path, form, shape):
    # (256 - 227) // 2 = 14 rows and (240 - 227) // 2 = 6 columns are left out in front
    values = np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
    (tmp_path / "mean.binaryproto").write_bytes(blob(values, form=form))
    found = read_mean_image(tmp_path / "mean.binaryproto", 227)
    assert np.array_equal(found, values.reshape(3, 256, 240)[:, 14:241, 6:233])


@pytest.mark.parametrize(
    "content, reason",
    [
        (
            blob(np.zeros((1, 256, 256), np.float32), form="legacy"),
            r"is \(1, 256, 256\); expected \(3, H, W\) .* 227 or",
        ),
        (blob(np.zeros((2, 3, 227, 227), np.float32)), r"is \(2, 3, 227, 227\); expected \(3, H, W\)"),
        (blob(np.zeros((3, 227, 226), np.float32)), r"is \(3, 227, 226\); expected \(3, H, W\)"),
        (blob(np.full((3, 227, 227), np.inf, np.float32)), "holds values that are not finite"),
        (GOOD, "byte 0: "),
    ],
)
def test_files_that_are_no_mean_image_are_refused(tmp_path, content, reason):
    (tmp_path / "mean.binaryproto").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"^weights \S+mean.binaryproto: .*{reason}"):
        read_mean_image(tmp_path / "mean.binaryproto", 227)


def weights_of(backbone):
    return [(name, m.weight.detach().numpy(), m.bias.detach().numpy()) for name, m in backbone.named_children()]


@pytest.fixture
def caffe_folder(tmp_path):
    """A folder with a trained network of TinyNet's layers; the network."""
    backbone = TinyNet(input_size=227, width=4, fc_dim=8)
    (tmp_path / "net.caffemodel").write_bytes(b"".join(caffemodel(weights_of(backbone), "TinyNet")))
    return tmp_path, backbone


def same_tensors(one, other):
    return all(torch.equal(t, other.state_dict()[name]) for name, t in one.state_dict().items())


def test_backbone_takes_weights_and_the_mean_image_beside_them(caffe_folder):
    folder, backbone = caffe_folder
    mean = np.random.default_rng(0).uniform(0, 255, (3, 256, 256)).astype(np.float32)
    (folder / "imagenet_mean.binaryproto").write_bytes(blob(mean, form="legacy"))
    other = TinyNet(input_size=227, width=4, fc_dim=8)
    load_weights(other, str(folder / "net.caffemodel"))
    assert same_tensors(backbone, other)
    # the file's channels are blue, green, red, as the network wants them: a pixel of the mean gives zero
    pixels = torch.from_numpy(mean[::-1, 14:241, 14:241].copy()).permute(1, 2, 0)[None]
    assert not other.preprocessing(pixels).any()
    torch.testing.assert_close(other.preprocessing(pixels + 1), torch.ones(1, 3, 227, 227), rtol=0, atol=1e-4)


def test_without_a_mean_image_the_backbone_keeps_its_mean_colour(caffe_folder, caplog):
    folder, backbone = caffe_folder
    other = TinyNet(input_size=227, width=4, fc_dim=8)
    kept = other.preprocessing
    with caplog.at_level(logging.INFO):
        load_weights(other, str(folder / "net.caffemodel"))
    assert same_tensors(backbone, other) and other.preprocessing is kept
    assert "net.caffemodel: they do not say how pixels were prepared: as TinyNet has it" in caplog.text


def test_identity_changes_with_the_mean_image(caffe_folder):
    folder, _ = caffe_folder
    path = folder / "net.caffemodel"
    alone = weights_identity(str(path))
    assert alone == hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "imagenet_mean.binaryproto").write_bytes(b"one")
    one = weights_identity(str(path))
    assert one == f"{alone}+{hashlib.sha256(b'one').hexdigest()}"
    (folder / "imagenet_mean.binaryproto").write_bytes(b"other")
    assert weights_identity(str(path)) not in (alone, one)


def test_several_mean_images_are_refused(caffe_folder):
    folder, backbone = caffe_folder
    for name in ("a.binaryproto", "b.binaryproto"):
        (folder / name).write_bytes(b"")
    for use in (weights_identity, lambda spec: load_weights(backbone, spec)):
        with pytest.raises(WeightsError, match=r"several mean images lie beside it \(a.binaryproto, b.binaryproto\)"):
            use(str(folder / "net.caffemodel"))


def test_missing_and_misshapen_layers_are_named(caffe_folder):
    folder, backbone = caffe_folder
    path, weights = folder / "net.caffemodel", weights_of(backbone)
    path.write_bytes(b"".join(caffemodel(weights[1:])))
    with pytest.raises(WeightsError, match=r"there is no tensor conv1.weight, but TinyNet needs \(2, 3, 5, 5\)"):
        load_weights(backbone, str(path))
    path.write_bytes(b"".join(caffemodel([*weights[:-1], ("fc7", WEIGHT, BIAS)])))
    with pytest.raises(WeightsError, match=r"fc7.weight has the shape \(2, 3\), but TinyNet needs \(8, 8\)"):
        load_weights(backbone, str(path))


def test_a_file_named_caffenet_does_not_fill_alexnet(tmp_path):
    # Their tensors have the same shapes; only the order of their layers differs.
    path = tmp_path / "net.caffemodel"
    path.write_bytes(b"".join(caffemodel([("fc6", WEIGHT, BIAS)], "CaffeNet")))
    with torch.device("meta"):
        backbone = AlexNet()
    with pytest.raises(WeightsError, match="they are of CaffeNet, not of AlexNet"):
        load_weights(backbone, str(path))


VALID = [
    text(1, "net") + GOOD,
    old_layer("conv1", 4, [blob(np.ones((2, 1, 3, 3), np.float32), form="legacy"), blob(BIAS, form="legacy")]),
    layer("fc6", "InnerProduct", [blob(WEIGHT.astype(np.float64), packed=False)]),
    blob(np.zeros((3, 4, 5), np.float32), form="legacy"),
]


@st.composite
def damaged(draw):
    """A valid file with some bytes replaced, taken out or put in, or cut off."""
    content = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(content)))
        content[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=6))
    return bytes(content[: draw(st.integers(0, len(content)))]) if draw(st.booleans()) else bytes(content)


def reads_or_refuses(folder, content):
    """Reads the bytes as both kinds of file; whatever else than a refusal goes wrong is raised."""
    for name, read in (
        ("any.caffemodel", lambda path: read_caffemodel(path).tensors),
        ("any.binaryproto", lambda path: {"mean": read_mean_image(path, 2)}),
    ):
        (folder / name).write_bytes(content)
        try:
            found = read(folder / name)
        except WeightsError as error:
            assert str(error).startswith(f"weights {folder / name}: ") and len(str(error)) < 1000
        else:
            assert 0 < sum(4 * t.numel() for t in found.values()) <= len(content)


FOLDER_IS_SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=FOLDER_IS_SHARED)
@given(content=st.one_of(st.binary(max_size=200), damaged()))
def test_any_bytes_are_read_or_refused(tmp_path, content):
    reads_or_refuses(tmp_path, content)


@pytest.mark.soak
@settings(max_examples=20_000, deadline=None, derandomize=True, suppress_health_check=FOLDER_IS_SHARED)
@given(content=st.one_of(st.binary(max_size=2000), damaged()))
def test_any_of_many_bytes_are_read_or_refused(tmp_path, content):
    reads_or_refuses(tmp_path, content)
