"""torch.accelerator: the OpenCL GPU, if there is one, under the interface common to torch's accelerators."""

from __future__ import annotations

from typing import Any

from . import cuda
from .device import device as Device

__all__ = [
    "current_accelerator", "current_device_idx", "current_device_index", "current_stream", "device_count",
    "empty_cache", "is_available", "set_device_idx", "set_device_index", "set_stream", "synchronize",
]  # fmt: skip


def device_count() -> int:
    """Number of OpenCL GPUs."""
    return cuda.device_count()


def is_available() -> bool:
    """Whether there is an OpenCL GPU."""
    return cuda.is_available()


def current_accelerator(check_available: bool = False) -> Any:
    """The kind of device, or None without one."""
    return Device("cuda") if is_available() else None


def current_device_index() -> int:
    """Number of the present device."""
    return cuda.current_device()


def set_device_index(device: Any) -> None:
    """Choose the present device."""
    cuda.set_device(device)


def current_stream(device: Any = None) -> Any:
    """The device's queue."""
    return cuda.current_stream(device)


def set_stream(stream: Any) -> None:
    """A device has one queue: nothing changes."""


def synchronize(device: Any = None) -> None:
    """Wait for pending work."""
    cuda.synchronize(device)


def empty_cache() -> None:
    """Give cached memory back."""
    cuda.empty_cache()


current_device_idx = current_device_index
set_device_idx = set_device_index
