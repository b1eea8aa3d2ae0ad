"""What a run ran on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from typing import Any

from detkit.engine.compute import Compute

PACKAGES = ("torch", "torchvision", "numpy", "scikit-learn", "opencv-contrib-python", "pycocotools")


def environment(compute: Compute) -> dict[str, Any]:
    """Versions, processor and compute settings, as JSON values."""
    return {
        "detkit": version("detkit"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "device": str(compute.device),
        "compute": compute.name,
        "packages": {name: version(name) for name in PACKAGES},
    }
