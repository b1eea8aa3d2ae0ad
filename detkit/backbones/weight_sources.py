"""Weights from files and from collections."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.caffe_files import read_caffemodel, read_mean_image
from detkit.backbones.named_weights import Collection, collection_of
from detkit.backbones.preprocessing import Preprocessing
from detkit.errors import WeightsError
from detkit.system.reading import reason, refuse_bomb
from detkit.system.tensor_files import read_tensor_file, whole_tensor

MEAN_IMAGE = "preprocessing.mean"
"""The tensor of a .safetensors file that holds a mean image; a mean colour stands in the metadata."""

CAFFE_CROP = 227
"""Side of the crop, out of pictures of 256 px, on which Caffe trained its networks."""

CAFFE_NETWORKS = ("CaffeNet", "AlexNet")
"""Names in .caffemodel files of networks whose tensors have the same shapes, so that only the name tells them apart."""


@dataclass(frozen=True, eq=False)
class Weights:
    """A state dict with its origin.

    Args:
        tensors: every tensor of the source by name; floating-point ones are float32.
        preprocessing: what the network was trained with, or None if the source does not say.
        network: ``network_name`` of the backbone they were saved from, or "" if the source does not say.
        source: the file or name they came from, for messages.
    """

    tensors: Mapping[str, Tensor]
    preprocessing: Preprocessing | None
    network: str
    source: str


def read_weights(spec: str, home: str = "") -> Weights:
    """The weights of a file or of a collection.

    Args:
        spec: a .safetensors, .pth, .pt or .caffemodel file, ``torchvision:NAME`` or ``timm:NAME``.
        home: ``home_of`` the backbone, in which such a name is looked up.

    Raises:
        WeightsError: if the weights are missing, cannot be read or cannot be downloaded.
    """
    if collection := collection_of(spec):
        return _from_collection(collection, spec, home)
    path = _file_of_known_kind(spec)
    return _READERS[path.suffix](path)


def read_outline(spec: str, home: str = "") -> Weights | None:
    """The names and shapes of the weights, as tensors on the device "meta"; None if that takes reading the whole file.

    Args:
        spec: as for ``read_weights``.
        home: as for ``read_weights``.

    Raises:
        WeightsError: if the weights are missing or of an unknown kind or name, or their header cannot be read.
    """
    if collection := collection_of(spec):
        collection.find(spec, home)
        return None
    path = _file_of_known_kind(spec)
    return _from_safetensors(path, _outline) if path.suffix == ".safetensors" else None


def _file_of_known_kind(spec: str) -> Path:
    path = existing_file(spec)
    if path.suffix not in _READERS:
        raise WeightsError(
            f"weights {spec}: unknown kind of file {path.suffix!r}; allowed: {', '.join(_READERS)}, "
            "torchvision:NAME and timm:NAME"
        )
    return path


def existing_file(spec: str) -> Path:
    """The file that a specification names.

    Raises:
        WeightsError: if there is no such file.
    """
    try:
        path = Path(spec).expanduser()
    except RuntimeError:
        raise WeightsError(f"weights {spec}: {Path(spec).parts[0]} is the home of no user here") from None
    if not path.is_file():
        raise WeightsError(
            f"weights {spec}: no such file (looked at {path.absolute()}); "
            "allowed: a .safetensors, .pth, .pt or .caffemodel file, torchvision:DEFAULT or timm:DEFAULT; "
            'in a config also "random" for random weights'
        )
    return path


def companion_files(path: Path) -> list[Path]:
    """The files that belong to a weights file: for a .caffemodel the mean image in its folder, if there is one.

    Raises:
        WeightsError: if there are several mean images.
    """
    found = sorted(path.parent.glob("*.binaryproto")) if path.suffix == ".caffemodel" else []
    if len(found) > 1:
        raise WeightsError(
            f"weights {path}: several mean images lie beside it ({', '.join(p.name for p in found)}); "
            "leave the one that the network was trained with"
        )
    return found


def _outline(file: Any, name: str) -> Tensor:
    """A tensor of the stored shape without numbers; the mean image with them, which are few."""
    return (
        whole_tensor(file, name) if name == MEAN_IMAGE else torch.empty(file.get_slice(name).get_shape(), device="meta")
    )


def _from_safetensors(path: Path, read: Callable[[Any, str], Tensor] = whole_tensor) -> Weights:
    try:
        tensors, metadata = read_tensor_file(path, read)
    except OSError as error:
        raise WeightsError(f"weights {path}: not a safetensors file: {reason(error)}") from error
    mean_image = tensors.pop(MEAN_IMAGE, None)
    form = _preprocessing(path, metadata, mean_image) if "std" in metadata else None
    return Weights(_widened(tensors, str(path)), form, metadata.get("network", ""), str(path))


def _preprocessing(path: Path, metadata: Mapping[str, str], mean_image: Tensor | None) -> Preprocessing:
    """Metadata: channels RGB or BGR; scale on 0..255 pixels, or range 255 or 1; mean and std as three numbers."""
    try:
        scale = float(metadata["scale"]) if "scale" in metadata else float(metadata.get("range", "255")) / 255
        std = [float(v) for v in metadata["std"].split(",")]
        mean = [float(v) for v in metadata["mean"].split(",")] if mean_image is None else mean_image
        order = metadata.get("channels", "RGB")
        if mean_image is not None and mean_image.ndim != 3:
            raise ValueError(f"a mean image of shape {tuple(mean_image.shape)}")
        with np.errstate(over="ignore", under="ignore"):
            std, numbers = _float32(std).tolist(), _float32([scale, *std, *np.ravel(mean)])
        if not np.isfinite(numbers).all():
            raise ValueError(f"scale {scale}, mean and std are not all finite in float32")
        if order not in ("RGB", "BGR") or len(mean) != 3 or len(std) != 3 or min(std) <= 0 or scale <= 0:
            raise ValueError(f"channels {order}, scale {scale}, {len(mean)} means, std {std}")
    except (ValueError, KeyError) as error:
        raise WeightsError(
            f"weights {path}: its metadata describe no preprocessing ({_one_line(error)}); "
            "expected channels RGB or BGR, scale or range, and three numbers each in mean and std"
        ) from error
    return Preprocessing.of(cast(Literal["RGB", "BGR"], order), scale, mean, std)


def _float32(numbers: list[float]) -> np.ndarray:
    return np.asarray(numbers, np.float32)


def _from_pickle(path: Path) -> Weights:
    """A state dict, alone or as the entry ``state_dict`` or ``model`` of a checkpoint; ``module.`` is cut off."""
    try:
        if zipfile.is_zipfile(path):
            refuse_bomb(path)
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"weights {path}: refused, as it is no plain state dict and loading anything else could run code; "
            "save it again with torch.save(model.state_dict(), ...)"
        ) from error
    except Exception as error:  # torch and zipfile raise what they like on broken bytes
        raise WeightsError(
            f"weights {path}: not a file of torch.save, or a damaged one ({type(error).__name__}: {_one_line(error)}); "
            "download it again, or save it with torch.save(model.state_dict(), ...)"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(map(_is_plain, found.values())):
        raise WeightsError(
            f"weights {path}: holds no state dict (names and tensors); "
            "save it again with torch.save(model.state_dict(), ...)"
        )
    tensors = {str(name).removeprefix("module."): tensor for name, tensor in found.items()}
    return Weights(_widened(tensors, str(path)), None, "", str(path))


def _is_plain(value: object) -> bool:
    """Whether all numbers of a tensor are in its file: it is not sparse, quantised or expanded."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def _from_collection(collection: Collection, spec: str, home: str) -> Weights:
    chosen = collection.find(spec, home)
    try:
        tensors, preprocessing = collection.download(chosen)
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"weights {spec}: cannot download {getattr(chosen, 'url', chosen)} ({_one_line(error)}); "
            "fetch it by hand and give the file's path in place of this name"
        ) from error
    return Weights(_widened(tensors, spec), preprocessing, "", spec)


def _from_caffemodel(path: Path) -> Weights:
    """Caffe's pixels are BGR in 0..255; the mean image lies beside the file, or the backbone's mean colour stays."""
    model = read_caffemodel(path)
    means = companion_files(path)
    form = Preprocessing.of("BGR", 1.0, read_mean_image(means[0], CAFFE_CROP), (1, 1, 1)) if means else None
    return Weights(model.tensors, form, model.name if model.name in CAFFE_NETWORKS else "", str(path))


_READERS: Mapping[str, Callable[[Path], Weights]] = {
    ".safetensors": _from_safetensors,
    ".pth": _from_pickle,
    ".pt": _from_pickle,
    ".caffemodel": _from_caffemodel,
}


def _widened(tensors: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Floating-point tensors as float32."""
    widened = {}
    for name, tensor in tensors.items():
        try:
            widened[name] = tensor.float() if tensor.is_floating_point() else tensor
        except RuntimeError:
            raise WeightsError(
                f"weights {source}: tensor {name} is of the type {tensor.dtype}, which cannot become float32"
            ) from None
    return widened


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
