"""torch.utils: names of parts that live elsewhere in the library, and small tools."""

from importlib import import_module
from typing import Any

from . import _pytree, data, hooks

__all__ = ["_pytree", "checkpoint", "data", "dlpack", "hooks", "model_zoo"]

_LAZY = frozenset(("checkpoint", "deterministic", "dlpack", "model_zoo", "tensorboard"))


def __getattr__(name: str) -> Any:
    """Parts that few programs use are imported when they are first named."""
    if name in _LAZY:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
