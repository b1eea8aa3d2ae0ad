"""Writes Caffe's files, with numpy alone, and makes the random weights that networks are compared on."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

SHAPES = {
    "conv1": (96, 3, 11, 11),
    "conv2": (256, 48, 5, 5),
    "conv3": (384, 256, 3, 3),
    "conv4": (384, 192, 3, 3),
    "conv5": (256, 192, 3, 3),
    "fc6": (4096, 9216),
    "fc7": (4096, 4096),
}
"""The weights of CaffeNet and AlexNet."""


def varint(value: int) -> bytes:
    """A number in groups of seven bits, the lowest first; a negative one as its 64-bit two's complement."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, wire: int, content: bytes) -> bytes:
    """A field; ``content`` is its number as written, or the bytes that its length counts."""
    return varint(number << 3 | wire) + (varint(len(content)) if wire == BYTES else b"") + content


def text(number: int, value: str) -> bytes:
    return field(number, BYTES, value.encode())


def blob(values: np.ndarray, *, form: str = "shape", packed: bool = True) -> bytes:
    """A BlobProto.

    Args:
        values: float64 is written as such, all else as float32.
        form: "shape", or "legacy" for num, channels, height and width with ones in front.
        packed: whether the numbers, and the axes of a shape, stand in one field.
    """
    axes = [*([1] * (4 - values.ndim)), *values.shape] if form == "legacy" else values.shape
    if form == "legacy":
        head = b"".join(field(i, VARINT, varint(n)) for i, n in enumerate(axes, 1))
    elif packed:
        head = field(7, BYTES, field(1, BYTES, b"".join(map(varint, axes))))
    else:
        head = field(7, BYTES, b"".join(field(1, VARINT, varint(n)) for n in axes))
    number, wire, kind = (8, FIXED64, "<d") if values.dtype == np.float64 else (5, FIXED32, "<f")
    if packed:
        return head + field(number, BYTES, values.astype(kind).tobytes())
    return head + b"".join(field(number, wire, struct.pack(kind, v)) for v in values.ravel())


def layer(name: str, kind: str, blobs: Iterable[bytes]) -> bytes:
    """A field ``layer`` of a network, with the blobs of its weights."""
    return field(100, BYTES, text(1, name) + text(2, kind) + b"".join(field(7, BYTES, b) for b in blobs))


def old_layer(name: str, kind: int, blobs: Iterable[bytes]) -> bytes:
    """A field ``layers``, as Caffe wrote it until 2014; ``kind`` is a number there."""
    return field(2, BYTES, text(4, name) + field(5, VARINT, varint(kind)) + b"".join(field(6, BYTES, b) for b in blobs))


def random_weights(seed: int) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, weights and bias of each layer: as He et al. scale them, but uniform, and biases from -0.1 to 0.1.

    Large layers repeat one table of numbers whose length is prime, which takes a tenth of the time.
    """
    rng = np.random.default_rng(seed)
    table = rng.random(4_000_037, dtype=np.float32) * 2 - 1
    for name, shape in SHAPES.items():
        limit = np.float32(np.sqrt(6 / np.prod(shape[1:])))
        yield name, np.resize(np.roll(table, len(name) * shape[0]), shape) * limit, table[: shape[0]] * np.float32(0.1)


def random_input(seed: int) -> np.ndarray:
    """Two crops (2, 3, 227, 227) float32 as a network sees them: from -128 to 128."""
    return np.random.default_rng([seed, 1]).random((2, 3, 227, 227), dtype=np.float32) * 256 - 128


def caffemodel(weights: Iterable[tuple[str, np.ndarray, np.ndarray]], name: str = "") -> Iterator[bytes]:
    """The parts of a .caffemodel file, a layer each."""
    yield text(1, name)
    for layer_name, weight, bias in weights:
        kind = "Convolution" if weight.ndim == 4 else "InnerProduct"
        yield layer(layer_name, kind, [blob(weight), blob(bias)])


def kept(outputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The numbers of the layers' outputs that are stored: strides that meet every channel and every cell of a map."""
    return {name: rows.reshape(len(rows), -1)[:, :: 5 if name == "pool5" else 3] for name, rows in outputs.items()}
