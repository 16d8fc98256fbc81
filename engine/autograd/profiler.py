"""torch.autograd.profiler: the older form of ``engine.profiler``."""

from __future__ import annotations

import contextlib
from typing import Any

from ..profiler import EventList, record_function
from ..profiler import profile as _profile

__all__ = ["EventList", "emit_itt", "emit_nvtx", "profile", "record_function"]


class profile(_profile):
    """``engine.profiler.profile`` that prints itself as a table and can be switched off."""

    def __init__(
        self, enabled: bool = True, *, record_shapes: bool = False, with_stack: bool = False, **_: Any
    ) -> None:
        super().__init__(record_shapes=record_shapes, with_stack=with_stack)
        self.enabled = enabled

    def __enter__(self) -> profile:
        if self.enabled:
            self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self.enabled:
            self.stop()

    @property
    def function_events(self) -> EventList:
        """All events."""
        return self.events()

    def table(self, *args: Any, **kwargs: Any) -> str:
        """All events as text."""
        return self.events().table(*args, **kwargs)

    def total_average(self) -> Any:
        """All kernels as one."""
        return self.events().total_average()

    def __str__(self) -> str:
        return self.table()


def emit_nvtx(enabled: bool = True, record_shapes: bool = False) -> contextlib.AbstractContextManager:
    """No effect inside: there is no such tool for OpenCL."""
    return contextlib.nullcontext()


emit_itt = emit_nvtx
