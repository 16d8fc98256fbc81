"""The names of ``torch.fx`` that packages use when they are imported. There is no symbolic tracing here: nothing is
ever a ``Proxy``, and marking a function with ``wrap`` changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Proxy", "wrap"]


class Proxy:
    """A value of symbolic tracing; never made here."""


def wrap(fn_or_name: str | Callable[..., Any]) -> str | Callable[..., Any]:
    """Mark a function as one that tracing leaves whole; returns what it is given.

    Raises RuntimeError for what is neither callable nor a name.
    """
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    return fn_or_name
