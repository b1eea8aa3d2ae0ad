"""Weights by name from the collections of torchvision and timm."""

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
        name: name of the library; ``NAME:`` is the prefix of a specification.
    """

    name: str

    @property
    @abstractmethod
    def version(self) -> str:
        """Version of the library."""

    @abstractmethod
    def known(self, arch: str) -> Mapping[str, Any]:
        """The weights of an architecture by name, each with what ``download`` needs."""

    @abstractmethod
    def download(self, chosen: Any) -> tuple[Mapping[str, Tensor], Preprocessing]:
        """The tensors of one entry of ``known``, by the library's names, and their preprocessing.

        Raises:
            OSError, RuntimeError: if the download fails.
        """

    def find(self, spec: str, home: str) -> Any:
        """The entry of ``known`` for a specification.

        Args:
            spec: ``NAME:weights``; the name DEFAULT stands for the weights that the library recommends first.
            home: ``NAME:architecture`` of the backbone, or "" if no collection has it.

        Raises:
            WeightsError: if the collection has no weights of this backbone, or none of that name.
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
    """The collection of a specification's prefix; None for a file."""
    prefix, colon, _ = spec.partition(":")
    return _COLLECTIONS.get(prefix) if colon else None


def _list(names: Iterable[str]) -> str:
    return ", ".join(names) or "none; give a file"
