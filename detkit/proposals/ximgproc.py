"""OpenCV's extra image processing, or one line that says why it is not there."""

from __future__ import annotations

from types import ModuleType

import cv2

from detkit.errors import ConfigError


def require_ximgproc(component: str) -> ModuleType:
    """The module ``cv2.ximgproc``.

    Args:
        component: the name of the component that needs it, for the message.

    Raises:
        ConfigError: the installed OpenCV has no such module, because only ``opencv-contrib-python`` carries it and
            any other OpenCV package writes over it.
    """
    module = getattr(cv2, "ximgproc", None)
    if module is None or not hasattr(module, "createEdgeBoxes"):
        raise ConfigError(
            f"{component} needs cv2.ximgproc, which OpenCV {cv2.__version__} here lacks: another OpenCV package has "
            "overwritten opencv-contrib-python. Run: pip uninstall -y opencv-python opencv-python-headless; "
            "pip install --force-reinstall opencv-contrib-python"
        )
    return module
