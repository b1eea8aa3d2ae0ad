"""OpenCV's module ximgproc, or an error that says why it is missing."""

from __future__ import annotations

from types import ModuleType

import cv2

from detkit.errors import ConfigError


def require_ximgproc(component: str) -> ModuleType:
    """The module ``cv2.ximgproc``.

    Args:
        component: the name of the component that needs it, for the message.

    Raises:
        ConfigError: if the installed OpenCV has no such module. Only ``opencv-contrib-python`` has it, and any other
            OpenCV package overwrites it.
    """
    module = getattr(cv2, "ximgproc", None)
    if module is None or not hasattr(module, "createEdgeBoxes"):
        raise ConfigError(
            f"{component} needs cv2.ximgproc, which OpenCV {cv2.__version__} here lacks: another OpenCV package has "
            "overwritten opencv-contrib-python. Run: pip uninstall -y opencv-python opencv-python-headless; "
            "pip install --force-reinstall opencv-contrib-python"
        )
    return module
