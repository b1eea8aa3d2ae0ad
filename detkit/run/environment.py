"""What a run ran on."""

from __future__ import annotations

import os
import platform
from typing import Any

import cv2
import numpy as np
import sklearn
import torch
import torchvision

import detkit
from detkit.system.compute import Compute

MODULES = (torch, torchvision, np, sklearn, cv2)
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
        "packages": {module.__name__: str(module.__version__) for module in MODULES},
    }
