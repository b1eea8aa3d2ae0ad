"""Copies a model folder with its tensors in float16: python to_float16.py RUN/model detkit_blood_cells/model.

detkit reads them as float32. Half the bytes; thresholds and curves stay as they are.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

HALVED = ("network", "classifier", "box_head")


def main(source: Path, target: Path) -> None:
    """Copies one folder into the other."""
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.iterdir()):
        if file.stem not in HALVED:
            shutil.copyfile(file, target / file.name)
            continue
        with safe_open(file, "pt") as tensors:
            halved = {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118
            metadata = tensors.metadata()
        halved = {n: t.to(torch.float16) if t.is_floating_point() and t.dim() else t for n, t in halved.items()}
        save_file({n: t.contiguous() for n, t in halved.items()}, target / file.name, metadata)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
