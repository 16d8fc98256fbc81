"""torch.cpu: the CPU device under the interface of torch.cuda."""

from __future__ import annotations

import contextlib
from typing import Any

from ..runtime_info import synchronize as _synchronize
from . import amp

__all__ = [
    "amp",
    "current_device",
    "current_stream",
    "device_count",
    "is_available",
    "set_device",
    "stream",
    "synchronize",
]


def is_available() -> bool:
    """True."""
    return True


def device_count() -> int:
    """1."""
    return 1


def current_device() -> str:
    """The device's name."""
    return "cpu"


def set_device(device: Any) -> None:
    """There is one."""


def synchronize(device: Any = None) -> None:
    """Wait for pending work."""
    _synchronize()


def current_stream(device: Any = None) -> None:
    """There are no streams."""


def stream(stream: Any) -> contextlib.AbstractContextManager:
    """No effect inside."""
    return contextlib.nullcontext()
