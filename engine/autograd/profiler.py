"""torch.autograd.profiler: naming parts of a program; measuring is the profiler package's work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .mode import _Decorator

#: Called with (name, args) when a named part begins and with None when it ends; set while a profiler runs.
LISTENERS: list[Callable[[Any], None]] = []


class record_function(_Decorator):
    """Names what happens inside, for profiles; a context manager and a decorator."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args

    def clone(self) -> record_function:
        return record_function(self.name, self.args)

    def __enter__(self) -> record_function:
        for listener in LISTENERS:
            listener((self.name, self.args))
        return self

    def __exit__(self, *exc: object) -> None:
        for listener in LISTENERS:
            listener(None)


__all__ = ["record_function"]
