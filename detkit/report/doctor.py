"""Whether this machine has what detkit needs. Libraries are imported only when they are tested: they may be broken."""

from __future__ import annotations

import importlib
import os
import platform
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import detkit
from detkit.data.cache import cache_dir
from detkit.system.files import free_bytes

NEEDED = (
    "numpy",
    "scipy",
    "sklearn",
    "yaml",
    "safetensors",
    "fvcore",
    "defusedxml",
    "jinja2",
    "matplotlib",
    "pycocotools",
    "PIL",
    "filelock",
    "platformdirs",
)
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
MEND_OPENCV = (
    f"pip uninstall -y {' '.join(OPENCV)} && pip install opencv-contrib-python "
    "(or opencv-contrib-python-headless where there is no screen)"
)
MEND_LIBRARIES = "on Debian: apt-get install libgl1 libglib2.0-0 libxcb1"
MEND_TORCH = "pip install --force-reinstall torch torchvision (both at once, so that pip takes a pair)"
LEAST_FREE_GB = 5.0
MOST_DIFFERENCE = 1e-2
"""Between features of the CPU and the GPU in float32, relative to the largest; matrix units round to fewer bits."""


@dataclass(frozen=True)
class Finding:
    """The result of one test.

    Args:
        level: "bad" if detkit cannot work, "warning" if something is slow or scarce.
        name: what was tested.
        text: the finding and, if it is not fine, what to do.
    """

    level: Literal["ok", "warning", "bad"]
    name: str
    text: str


def findings() -> Iterator[Finding]:
    """The results of all tests, one after the other."""
    yield _python()
    yield from map(_package, NEEDED)
    yield from _guarded("OpenCV", _opencv, MEND_OPENCV)
    has_torch = True
    for finding in _guarded("torch", _torch, MEND_TORCH):
        has_torch = has_torch and finding.level != "bad"
        yield finding
    if has_torch:
        yield from _guarded("devices", _devices, MEND_TORCH)
        yield from _guarded("dtype", _dtype, MEND_TORCH)
        yield from _guarded("parity", _parity, "set RUNTIME.DEVICE: cpu, and look for a newer driver")
    yield _disk()
    yield _memory()


def _guarded(name: str, look: Callable[[], Iterator[Finding]], mend: str) -> Iterator[Finding]:
    try:
        yield from look()
    except Exception as error:  # a broken install raises anything, and the rest is still worth a look
        mend = MEND_LIBRARIES if missing_library(error) else mend
        yield Finding("bad", name, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}; {mend}")


def _python() -> Finding:
    text = f"{platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores; detkit {detkit.__version__}"
    return Finding("ok", "python", text)


def _package(module: str) -> Finding:
    try:
        version = getattr(importlib.import_module(module), "__version__", "installed")
    except Exception as error:  # as in _guarded
        return Finding("bad", module, f"{type(error).__name__}: {error}; pip install detkit brings it")
    return Finding("ok", module, str(version))


def _opencv() -> Iterator[Finding]:
    there = ", ".join(f"{name} {version}" for name, version in opencv_distributions().items()) or "of no known package"
    cv2 = importlib.import_module("cv2")
    if not hasattr(getattr(cv2, "ximgproc", None), "createEdgeBoxes"):
        yield Finding("bad", "OpenCV", f"{cv2.__version__} without ximgproc ({there}); {MEND_OPENCV}")
    elif len(opencv_distributions()) > 1:
        yield Finding(
            "warning", "OpenCV", f"{cv2.__version__} with ximgproc, but of several packages ({there}); {MEND_OPENCV}"
        )
    else:
        yield Finding("ok", "OpenCV", f"{cv2.__version__} with ximgproc ({there})")


def missing_library(error: Exception) -> str:
    """The system library that an import did not find; empty if it failed for another reason."""
    found = re.search(r"(lib\S+\.so\S*): cannot open shared object file", str(error))
    return found[1] if found else ""


def opencv_distributions() -> dict[str, str]:
    """The installed packages that contain cv2, with their versions. Each overwrites the others."""
    found = {}
    for name in OPENCV:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _torch() -> Iterator[Finding]:
    torch, torchvision = importlib.import_module("torch"), importlib.import_module("torchvision")
    pair = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    wanted = torch_of_torchvision()
    if wanted and wanted != torch.__version__.partition("+")[0]:
        yield Finding("bad", "torch", f"{pair}: that torchvision was made for torch {wanted}; {MEND_TORCH}")
        return
    kept = torchvision.ops.nms(torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 4]]), torch.tensor([1.0, 0.5]), 0.5)
    if kept.tolist() == [0]:
        yield Finding("ok", "torch", f"{pair}: a pair")
    else:
        yield Finding("bad", "torch", f"{pair}: two equal boxes leave {kept.tolist()}, not [0]; {MEND_TORCH}")


