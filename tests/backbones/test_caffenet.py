from __future__ import annotations

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn
from torch.nn import functional as F

from detkit.backbones.caffenet import AlexNet, CaffeNet
from detkit.errors import ConfigError
from detkit.training.optim import caffe_rules


@pytest.fixture(scope="module")
def caffenet():
    torch.manual_seed(0)
    return CaffeNet(init="he").eval()


class ToFc7(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone

    def forward(self, x):
        return self.backbone(x, ["fc7"])["fc7"]


# layer: parameters, multiplications for a crop; worked out from kernels, channels and map sizes
PUBLISHED = {
    "conv1": (34_944, 105_415_200),
    "conv2": (307_456, 223_948_800),
    "conv3": (885_120, 149_520_384),
    "conv4": (663_936, 112_140_288),
    "conv5": (442_624, 74_760_192),
    "fc6": (37_752_832, 37_748_736),
    "fc7": (16_781_312, 16_777_216),
}


@pytest.mark.parametrize("network", [CaffeNet, AlexNet])
def test_multiplications_to_fc7_are_those_of_the_published_network(caffenet, network):
    net = with_weights_of(caffenet, network)
    count = FlopCountAnalysis(ToFc7(net), torch.zeros(1, 3, 227, 227)).unsupported_ops_warnings(False)
    by_operator = count.by_operator()
    assert by_operator["conv"] + by_operator["linear"] == 720_310_816
    by_module = count.by_module()
    assert {name: by_module[f"backbone.{name}"] for name in PUBLISHED} == {n: m for n, (_, m) in PUBLISHED.items()}


@pytest.mark.parametrize("network", [CaffeNet, AlexNet])
def test_parameters_are_those_of_the_published_network(network):
    with torch.device("meta"):
        net = network()
    found = {name: sum(p.numel() for p in layer.parameters()) for name, layer in net.named_children()}
    assert found == {name: parameters for name, (parameters, _) in PUBLISHED.items()}
    # 60,965,224 with the 1000 outputs of fc8, which has 4,097,000
    assert sum(found.values()) == 60_965_224 - 4_097_000


def test_biases_are_learnt_twice_as_fast_and_do_not_decay():
    with torch.device("meta"):
        net = nn.ModuleDict({"backbone": CaffeNet(), "fc8": nn.Linear(4096, 21)})
    rules = caffe_rules(net, head="fc8", head_lr_factor=10.0)
    factors = {name: (rule.lr_factor, rule.decay_factor) for name, rule in rules.items()}
    parts = {"weight": (1, 1), "bias": (2, 0)}
    expected = {f"backbone.{name}.{part}": rule for name in PUBLISHED for part, rule in parts.items()}
    assert factors == {**expected, "fc8.weight": (10, 1), "fc8.bias": (20, 0)}


def reference(net, x, norm_first):
    """The published layer list with torch's own operators, ungrouped: each group is convolved by itself."""

    def conv(layer, x):
        groups, stride, padding = layer.groups, layer.stride, layer.padding
        parts = zip(x.chunk(groups, 1), layer.weight.chunk(groups), layer.bias.chunk(groups))
        return F.relu(torch.cat([F.conv2d(p, w, b, stride, padding) for p, w, b in parts], 1))

    def shrink(x):
        def norm(x):
            return F.local_response_norm(x, 5, 1e-4, 0.75, 1.0)

        return F.max_pool2d(norm(x), 3, 2) if norm_first else norm(F.max_pool2d(x, 3, 2))

    x = shrink(conv(net.conv1, x))
    x = shrink(conv(net.conv2, x))
    x = conv(net.conv5, conv(net.conv4, conv(net.conv3, x)))
    pool5 = F.max_pool2d(x, 3, 2).reshape(len(x), -1)
    fc6 = torch.clamp(pool5 @ net.fc6.weight.T + net.fc6.bias, min=0)
    return {"pool5": pool5, "fc6": fc6, "fc7": torch.clamp(fc6 @ net.fc7.weight.T + net.fc7.bias, min=0)}


def with_weights_of(caffenet, network):
    with torch.device("meta"):
        net = network().eval()
    net.load_state_dict(caffenet.state_dict(), assign=True)
    return net


@pytest.mark.parametrize("network, norm_first", [(CaffeNet, False), (AlexNet, True)])
def test_layers_equal_the_published_list_of_operators(caffenet, network, norm_first):
    net = with_weights_of(caffenet, network)
    x = 60 * torch.randn(1, 3, 227, 227)
    with torch.no_grad():
        found, expected = net(x, list(net.layers)), reference(net, x, norm_first)
    assert net.map_size == tuple(net.map(x).shape[2:]) == (13, 13)
    for name, rows in expected.items():
        torch.testing.assert_close(found[name], rows, rtol=1e-4, atol=1e-4 * float(rows.max()))


def test_order_of_pooling_and_normalisation_matters(caffenet):
    alexnet = with_weights_of(caffenet, AlexNet)
    x = 60 * torch.randn(1, 3, 99, 99)
    with torch.no_grad():
        one, other = (net.map(x) for net in (caffenet, alexnet))
    assert (one - other).norm() > 0.01 * one.norm()


@pytest.mark.parametrize("size, map_side, pool5_side", [(227, 13, 6), (131, 7, 3), (115, 6, 3), (67, 3, 1), (55, 3, 1)])
def test_smaller_crops_give_smaller_maps_and_a_smaller_fc6(size, map_side, pool5_side):
    # 115: conv1 (115 - 11) / 4 + 1 = 27, pool1 13, pool2 6, pool5 3 (its third window holds two of the six cells);
    # 55: conv1 12, pool1 6 (rounded up), pool2 3 (rounded up), pool5 1
    with torch.device("meta"):
        net = CaffeNet(input_size=size)
        found = net(torch.zeros(2, 3, size, size), list(net.layers))
        assert net.map(torch.zeros(1, 3, size, size)).shape == (1, 256, map_side, map_side)
    assert net.map_size == (map_side, map_side)
    assert net.layers["pool5"].shape == (256, pool5_side, pool5_side)
    assert {name: rows.shape for name, rows in found.items()} == {n: (2, s.dim) for n, s in net.layers.items()}


def test_crops_without_a_whole_window_of_pool5_are_refused():
    with pytest.raises(ConfigError, match=r"BACKBONE\.AlexNet\.INPUT_SIZE: 54 is too small; allowed: 55 or more"):
        AlexNet(input_size=54)


def test_he_initialiser_is_scaled_to_the_fan_in(caffenet):
    # deviation sqrt(2 / fan-in); conv2 sees 48 channels of 5 x 5, conv3 256 of 3 x 3; the sample gives 3 % of it
    fan_in = {"conv1": 363, "conv2": 1200, "conv3": 2304, "conv4": 1728, "conv5": 1728, "fc6": 9216, "fc7": 4096}
    for name, layer in caffenet.named_children():
        assert float(layer.weight.detach().std()) == pytest.approx((2 / fan_in[name]) ** 0.5, rel=0.03)
        assert not layer.bias.any()


@pytest.mark.parametrize("network, bias", [(CaffeNet, 1.0), (AlexNet, 0.1)])
def test_published_initialiser(network, bias):
    torch.manual_seed(0)
    net = network()
    for name, layer in net.named_children():
        std = 0.005 if name in ("fc6", "fc7") else 0.01
        weight = layer.weight.detach()
        assert float(weight.std()) == pytest.approx(std, rel=0.03)
        assert abs(float(weight.mean())) < 5 * std / weight.numel() ** 0.5
        assert (layer.bias == (0 if name in ("conv1", "conv3") else bias)).all()


def test_dropout_follows_fc6_and_fc7_in_train_mode_only(caffenet):
    maps = torch.rand(1, 256, 13, 13)
    with torch.no_grad():
        quiet = caffenet.advance(maps, ["pool5", "fc6", "fc7"])
        torch.manual_seed(0)
        noisy = caffenet.train().advance(maps, ["pool5", "fc6", "fc7"])
    caffenet.eval()
    assert torch.equal(quiet["pool5"], noisy["pool5"])
    fired = quiet["fc6"] > 0
    dropped = noisy["fc6"][fired] == 0
    assert 0.45 < float(dropped.float().mean()) < 0.55
    torch.testing.assert_close(noisy["fc6"][fired][~dropped], 2 * quiet["fc6"][fired][~dropped])
    assert float((noisy["fc7"] == 0).float().mean()) > 0.5


def test_only_what_is_asked_for_is_given(caffenet):
    with torch.no_grad():
        found = caffenet.advance(torch.rand(2, 256, 13, 13), ["pool5"])
    assert list(found) == ["pool5"] and found["pool5"].shape == (2, 9216)


def test_pool5_is_flattened_by_channel_row_column(caffenet):
    maps = torch.zeros(1, 256, 13, 13)
    maps[0, 3, 4, 12] = 7.0
    # row 4 lies in the pooling windows 1 and 2 (rows 2-4 and 4-6), column 12 in the last one only
    where = caffenet.advance(maps, ["pool5"])["pool5"][0].nonzero()[:, 0].tolist()
    assert where == [3 * 36 + 1 * 6 + 5, 3 * 36 + 2 * 6 + 5]


@pytest.mark.parametrize("network", [CaffeNet, AlexNet])
def test_pixels_are_blue_green_red_with_caffes_mean_colour_taken_off(network):
    # red, green, blue: the mean colour, one more of each, and 3 more of red alone
    mean = torch.tensor([122.679, 116.669, 104.007])
    pixels = torch.stack([mean, mean + 1, mean + torch.tensor([3.0, 0, 0])])[None, None]
    found = network(input_size=55).preprocessing(pixels)[0, :, 0].T
    torch.testing.assert_close(found, torch.tensor([[0.0, 0, 0], [1, 1, 1], [0, 0, 3]]), rtol=0, atol=1e-4)
