"""Automatic mixed precision, under PyTorch's names.

What autocast does to an op lies below the ops (state, policy, cast); the context manager and the scaler, which need
tensors, are imported when they are first named.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "GradScaler": "grad_scaler",
    "autocast": "regions",
    "custom_bwd": "regions",
    "custom_fwd": "regions",
    "is_autocast_available": "regions",
}
__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