def torch_of_torchvision() -> str:
    """The version of torch that the installed torchvision was built for; "" if it does not say."""
    try:
        needs = metadata.requires("torchvision") or []
    except metadata.PackageNotFoundError:
        return ""
    found = [re.match(r"torch\s*\(?==\s*([\d.]+)", need) for need in needs]
    return next((match.group(1) for match in found if match), "")


def _devices() -> Iterator[Finding]:
    import torch

    yield Finding("ok", "cpu", f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}")
    for n in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(n)
        text = f"{device.name}, {device.total_memory / 2**30:.0f} GiB, compute capability {device.major}.{device.minor}"
        yield Finding("ok", f"cuda:{n}", text)
    if not torch.cuda.device_count():
        yield Finding("ok", "gpu", f"none that torch {torch.__version__} can use; everything runs on the CPU")


def _dtype() -> Iterator[Finding]:
    import torch

    from detkit.system.compute import Compute

    chosen = Compute.resolve()
    seconds = {dtype: _seconds_of(dtype, chosen.device) for dtype in (torch.float32, torch.bfloat16)}
    ratio = seconds[torch.float32] / seconds[torch.bfloat16]
    text = f"COMPUTE.DTYPE auto takes {chosen.name} on {chosen.device}; bfloat16 runs {ratio:.2g} times as fast"
    is_slower = ratio < 0.8 if chosen.dtype == torch.bfloat16 else ratio > 1.5
    advice = f"; COMPUTE.DTYPE={'float32' if ratio < 1 else 'bfloat16'} may be quicker" if is_slower else ""
    yield Finding("warning" if is_slower else "ok", "dtype", text + advice)


def _seconds_of(dtype: Any, device: Any) -> float:
    """The least of a few products of matrices; where a type is not the hardware's own they take long."""
    import torch

    left, right = (torch.ones(side, 512, dtype=dtype, device=device) for side in (256, 512))
    least = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        float((left @ right)[0, 0])  # waits for the device
        least = min(least, time.perf_counter() - start)
    return least


def _parity() -> Iterator[Finding]:
    import torch

    if not torch.cuda.is_available():
        yield Finding("ok", "parity", "no GPU to compare with the CPU")
        return
    cpu, gpu = (_features_on(device) for device in ("cpu", "cuda"))
    difference = float((cpu - gpu).abs().max() / cpu.abs().max())
    is_fine = difference <= MOST_DIFFERENCE
    text = f"features of four crops on GPU and CPU differ by {difference:.1e} of the largest, at most {MOST_DIFFERENCE}"
    yield Finding("ok" if is_fine else "bad", "parity", text if is_fine else f"{text}; set RUNTIME.DEVICE: cpu")


def _features_on(device: str) -> Any:
    """(4, D) features of four crops from a network of fixed weights."""
    import numpy as np
    import torch

    from detkit.backbones.tiny import TinyNet
    from detkit.regions.network import RegionNetwork
    from detkit.regions.warped_crops import WarpedCrops
    from detkit.structures import Boxes
    from detkit.system.compute import Compute

    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = TinyNet()
    compute = Compute.resolve(dtype="float32", device=device)
    extractor = WarpedCrops(input_size=backbone.input_size)
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    boxes = Boxes.of([[0, 0, 60, 60], [40, 30, 110, 90], [0, 0, 160, 120], [100, 80, 160, 120]])
    network = RegionNetwork(backbone, extractor, compute=compute, batch=4)
    return network.of_image(image, boxes, ["fc7"])["fc7"].cpu()


def _disk() -> Finding:
    free = free_bytes(cache_dir()) / 1e9
    text = f"{free:.1f} GB free in {cache_dir()} for artefacts"
    if free < LEAST_FREE_GB:
        return Finding("warning", "disk", f"{text}; set ARTIFACTS to a folder with more, or FEATURES.STORE=stream")
    return Finding("ok", "disk", text)


def _memory() -> Finding:
    keys = ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES")
    try:
        total, free = (os.sysconf("SC_PAGE_SIZE") * os.sysconf(key) / 1e9 for key in keys)
    except (AttributeError, ValueError):  # Windows has no sysconf, macOS does not count free pages
        return Finding("ok", "memory", "not measured: this system does not tell it")
    limit = _container_limit()
    bound = f", of which this container may use {limit / 1e9:.1f}" if limit else ""
    return Finding("ok", "memory", f"{total:.1f} GB{bound}, {free:.1f} GB unused")


def _container_limit() -> int:
    file = Path("/sys/fs/cgroup/memory.max")
    text = file.read_text().strip() if file.is_file() else ""
    return int(text) if text.isdecimal() else 0
