"""Named ranges of a program."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..graph.trace import tracer


@dataclass(eq=False)
class Range:
    """An open or finished range: host times in nanoseconds; ranges are equal only to themselves."""

    name: str
    start: int = 0
    end: int = 0
    depth: int = 0


finished: list[Callable[[Range], None]] = []
"""Called with each range that ends while a profiler runs."""


class record_function:
    """A range with a name, as a context manager or decorator. Free while no profiler runs."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args
        self._open: list[Range | None] = []

    def __enter__(self) -> record_function:
        if not finished:
            self._open.append(None)
            return self
        opened = Range(self.name, tracer.now(), depth=len(tracer.ranges))
        tracer.ranges.append(opened)
        self._open.append(opened)
        return self

    def __exit__(self, *exc: object) -> None:
        opened = self._open.pop()
        if opened is None:
            return
        opened.end = tracer.now()
        if opened in tracer.ranges:
            tracer.ranges.remove(opened)
        for listener in list(finished):
            listener(opened)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with record_function(self.name, self.args):
                return function(*args, **kwargs)

        return wrapped
