"""Features of regions: computed by the network batch by batch, or read from disk."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from detkit.data.images import sample_image
from detkit.regions.base import RegionExtractor, RegionInputs
from detkit.regions.index import RegionIndex
from detkit.regions.network import RegionNetwork, check_finite
from detkit.regions.source import FeatureSource
from detkit.system.stream import in_threads

Request = tuple[int, np.ndarray]
"""An image and the rows of the index that are wanted of it."""

IMAGES_TOGETHER = 8
"""Images whose regions share batches; a batch never crosses this boundary, so work resumes at it unchanged."""


class RegionFeatures(ABC):
    """Several layers' features of one split's regions, rounded to float16.

    Attributes:
        index: the split's regions.
        network: computes features; None if they are only read.
    """

    index: RegionIndex
    network: RegionNetwork | None = None

    def images(self, requests: Sequence[Request], layers: Sequence[str]) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """(image, {layer: (n, D) float32}) of the requested rows, in the order of the requests."""
        given = self._images([request for request in requests if len(request[1])], layers)
        for image, rows in requests:
            yield next(given) if len(rows) else (image, {layer: torch.zeros(0, self.dim(layer)) for layer in layers})
        assert next(given, None) is None, "a result for each request"

    @abstractmethod
    def _images(self, requests: Sequence[Request], layers: Sequence[str]) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """``images`` for requests of at least one row."""

    @abstractmethod
    def dim(self, layer: str) -> int:
        """D of a layer."""

    def source(self, layer: str) -> FeatureSource:
        """One layer, as a classifier or box head reads it."""
        return _LayerSource(self, layer)

    def serve(self) -> None:
        """In processes other than the first: computes features for the first until it needs no more."""
        return

    def dismiss(self) -> None:
        """In the first process: tells the other processes that it needs no more features."""
        return

    def every_row(self) -> list[Request]:
        """A request for all rows of every image that has any, in list order."""
        rows = (self.index.row_numbers(image) for image in range(self.index.num_images))
        return [(image, own) for image, own in enumerate(rows) if len(own)]


class _LayerSource(FeatureSource):
    def __init__(self, features: RegionFeatures, layer: str) -> None:
        self.index = features.index
        self.dim = features.dim(layer)
        self._features, self._layer = features, layer

    def take(self, rows: np.ndarray) -> Tensor:
        out = torch.empty(len(rows), self.dim)
        places = list(self.index.by_image(rows))
        requests = [(image, rows[at]) for image, at in places]
        found = self._features.images(requests, [self._layer])
        for (_, at), (_, layers) in zip(places, found, strict=True):
            out[torch.from_numpy(at)] = layers[self._layer]
        return out

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        for image, layers in self._features.images(self._features.every_row(), [self._layer]):
            yield image, layers[self._layer]


class ComputedFeatures(RegionFeatures):
    """Features that the network computes on request.

    Args:
        index: the split's regions.
        network: what computes them.
        workers: threads that decode and warp.
    """

    network: RegionNetwork

    def __init__(self, index: RegionIndex, network: RegionNetwork, *, workers: int) -> None:
        self.index, self.network, self.workers = index, network, workers

    def dim(self, layer: str) -> int:
        """D, from the network."""
        return self.network.layers[layer].dim

    def _images(self, requests: Sequence[Request], layers: Sequence[str]) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """Computes in network passes of one shape; a pass may hold regions of several images.

        Equal boxes of an image, such as a ground truth that is also a proposal, are computed once.
        """
        once = [(image, rows[self.index.boxes[rows].distinct()[0]]) for image, rows in requests]
        for (_, rows), (image, features) in zip(requests, self._computed(once, layers), strict=True):
            _, which = self.index.boxes[rows].distinct()
            joined = {layer: values[which].float() for layer, values in features.items()}
            check_finite(joined, self.index.samples[image].image_id)
            yield image, joined

    def _computed(self, requests: Sequence[Request], layers: Sequence[str]) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """(image, {layer: (n, D) float16}) of rows whose boxes differ within each image."""
        extractor = self.network.extractor
        plan = _plan(requests, self.network.batch, extractor.hands_over_images)
        parts: dict[str, list[Tensor]] = {layer: [] for layer in layers}
        waiting = iter(requests)
        current = next(waiting, None)
        held = 0
        with closing(in_threads(_Batches(self.index, extractor, plan), 0, len(plan), self.workers)) as batches:
            for pieces, inputs in zip(plan, batches, strict=True):
                features = self.network.forward(inputs, layers)
                start = 0
                for _, rows in pieces:
                    for layer in layers:
                        parts[layer].append(features[layer][start : start + len(rows)])
                    start += len(rows)
                    held += len(rows)
                    if current is not None and held == len(current[1]):
                        yield current[0], {layer: torch.cat(p) for layer, p in parts.items()}
                        parts = {layer: [] for layer in layers}
                        current, held = next(waiting, None), 0


class StoredFeatures(RegionFeatures):
    """Features that an earlier stage wrote.

    Args:
        index: the split's regions.
        folder: one safetensors file an image, with ``LAYER`` (n, D) float16 and ``LAYER.rows`` (n,), ascending rows
            within the image.
        dims: D of each layer.
    """

    def __init__(self, index: RegionIndex, folder: Path, dims: Mapping[str, int]) -> None:
        self.index, self.folder, self.dims = index, folder, dims
        self._holds = cache(self._has_every_row)

    def dim(self, layer: str) -> int:
        """D, as given."""
        return self.dims[layer]

    def holds(self, layer: str) -> bool:
        """Whether a layer is stored for every region."""
        return self._holds(layer)

    def _has_every_row(self, layer: str) -> bool:
        for image, rows in self.every_row():
            with safe_open(feature_file(self.folder, image), "pt") as stored:
                if layer not in stored.keys() or stored.get_slice(layer).get_shape()[0] < len(rows):  # noqa: SIM118
                    return False
        return True

    def _images(self, requests: Sequence[Request], layers: Sequence[str]) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """Reads one file an image."""
        for image, rows in requests:
            start = self.index.rows(image).start
            with safe_open(feature_file(self.folder, image), "pt") as stored:
                yield image, {layer: _read(stored, layer, torch.from_numpy(rows - start)) for layer in layers}


class CompletedFeatures(RegionFeatures):
    """Stored features if all requested layers are stored, else computed ones.

    Args:
        stored: some layers.
        computed: any layer of the same regions.
    """

    def __init__(self, stored: StoredFeatures, computed: ComputedFeatures) -> None:
        self.index, self.network, self._stored, self._computed = stored.index, computed.network, stored, computed

    def dim(self, layer: str) -> int:
        """D, from the network."""
        return self._computed.dim(layer)

    def _images(self, requests: Sequence[Request], layers: Sequence[str]) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """Reads the layers from disk, or computes all of them in one pass."""
        source = self._stored if all(map(self._stored.holds, layers)) else self._computed
        return source.images(requests, layers)


def feature_file(folder: Path, image: int) -> Path:
    """The file of one image's features."""
    return folder / f"{image:06d}.safetensors"


