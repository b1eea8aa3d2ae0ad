"""Results of single images that survive an interruption, and are merged into one file at the end."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from detkit.structures.state import read_tensors
from detkit.system.files import replacing


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Writes named tensors to a safetensors file that appears only once it is complete."""
    with replacing(path) as partial:
        save_file({k: v.contiguous() for k, v in tensors.items()}, partial)


class ImageShards:
    """Named tensors of each image of a split, each with its own number of rows.

    Args:
        folder: the stage's folder.
        name: name of the merged file.
        count: number of images of the split.
    """

    def __init__(self, folder: Path, name: str, count: int) -> None:
        self.path = folder / f"{name}.safetensors"
        self.count = count
        self._parts = folder / f"{name}.images"
        self._parts.mkdir(exist_ok=True)

    def missing(self, images: Sequence[int]) -> list[int]:
        """The given images that have no result yet."""
        return [i for i in images if not self._file(i).is_file()]

    def save(self, image: int, tensors: Mapping[str, Tensor]) -> None:
        """Stores the result of one image."""
        save_tensors(self._file(image), tensors)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return (read_tensors(self._file(i)) for i in range(self.count))

    def merge(self) -> None:
        """Writes all images to one file. The parts stay until ``remove`` is called."""
        merge_images(self.path, list(self))

    def remove(self) -> None:
        """Removes the parts."""
        shutil.rmtree(self._parts)

    def _file(self, image: int) -> Path:
        return self._parts / f"{image:06d}.safetensors"


def merge_images(path: Path, images: Sequence[Mapping[str, Tensor]]) -> None:
    """Writes the tensors of many images to one file: concatenated, with ``offsets`` (I+1,) of the images."""
    counts = [len(next(iter(one.values()))) for one in images]
    merged = {k: torch.cat([one[k] for one in images]) for k in (images[0] if images else ())}
    merged["offsets"] = torch.cat(
        [torch.zeros(1, dtype=torch.int64), torch.tensor(counts, dtype=torch.int64).cumsum(0)]
    )
    save_tensors(path, merged)


def split_images(path: Path) -> list[dict[str, Tensor]]:
    """The tensors of each image, from a file of ``merge_images``."""
    merged = read_tensors(path)
    offsets = merged.pop("offsets").tolist()
    return [{k: v[a:b] for k, v in merged.items()} for a, b in pairwise(offsets)]
