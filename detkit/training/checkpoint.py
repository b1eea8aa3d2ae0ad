"""Named tensors and a few JSON values in one file, which is never half written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from detkit.errors import ModelError
from detkit.system.files import replacing
from detkit.system.reading import reason
from detkit.system.tensor_files import read_tensor_file

META = "detkit"


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Writes tensors and JSON values to ``path``. A reader sees the old file or the new one, never a part.

    Args:
        path: a .safetensors file; its folder is created.
        tensors: any dtype and device, no two of them sharing memory.
        meta: JSON values.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    with replacing(path) as partial:
        save_file(plain, partial, metadata={META: json.dumps(meta)})


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors, on the CPU, and the JSON values that ``save_checkpoint`` wrote.

    Raises:
        ModelError: if the file is no such checkpoint.
    """
    try:
        tensors, metadata = read_tensor_file(path)
        return tensors, json.loads(metadata.get(META, ""))
    except (OSError, json.JSONDecodeError) as error:
        raise ModelError(f"{path}: not a checkpoint of detkit ({reason(error)}); delete it to start again") from error
