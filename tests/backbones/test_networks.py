import pytest
import torch
from safetensors.torch import save_file

from detkit.backbones.caffenet import AlexNet, CaffeNet
from detkit.backbones.networks import nearest_network
from detkit.backbones.tiny import TinyNet
from detkit.backbones.weights import load_weights
from detkit.components import load_components
from detkit.errors import WeightsError

load_components()


def meta(network, **settings):
    with torch.device("meta"):
        return network(**settings)


@pytest.mark.parametrize("network", [AlexNet, CaffeNet])
def test_weights_of_another_input_size_name_the_key(network):
    # CaffeNet and AlexNet have equal tensors: the one that is wanted is named
    found = nearest_network(meta(network, input_size=67).state_dict(), meta(network))
    name = network.__name__
    assert found == (
        f" The file looks like {name} with other settings, such as another BACKBONE.{name}.INPUT_SIZE (here 227)."
    )


def test_fc6_that_does_not_fit_is_one_line(tmp_path):
    # zeros of 55 px: fc6 of 256 x 1 x 1 instead of 256 x 6 x 6
    state = {
        name: torch.zeros(t.shape, dtype=torch.float16)
        for name, t in meta(CaffeNet, input_size=55).state_dict().items()
    }
    save_file(state, tmp_path / "net.safetensors", {"network": "CaffeNet"})
    with pytest.raises(WeightsError) as error:
        load_weights(meta(CaffeNet), str(tmp_path / "net.safetensors"))
    text = str(error.value)
    assert "tensor fc6.weight has the shape (4096, 256), but CaffeNet needs (4096, 9216)" in text
    assert "BACKBONE.CaffeNet.INPUT_SIZE (here 227)" in text
    assert "\n" not in text


def test_a_network_that_misses_a_tensor_is_not_blamed_on_its_settings():
    tensors = dict(TinyNet().state_dict())
    del tensors["fc7.bias"]
    assert nearest_network(tensors, TinyNet()) == ""


def test_tensors_of_no_known_network_name_none():
    assert nearest_network({"encoder.weight": torch.zeros(3)}, TinyNet()) == ""