def _read(stored: safe_open, layer: str, rows: Tensor) -> Tensor:
    held = stored.get_tensor(f"{layer}.rows")
    at = torch.searchsorted(held, rows)
    assert torch.equal(held[at.clamp(max=len(held) - 1)], rows), f"{layer}: rows that were not stored"
    values = stored.get_slice(layer)
    if len(at) and int(at[-1]) - int(at[0]) + 1 == len(at) and bool((at.diff() == 1).all()):
        return values[int(at[0]) : int(at[-1]) + 1].float()
    return values[:][at].float()


class _Kept(threading.local):
    """The image that a thread read last, and its number."""

    last: tuple[int, np.ndarray] | None = None


@dataclass(frozen=True, eq=False)
class _Batches:
    """Makes what each network pass needs; each thread keeps its last image, whose regions may go on in the next."""

    index: RegionIndex
    extractor: RegionExtractor
    plan: Sequence[Sequence[Request]]
    _kept: _Kept = field(default_factory=_Kept, init=False)

    def __call__(self, i: int) -> list[RegionInputs]:
        return [self._prepare(image, rows) for image, rows in self.plan[i]]

    def _prepare(self, image: int, rows: np.ndarray) -> RegionInputs:
        last = self._kept.last
        if last is None or last[0] != image:
            self._kept.last = last = (image, sample_image(self.index.samples[image]))
        return self.extractor.prepare(last[1], self.index.boxes[rows], np.zeros(len(rows), bool))


def _plan(requests: Sequence[Request], batch: int, whole_images: bool) -> list[list[Request]]:
    """The pieces of each network pass."""
    if whole_images:
        return [[request] for request in requests]
    passes: list[list[Request]] = []
    for first in range(0, len(requests), IMAGES_TOGETHER):
        room = 0
        for image, rows in requests[first : first + IMAGES_TOGETHER]:
            at = 0
            while at < len(rows):
                if room == 0:
                    passes.append([])
                    room = batch
                piece = rows[at : at + room]
                passes[-1].append((image, piece))
                at += len(piece)
                room -= len(piece)
    return passes
