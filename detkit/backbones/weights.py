"""Weights of backbones, together with the preprocessing that they were trained with."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from detkit.backbones.base import Backbone
from detkit.backbones.factored import take_factors
from detkit.backbones.named_weights import collection_of
from detkit.backbones.networks import home_of, nearest_network, network_name
from detkit.backbones.weight_sources import (
    MEAN_IMAGE,
    Weights,
    companion_files,
    existing_file,
    read_outline,
    read_weights,
)
from detkit.errors import WeightsError
from detkit.system.files import replacing

_log = logging.getLogger(__name__)


def load_weights(backbone: Backbone, spec: str) -> None:
    """Loads weights into a backbone, and their preprocessing if their source states one.

    - Tensors that the backbone does not have, such as the head of the pre-trained classifier, are skipped and logged.
    - BatchNorm's counters may be missing.
    - A fully connected layer that the file holds as two layers becomes two layers.
    - If the backbone pools a pyramid that the weights were not trained with, the layer that reads it keeps its random
      numbers. The log says so.

    Args:
        backbone: changed in place, and only if all tensors fit.
        spec: a .safetensors, .pth, .pt or .caffemodel file; ``torchvision:NAME`` or ``timm:NAME``, such as
            ``torchvision:DEFAULT``, for weights that the library downloads. A .caffemodel takes the mean image of the
            .binaryproto file in its folder.

    Raises:
        WeightsError: if the weights are missing, unreadable or of another network, or cannot be downloaded.
    """
    _fill(backbone, read_weights(spec, home_of(backbone)))


def refuse_misfit(backbone: Backbone, spec: str) -> None:
    """Refuses weights that do not fit a backbone, as far as a quick look tells.

    It reads names and shapes in the header of a .safetensors file, and looks up a name of a collection. Of other files
    it checks the suffix only.

    Args:
        backbone: may be on the device "meta".
        spec: as for ``load_weights``.

    Raises:
        WeightsError: if the weights are missing or of another network, or their header cannot be read.
    """
    outline = read_outline(spec, home_of(backbone))
    if outline is not None:
        take_factors(backbone, outline.tensors)
        _fitting(backbone, outline)


def weights_identity(spec: str) -> str:
    """The identity of weights for a hash: the sha256 of the file, or the name and the library's version.

    A mean image in the file's folder adds "+" and its own sha256.

    Raises:
        WeightsError: if there is no such file, or its folder holds several mean images.
    """
    if collection := collection_of(spec):
        return f"{spec} of {collection.name} {collection.version}"
    path = existing_file(spec)
    return "+".join(_sha256(file) for file in (path, *companion_files(path)))


def save_weights(path: Path, backbone: Backbone) -> None:
    """Writes a backbone's tensors and preprocessing to a .safetensors file, which appears only once it is complete."""
    form = backbone.preprocessing
    tensors = {name: t.detach().cpu().contiguous() for name, t in backbone.state_dict().items()}
    metadata = {
        "network": network_name(backbone),
        "channels": form.order,
        "scale": repr(form.scale),
        "std": _numbers(form.std),
    }
    if form.mean.ndim == 1:
        metadata["mean"] = _numbers(form.mean)
    else:
        tensors[MEAN_IMAGE] = form.mean.contiguous()
    with replacing(path) as partial:
        save_file(tensors, partial, metadata)


def _fill(backbone: Backbone, weights: Weights) -> None:
    take_factors(backbone, weights.tensors)
    fitting = _fitting(backbone, weights)
    for key, tensor in fitting.items():
        if tensor.is_complex() or not bool(torch.isfinite(tensor).all()):
            raise WeightsError(
                f"weights {weights.source}: tensor {key} holds values that are no finite numbers; use another file"
            )
    backbone.load_state_dict(fitting, strict=False)
    form = weights.preprocessing
    backbone.preprocessing = form or backbone.preprocessing
    if form is None:
        name = network_name(backbone)
        _log.info("weights %s: they do not say how pixels were prepared: as %s has it", weights.source, name)
    if new := _new_layer(backbone, weights):
        _log.warning(
            "weights %s: %s stays random, as it reads %d numbers of the pyramid %s and theirs does not; tune it",
            weights.source,
            new,
            backbone.layers[next(iter(backbone.layers))].dim,
            list(backbone.levels),
        )
    if unused := sorted(set(weights.tensors) - set(backbone.state_dict())):
        _log.info("weights %s: not used: %s", weights.source, ", ".join(unused))


def _fitting(backbone: Backbone, weights: Weights) -> dict[str, Tensor]:
    """The tensors that the backbone takes, by name; refused where one is missing or of another shape."""
    name = network_name(backbone)
    if weights.network not in ("", name):
        raise WeightsError(f"weights {weights.source}: they are of {weights.network}, not of {name}")
    own = backbone.state_dict()
    new = _new_layer(backbone, weights)
    needed = [
        key
        for key in own
        if (key in weights.tensors or not key.endswith("num_batches_tracked"))
        and not (new and key.startswith(f"{new}."))
    ]
    for key in needed:
        given = weights.tensors.get(key)
        if given is None or given.shape != own[key].shape:
            have = f"there is no tensor {key}" if given is None else f"tensor {key} has the shape {tuple(given.shape)}"
            raise WeightsError(
                f"weights {weights.source}: {have}, but {name} needs {tuple(own[key].shape)}."
                f"{nearest_network(weights.tensors, backbone)}"
            )
    form, side = weights.preprocessing, backbone.input_size
    if form is not None and form.mean.ndim == 3 and form.mean.shape != (3, side, side):
        raise WeightsError(
            f"weights {weights.source}: the mean image is {tuple(form.mean.shape)}, but {name} needs {(3, side, side)}"
        )
    return {key: weights.tensors[key] for key in needed}


def _new_layer(backbone: Backbone, weights: Weights) -> str:
    """The fully connected layer that reads the pyramid, if that of the weights has another input size; else ""."""
    if not backbone.levels:
        return ""
    name, layer = next(((n, m) for n, m in backbone.named_modules() if isinstance(m, nn.Linear)), ("", None))
    given = weights.tensors.get(f"{name}.weight")
    if layer is None or given is None or given.ndim != 2 or len(given) != layer.out_features:
        return ""
    return name if given.shape[1] != layer.in_features else ""


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _numbers(values: Tensor) -> str:
    return ",".join(repr(v) for v in values.tolist())
