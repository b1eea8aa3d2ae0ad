from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from detkit.backbones.base import Backbone, LayerSpec
from detkit.backbones.fuse import fuse_for_inference, norms_folded
from detkit.backbones.preprocessing import Preprocessing


class NormAndRelu(nn.BatchNorm2d):
    """BatchNorm with an activation of its own."""

    def forward(self, x):
        return F.relu(super().forward(x))


class TripledConv(nn.Conv2d):
    """A convolution whose weights are three times those that it holds."""

    def forward(self, x):
        return F.conv2d(x, 3 * self.weight, self.bias)


class Reversed(nn.Module):
    """BatchNorm before the convolution, though it is registered behind it."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.conv(self.norm(x))


class Reading(nn.Sequential):
    """Gives what its convolution gives, beside what BatchNorm makes of it."""

    def forward(self, x):
        x = self[0](x)
        return x + self[1](x)


def one_relu_twice():
    relu = nn.ReLU()
    return nn.Sequential(nn.Conv2d(4, 4, 1), relu, nn.Conv2d(4, 4, 1), relu, nn.BatchNorm2d(4))


class Net(Backbone):
    """A body with random numbers, the statistics of BatchNorms among them."""

    input_size, stride, map_origin, map_size, map_channels = 8, 1, 0.0, (8, 8), 4
    takes_any_map = True

    def __init__(self, body):
        super().__init__()
        self.body = body
        self.layers = {"pool5": LayerSpec((4,))}
        self.preprocessing = Preprocessing.of("RGB", 1.0, (0, 0, 0), (1, 1, 1))
        generator = torch.Generator().manual_seed(0)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
                for tensor in (module.running_mean, module.running_var, module.weight, module.bias):
                    tensor.data.uniform_(0.5, 2, generator=generator)

    def map(self, images):
        return self.body(images)

    def pool(self, maps):
        return maps

    def after_pool(self, pooled, layers):
        return {name: pooled.mean((2, 3)) for name in layers}


def outputs(net):
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return net(x, ["pool5"])["pool5"]


def norms(net):
    return sum(isinstance(module, nn.BatchNorm2d) for module in net.modules())


BODIES = {
    "plain": (lambda: nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3)), 0),
    "norm with activation": (lambda: nn.Sequential(nn.Conv2d(4, 4, 3), NormAndRelu(4), nn.Conv2d(4, 4, 3)), 1),
    "convolution of its own": (lambda: nn.Sequential(TripledConv(4, 4, 3), nn.BatchNorm2d(4)), 1),
    "norm of the batch": (lambda: nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)), 1),
    "another order": (Reversed, 1),
    "a second reader": (lambda: Reading(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)), 1),
    "one module twice": (one_relu_twice, 1),
}


@pytest.mark.parametrize(("body", "left"), BODIES.values(), ids=BODIES)
def test_what_is_known_is_folded_and_the_numbers_are_the_same(body, left):
    torch.manual_seed(0)
    net = Net(body()).eval()
    fused = fuse_for_inference(net)
    assert norms(fused) == left
    torch.testing.assert_close(outputs(fused), outputs(net), rtol=1e-4, atol=1e-5)


def test_the_weights_of_a_convolution_of_its_own_stay_float32():
    net = fuse_for_inference(Net(nn.Sequential(TripledConv(4, 4, 1), nn.Conv2d(4, 4, 1))), torch.bfloat16)
    assert [conv.weight.dtype for conv in net.body] == [torch.float32, torch.bfloat16]


def gradients(net, *, folded):
    """Output and gradient of each parameter by name, of a network in train mode with frozen statistics."""
    net.zero_grad()
    for module in net.train().modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    x = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    with norms_folded(net) if folded else nullcontext():
        out = net(x, ["pool5"])["pool5"]
    (out**2).sum().backward()
    return {"out": out.detach(), **{name: parameter.grad.clone() for name, parameter in net.named_parameters()}}


@pytest.mark.parametrize("bias", [True, False])
def test_a_step_with_folded_norms_has_the_same_gradients(bias):
    torch.manual_seed(0)
    net = Net(nn.Sequential(nn.Conv2d(4, 4, 3, bias=bias), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3)))
    names = set(net.state_dict())
    plain, folded = gradients(net, folded=False), gradients(net, folded=True)
    assert plain.keys() == folded.keys() == {"out", *(name for name, _ in net.named_parameters())}
    for name, expected in plain.items():
        torch.testing.assert_close(folded[name], expected, rtol=1e-4, atol=1e-4)
    assert set(net.state_dict()) == names
    assert all("forward" not in vars(module) for module in net.modules())


def test_a_step_with_folded_norms_keeps_no_map_between_convolution_and_norm():
    torch.manual_seed(0)
    net = Net(nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU()))
    kept = {}
    for folded in (False, True):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: (s.append(t.numel()), t)[1], lambda t: t):
            gradients(net, folded=folded)
        kept[folded] = sum(size for size in sizes if size == 2 * 4 * 6 * 6)
    # plain: what BatchNorm takes and what ReLU gives, 2 x 4 x 6 x 6 numbers each; folded: what ReLU gives
    assert kept == {False: 2 * 288, True: 288}


def test_a_norm_that_learns_statistics_is_not_folded_in_training():
    torch.manual_seed(0)
    net = Net(nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))).train()
    before = net.body[1].running_mean.clone()
    with norms_folded(net):
        net(torch.ones(2, 4, 8, 8), ["pool5"])
    assert not torch.equal(net.body[1].running_mean, before)


def test_a_norm_without_weights_stays_as_it_is_in_training():
    torch.manual_seed(0)
    net = Net(nn.Sequential(nn.Conv2d(4, 4, 3)))
    net.body.append(nn.BatchNorm2d(4, affine=False))
    plain, folded = gradients(net, folded=False), gradients(net, folded=True)
    assert all(torch.equal(plain[name], folded[name]) for name in plain)
