"""Names of torch's compiled module that Python packages touch."""

from __future__ import annotations

from .autograd.mode import is_grad_enabled
from .autograd.mode import set_grad_enabled as _set_grad_enabled
from .device import device
from .dtypes import dtype
from .graph.spec import Size
from .layout import layout, memory_format
from .random import Generator

__all__ = [
    "Generator",
    "Size",
    "_get_tracing_state",
    "_log_api_usage_once",
    "_set_grad_enabled",
    "device",
    "dtype",
    "is_grad_enabled",
    "layout",
    "memory_format",
]


def _log_api_usage_once(event: str) -> None:
    """Nothing is logged."""


def _get_tracing_state() -> None:
    """There is no tracing."""
