"""Every registered component keeps the contract of its kind."""

import pytest

from detkit.components import load_components
from detkit.registry import ALL_REGISTRIES
from detkit.testing import checks_of

load_components()


SMALLER = {
    "CaffeNet": {"input_size": 115},
    "TorchvisionBackbone": {"input_size": 115},
    "TimmBackbone": {"input_size": 64},
}
"""Crops that leave fc6 a fifth of its numbers, where AlexNet has the same layers at their full size."""


class Make:
    """Makes the component with its defaults, as ``check_component`` does, or smaller."""

    def __init__(self, component):
        self.component = component
        self.settings = SMALLER.get(component.__name__, {})

    def __call__(self, **given):
        return self.component(**given, **self.settings)


def cases():
    for registry in ALL_REGISTRIES:
        for name in registry.names():
            component = registry.get(name)
            make = Make(component)
            for check in checks_of(component):
                yield pytest.param(check, make, id=f"{name}-{check.__name__}")


@pytest.mark.parametrize(("check", "make"), cases())
def test_it_keeps(check, make):
    check(make)
