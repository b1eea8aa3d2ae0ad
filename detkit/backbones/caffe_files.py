"""Caffe's files: networks with their weights (.caffemodel) and mean images (.binaryproto)."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.protobuf import Field, Message, Wire
from detkit.errors import WeightsError
from detkit.system.reading import bounded_bytes

_MOST_BYTES = (1 << 31) - 1
"""Protocol buffers cannot be longer."""

_MOST_AXES = 32
"""Caffe's own limit."""

_PARTS = ("weight", "bias")
"""What a layer's first and second blob are to torch."""

_FIRST_FORMAT = 1
"""The field of an entry of ``layers`` that holds a layer of Caffe's first format, V0LayerParameter."""


@dataclass(frozen=True, eq=False)
class CaffeModel:
    """The weights of a .caffemodel file.

    Args:
        name: name of the network; "" if the file has none.
        tensors: float32 by torch's names: ``conv1.weight``, ``conv1.bias``; a third blob is ``NAME.blob2``.
    """

    name: str
    tensors: dict[str, Tensor]


def read_caffemodel(path: Path) -> CaffeModel:
    """The weights of a network from a .caffemodel file: in the format since 2014 (``layer``) or before (``layers``).

    Source: caffe.proto: NetParameter, LayerParameter, V1LayerParameter, BlobProto, BlobShape.

    Raises:
        WeightsError: if the file is unreadable, damaged, in a format before these two, or without weights.
    """
    name, tensors = "", dict[str, Tensor]()
    for field in _message(path).fields():
        if field.number == 1:
            name = field.text()
        elif field.number in (2, 100):
            blobs_at, name_at = (6, 4) if field.number == 2 else (7, 1)
            for key, tensor in _layer(field.message(), name_at, blobs_at).items():
                if key in tensors:
                    raise field.content.error(field.content.start, f"a second layer with the tensor {key}")
                tensors[key] = tensor
    if not tensors:
        raise WeightsError(
            f"weights {path}: no layer of it holds weights; expected a network that Caffe has trained and saved"
        )
    return CaffeModel(name, tensors)


def read_mean_image(path: Path, side: int) -> Tensor:
    """The centre (3, side, side) of a mean image, float32, in the file's channel order (Caffe: BGR).

    Caffe crops the mean image at the same place as the picture.

    Raises:
        WeightsError: if the file is unreadable or damaged, or holds no image of three channels that is large enough.
    """
    mean = _blob(_message(path))
    if mean.ndim == 4 and mean.shape[0] == 1:
        mean = mean[0]
    if mean.ndim != 3 or mean.shape[0] != 3 or min(mean.shape[1:]) < side:
        raise WeightsError(
            f"weights {path}: the mean image is {tuple(mean.shape)}; expected (3, H, W) with H and W of {side} or more"
        )
    if not bool(torch.isfinite(mean).all()):
        raise WeightsError(f"weights {path}: the mean image holds values that are not finite; use another file")
    top, left = ((n - side) // 2 for n in mean.shape[1:])
    return mean[:, top : top + side, left : left + side].clone()


def _message(path: Path) -> Message:
    try:
        data = bounded_bytes(path, _MOST_BYTES)
    except OSError as error:
        raise WeightsError(f"weights {path}: cannot be read: {error.strerror}") from error
    return Message(memoryview(data), 0, len(data), str(path))


def _layer(message: Message, name_at: int, blobs_at: int) -> dict[str, Tensor]:
    name, tensors = "", list[Tensor]()
    for field in message.fields():
        if field.number == name_at:
            name = field.text()
        elif field.number == blobs_at:
            tensors.append(_blob(field.message(), keep_axes=1 if tensors else 2))
        elif field.number == _FIRST_FORMAT:
            raise WeightsError(
                f"weights {message.source}: a network in Caffe's first format (V0LayerParameter), which is not read; "
                "convert the file with Caffe's upgrade_net_proto_binary"
            )
    if tensors and not name:
        raise message.error(message.start, "a layer with weights and without a name")
    parts = [*_PARTS, *(f"blob{i}" for i in range(len(_PARTS), len(tensors)))]
    return {f"{name}.{part}": tensor for part, tensor in zip(parts, tensors)}


def _blob(message: Message, keep_axes: int = 4) -> Tensor:
    """The float32 tensor of a blob.

    Args:
        message: a BlobProto.
        keep_axes: the old format always has four axes, with ones in front: (1, 1, 1, 96) for a bias. Where all but
            this many lead with one, those are taken off.
    """
    shape: list[int] | None = None
    old_shape = dict[int, int]()
    floats, doubles = bytearray(), bytearray()
    for field in message.fields():
        if field.number in (1, 2, 3, 4):
            old_shape[field.number] = field.integer()
        elif field.number == 5:
            floats += field.numbers(Wire.FIXED32)
        elif field.number == 7:
            shape = [*(shape or []), *_axes(field)][: _MOST_AXES + 1]
        elif field.number == 8:
            doubles += field.numbers(Wire.FIXED64)
    if shape is None:
        shape = [old_shape.get(i, 0) for i in (1, 2, 3, 4)]
        if all(n == 1 for n in shape[:-keep_axes]):
            shape = shape[-keep_axes:]
    values = np.frombuffer(doubles, "<f8") if doubles else np.frombuffer(floats, "<f4")
    if len(shape) > _MOST_AXES or min(shape, default=1) < 1 or math.prod(shape) != values.size:
        raise message.error(message.start, f"a blob of shape {tuple(shape)} with {values.size} numbers")
    return torch.from_numpy(values).float().reshape(shape)


def _axes(field: Field) -> list[int]:
    """The axes of a BlobShape; no more than are needed to see that there are too many."""
    axes = (axis for dim in field.message().fields() if dim.number == 1 for axis in dim.integers())
    return list(itertools.islice(axes, _MOST_AXES + 1))
