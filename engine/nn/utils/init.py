"""Creating modules without initialising their parameters."""

from __future__ import annotations

import inspect
from typing import Any

from engine import ops

from ..modules.module import Module

__all__ = ["skip_init"]


def skip_init(module_cls: type[Module], *args: Any, **kwargs: Any) -> Module:
    """``module_cls(*args, **kwargs)`` whose parameters and buffers have unspecified contents.

    The class must take ``device``. Saves nothing but the promise of meaningful values: initialisation is lazy here.
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters and not _forwards_keywords(module_cls):
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    module = module_cls(*args, **kwargs)
    # Dropping the initial values lets the lazy nodes that would compute them go unused.
    return module._apply(ops.empty_like)


def _forwards_keywords(module_cls: type) -> bool:
    parameters = inspect.signature(module_cls).parameters.values()
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
