"""The machine and the versions of a run."""

from __future__ import annotations

import os
import platform
from importlib import import_module
from typing import Any

import detkit
from detkit.system.compute import Compute

MODULES = ("torch", "torchvision", "numpy", "sklearn", "cv2")
"""Asked themselves: OpenCV comes in packages of several names, and detkit may run without being installed."""


def environment(compute: Compute) -> dict[str, Any]:
    """Versions, processor and compute settings, as JSON values."""
    return {
        "detkit": detkit.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "device": str(compute.device),
        "compute": compute.name,
        "packages": {name: str(import_module(name).__version__) for name in MODULES},
    }
