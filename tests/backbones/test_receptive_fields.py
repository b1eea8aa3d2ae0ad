"""Fields are compared with where the gradient of an output cell is not zero."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from detkit.backbones.base import Backbone, LayerSpec
from detkit.backbones.caffenet import AlexNet, CaffeNet
from detkit.backbones.receptive_fields import receptive_fields
from detkit.backbones.tiny import TinyNet
from detkit.backbones.torchvision_nets import TorchvisionBackbone


def even(backbone):
    """The convolutions as halved means over their kernels, so that no gradient cancels and no ReLU is shut."""
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            module.to_empty(device="cpu")
            nn.init.constant_(module.weight, 0.5 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.to_empty(device="cpu").reset_parameters()
            module.reset_running_stats()
    return backbone


@pytest.fixture
def means(monkeypatch):
    """Pools by means: a maximum's gradient shows one pixel of its window."""

    def pool(x, kernel, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        return F.avg_pool2d(x, kernel, stride, padding, ceil_mode)

    monkeypatch.setattr(F, "max_pool2d", pool)
    monkeypatch.setattr(F, "adaptive_max_pool2d", F.adaptive_avg_pool2d)


def seen(backbone, cells):
    """(x1, y1, x2, y2) of the pixels on which each of the cells (row, column) of pool5 depends."""
    crop = torch.ones(1, 3, backbone.input_size, backbone.input_size, requires_grad=True)
    pooled = backbone.pool(backbone.map(crop))
    if pooled.shape[2:] != backbone.pool_size:
        pooled = F.adaptive_avg_pool2d(pooled, backbone.pool_size)
    for row, column in cells:
        (gradient,) = torch.autograd.grad(pooled[0, :, row, column].sum(), crop, retain_graph=True)
        ys, xs = gradient[0].abs().sum(0).nonzero(as_tuple=True)
        yield [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]


NETS = {
    "TinyNet": lambda: TinyNet(width=4, fc_dim=4),
    "TinyNet odd": lambda: TinyNet(width=4, fc_dim=4, input_size=51),
    "TinyNet pyramid": lambda: TinyNet(width=4, fc_dim=4, levels=(1, 3)),
    "CaffeNet": CaffeNet,
    "AlexNet small": lambda: AlexNet(input_size=115),
    "squeezenet1_1": lambda: TorchvisionBackbone(arch="squeezenet1_1", input_size=131),
    "mobilenet_v2": lambda: TorchvisionBackbone(arch="mobilenet_v2", input_size=65),
    "resnet18": lambda: TorchvisionBackbone(arch="resnet18", input_size=65),
}


@pytest.mark.parametrize("net", NETS)
def test_cells_see_what_their_gradient_shows(net, means):
    with torch.device("meta"):
        backbone = NETS[net]()
    backbone.eval()
    field = receptive_fields(backbone)["pool5"]
    height, width = backbone.pool_size
    assert len(field.cells) == height * width
    cells = [(0, 0), (height // 2, width // 2), (height - 1, 0)]
    expected = [field.cells[row * width + column].clip(0, backbone.input_size).tolist() for row, column in cells]
    assert list(seen(even(backbone), cells)) == expected


def test_fields_of_the_papers_network_are_those_that_the_paper_tells():
    # R-CNN, section 2.4: pool5 sees 195 x 195 of 227 pixels, 32 apart. By hand:
    # 11, +2*4, +4*8, +2*8, +2*16 three times, +2*16 -> 11 19 51 67 99 131 163 195
    with torch.device("meta"):
        fields = receptive_fields(CaffeNet())
    names = ["conv1", "conv2", "conv3", "conv4", "conv5", "pool5"]
    assert [fields[name].size for name in names] == [11, 51, 99, 131, 163, 195]
    assert fields["pool behind conv1"].size == 19 and fields["pool behind conv2"].size == 67
    pool5 = fields["pool5"]
    # the map's first cell is centred on 17.5, the pooling takes cells 0 to 2, whose middle one is 16 further
    assert (pool5.stride, pool5.offset, round(pool5.share, 3)) == (32, 33.5, 0.859)
    assert (pool5.text, fields["fc6"].text) == ("195 of 227 px", "the whole crop of 227 px")
    assert fields["fc6"].stride == 0 and fields["fc6"].share == 1
    assert list(fields)[-3:] == ["pool5", "fc6", "fc7"]


@pytest.mark.parametrize(("arch", "size"), [("vgg16", 212), ("resnet18", 435)])
def test_fields_are_those_that_others_publish(arch, size):
    # Araujo, Norris and Sim, Computing Receptive Fields of Convolutional Neural Networks, 2019: 212 with VGG16's last
    # pooling, 435 of ResNet-18's last map.
    with torch.device("meta"):
        fields = receptive_fields(TorchvisionBackbone(arch=arch))
    last = [name for name in fields if name not in ("pool5", "fc6", "fc7", "final")][-1]
    assert fields[last].size == size


class Branches(Backbone):
    """Two convolutions whose sum is scaled by the mean of the map."""

    def __init__(self):
        super().__init__()
        self.input_size, self.stride, self.map_origin, self.map_size, self.map_channels = 16, 1, 0.5, (16, 16), 1
        self.narrow, self.wide = nn.Conv2d(3, 1, 3, padding=1), nn.Conv2d(3, 1, 5, padding=2)
        self.layers = {"map": LayerSpec((1, 16, 16))}
        self.squeeze = False

    def map(self, images):
        x = self.narrow(images) + self.wide(images)
        return x * x.mean((2, 3), keepdim=True) if self.squeeze else x

    def after_pool(self, pooled, layers):
        return {"map": pooled.flatten(1)}


def test_where_branches_meet_the_largest_counts_and_a_mean_sees_everything():
    net = Branches()
    fields = receptive_fields(net)
    assert {name: one.size for name, one in fields.items()} == {"narrow": 3, "wide": 5, "map": 5}
    assert fields["map"].cells[0].tolist() == [-2, -2, 3, 3]  # padding counts
    net.squeeze = True
    # all cells together see -2 to 18
    assert np.unique(receptive_fields(net)["map"].cells, axis=0).tolist() == [[-2, -2, 18, 18]]


def test_the_network_is_left_as_it_was():
    net = TinyNet(width=4, fc_dim=4).train()
    before = {name: t.clone() for name, t in net.state_dict().items()}
    receptive_fields(net)
    assert net.training and all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
