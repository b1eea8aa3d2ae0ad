"""Weights by name, out of the collections of torchvision and timm."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from detkit.backbones.preprocessing import Preprocessing
from detkit.errors import WeightsError


class Collection(ABC):
    """Weights that a library downloads.

    Attributes:
        name: of the library; ``NAME:`` is the prefix of a specification.
    """

    name: str

    @property
    @abstractmethod
    def version(self) -> str:
        """Of the library."""

    @abstractmethod
    def known(self, arch: str) -> Mapping[str, Any]:
        """What is needed to download each of an architecture's weights, by their names."""

    @abstractmethod
    def download(self, chosen: Any) -> tuple[Mapping[str, Tensor], Preprocessing]:
        """The tensors of one of them, by the library's names, and how pixels were prepared.

        Raises:
            OSError, RuntimeError: it is not to be had.
        """

    def find(self, spec: str, home: str) -> Any:
        """What ``known`` has for a specification.

        Args:
            spec: ``NAME:weights``; the weights DEFAULT are the first that the library recommends.
            home: ``NAME:architecture`` of the backbone, or "" where no collection has it.

        Raises:
            WeightsError: the collection has none of this backbone, or none of that name.
        """
        owner, _, arch = home.partition(":")
        if owner != self.name:
            other = f" and {owner}:NAME" if owner else ""
            raise WeightsError(f"weights {spec}: {self.name} has none for this backbone; allowed: a file{other}")
        known = self.known(arch)
        name = spec.removeprefix(f"{self.name}:")
        if name not in known:
            raise WeightsError(f"weights {spec}: {self.name} has no such weights of {arch}; allowed: {_list(known)}")
        return known[name]


class _Torchvision(Collection):
    name = "torchvision"

    @property
    def version(self) -> str:
        import torchvision  # slow to import, and weights mostly lie in files

        return str(torchvision.__version__)

    def known(self, arch: str) -> Mapping[str, Any]:
        from torchvision import models

        members: Mapping[str, Any] = models.get_model_weights(arch).__members__
        return members

    def download(self, chosen: Any) -> tuple[Mapping[str, Tensor], Preprocessing]:
        tensors = chosen.get_state_dict(progress=False, check_hash=True)
        form = chosen.transforms()
        return tensors, Preprocessing.of("RGB", 1 / 255, form.mean, form.std)


class _Timm(Collection):
    name = "timm"

    @property
    def version(self) -> str:
        import timm  # slow to import

        return str(timm.__version__)

    def known(self, arch: str) -> Mapping[str, Any]:
        from timm.models import get_arch_pretrained_cfgs

        names = [name.partition(".")[::2] for name, cfg in get_arch_pretrained_cfgs(arch).items() if cfg.has_weights]
        tags = {tag: f"{arch}.{tag}" for _, tag in names if tag}
        return {"DEFAULT": next(iter(tags.values())), **tags} if tags else {}

    def download(self, chosen: Any) -> tuple[Mapping[str, Tensor], Preprocessing]:
        import timm

        net = timm.create_model(chosen, pretrained=True)
        form = net.pretrained_cfg
        return net.state_dict(), Preprocessing.of("RGB", 1 / 255, form["mean"], form["std"])


_COLLECTIONS = {collection.name: collection for collection in (_Torchvision(), _Timm())}


def collection_of(spec: str) -> Collection | None:
    """The collection that a specification names by its prefix; None for a file."""
    prefix, colon, _ = spec.partition(":")
    return _COLLECTIONS.get(prefix) if colon else None


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none; give a file"
