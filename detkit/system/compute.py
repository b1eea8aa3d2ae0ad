"""The device and the precision of networks."""

from __future__ import annotations

import functools
import importlib
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import torch
from torch import nn
from typing_extensions import Self

from detkit.errors import ConfigError

Module = TypeVar("Module", bound=nn.Module)

CPUINFO = Path("/proc/cpuinfo")
FAST_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
COMPILED = ("map", "advance", "after_pool")
"""The methods of a module that are compiled."""


@dataclass(frozen=True)
class Compute:
    """How every network pass is computed.

    Args:
        device: the device of the network.
        dtype: torch.float32 or torch.bfloat16, the dtype of matrix products and convolutions; trained weights stay
            float32.
        compile: whether networks in eval mode are compiled by torch.compile.
    """

    device: torch.device
    dtype: torch.dtype
    compile: bool

    @classmethod
    def resolve(
        cls,
        *,
        dtype: Literal["auto", "float32", "bfloat16"] = "auto",
        device: str = "auto",
        compile: bool = False,
        local_rank: int = 0,
    ) -> Self:
        """The settings, resolved for this machine.

        Args:
            dtype: auto takes bfloat16 if the device multiplies it faster than float32.
            device: auto takes a CUDA device, or the CPU if there is none; else a name that torch knows.
            compile: whether to compile; if this machine cannot, there is a warning, and it is off.
            local_rank: number of the process on its machine; auto gives CUDA devices to processes in turn.

        Raises:
            ConfigError: if the device does not exist here.
        """
        where = _device(device, local_rank)
        if dtype == "auto":
            dtype = "bfloat16" if _is_fast_at_bfloat16(where) else "float32"
        chosen = cls(where, getattr(torch, dtype), False)
        return chosen.compiling() if compile else chosen

    def compiling(self) -> Self:
        """The same with torch.compile, after a test of seconds; without it, and with a warning, if the test fails."""
        return replace(self, compile=_can_compile(self.device))

    @property
    def name(self) -> str:
        """The settings that change numbers, for hashes: "float32" or "bfloat16", either with "-compiled"."""
        return str(self.dtype).removeprefix("torch.") + ("-compiled" if self.compile else "")

    def prepare(self, module: Module) -> Module:
        """The same module on the device, in channels-last memory; compiled if ``compile`` is on and it is in eval mode.

        The methods of a backbone are compiled one by one, because extractors call them one by one. Compilation happens
        at the first call. If it fails, there is a warning, and the module runs without it.
        """
        module.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.compile and not module.training:
            for name in COMPILED:
                if hasattr(module, name) and name not in vars(module):
                    setattr(module, name, _compiled(module, getattr(module, name)))
        return module

    def autocast(self) -> AbstractContextManager[None]:
        """Runs the network passes inside it in ``dtype``."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)


def _device(name: str, local_rank: int) -> torch.device:
    if name == "auto":
        name = f"cuda:{local_rank % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        known = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
        raise ConfigError(f"RUNTIME.DEVICE: no device {name!r} here; use auto or one of {', '.join(known)}") from error
    return device


def _is_fast_at_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 by itself: AVX512_BF16, AMX, Arm's BF16, or CUDA from 8.0."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu" or not CPUINFO.is_file():
        return False
    lines = CPUINFO.read_text().splitlines()
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return not FAST_BFLOAT16_FLAGS.isdisjoint(flags.split())


def _can_compile(device: torch.device) -> bool:
    """Compiles one line to see whether this machine has all that torch.compile needs, a C++ compiler above all."""
    with _quiet("torch.utils.cpp_extension"):  # warns that there is no CUDA device, wherever CUDA's compiler is found
        importlib.import_module("torch.utils.cpp_extension")
    try:
        torch.compile(torch.neg, dynamic=False)(torch.zeros(8, device=device))
    except Exception as error:  # torch raises many types here, and none of them is worth stopping for
        _warn_that_compiling_is_off(error)
        return False
    return True


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """Holds back a logger's warnings."""
    log = logging.getLogger(logger)
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _compiled(module: nn.Module, method: Callable[..., Any]) -> Callable[..., Any]:
    """The method compiled; a failure takes what was compiled off the module, which leaves its class's methods."""
    compiled = torch.compile(method)

    @functools.wraps(method)
    def run(*given: Any) -> Any:
        if method.__name__ not in vars(module):  # looked up before the other one failed
            return method(*given)
        try:
            return compiled(*given)
        except Exception as error:  # as in _can_compile; eager passes give the same numbers up to rounding
            found = method(*given)  # raises where the compiler is not to blame
            for name in COMPILED:
                vars(module).pop(name, None)
            _warn_that_compiling_is_off(error)
            return found

    return run


def _warn_that_compiling_is_off(error: Exception) -> None:
    cause = getattr(error, "inner_exception", error)  # torch's own says no more than which backend it was
    text = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    warnings.warn(f"COMPUTE.COMPILE is off: torch.compile does not work here ({text})", stacklevel=4)
