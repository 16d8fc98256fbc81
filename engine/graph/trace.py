"""Watching the work of devices: the debug ladder's lines and what the profiler records.

There is one ``tracer``. While it is off, a log spends one comparison a flush on it and nothing an op.
"""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ..settings import settings
from . import describe

_LIBRARY = str(Path(__file__).parents[1])


class Cause(NamedTuple):
    """Where a pending value comes from: the user's line ("train.py:12 in step"), open ranges, operands' shapes."""

    line: str
    ranges: tuple[Any, ...]
    shapes: tuple


class Kernel(NamedTuple):
    """One launch: the ops in it, device and host times in nanoseconds, cost, and the causes of the ops."""

    label: str
    name: str
    start: int
    end: int
    queued: int
    flops: float
    nbytes: float
    global_size: tuple[int, ...]
    local_size: tuple[int, ...] | None
    device: str
    causes: tuple[Cause, ...]


def user_line(depth: int = 2) -> str:
    """The innermost line of code outside of this library."""
    frame = sys._getframe(depth)
    while frame is not None and frame.f_code.co_filename.startswith(_LIBRARY):
        frame = frame.f_back
    if frame is None:
        return ""
    code = frame.f_code
    return f"{Path(code.co_filename).name}:{frame.f_lineno} in {code.co_name}"


class Tracer:
    """Settings of what is watched, and the logs that do.

    Attributes:
        level: the debug level. listeners: called with each finished list of kernels. ranges: names of the open ranges.
    """

    def __init__(self) -> None:
        self.level = settings.debug
        self.listeners: list[Callable[[list[Kernel]], None]] = []
        self.ranges: list[Any] = []
        self._logs: weakref.WeakSet[Any] = weakref.WeakSet()
        self._pending: dict[int, list[tuple]] = {}  # id of a log -> (label, causes) of launches that are not read yet

    @property
    def timing(self) -> bool:
        """Whether launches are timed."""
        return self.level >= 2 or bool(self.listeners)

    # -- switching ---------------------------------------------------------------------------------------------------
    def watch(self, log: Any) -> None:
        """A new log."""
        self._logs.add(log)
        self._switch(log)
        if self.level >= 1:
            self.say(f"device {log.device}")

    def set_level(self, level: int) -> None:
        """Another debug level."""
        self.level = level
        self._switch_all()

    def listen(self, listener: Callable[[list[Kernel]], None]) -> None:
        """Start to hand kernels to a listener."""
        self.listeners.append(listener)
        self._switch_all()

    def leave(self, listener: Callable[[list[Kernel]], None]) -> None:
        """Hand over what is there and stop."""
        self.collect()
        self.listeners.remove(listener)
        self._switch_all()

    def _switch_all(self) -> None:
        for log in list(self._logs):
            self._switch(log)

    def _switch(self, log: Any) -> None:
        log.trace = self if self.level or self.listeners else None
        if self.timing:
            log.add = self._noting(log)
        else:
            log.__dict__.pop("add", None)
        queue = log.opened_queue
        if queue is not None and queue.profiling != self.timing:
            queue.profile(self.timing)

    def _noting(self, log: Any) -> Callable[..., Any]:
        """``log.add`` that also notes where the op comes from."""
        plain = type(log).add

        def add(call: Any, inputs: tuple, scalars: tuple = ()) -> Any:
            node = plain(log, call, inputs, scalars)
            shapes = tuple(tuple(s.shape) for s in call.specs)
            node.cause = Cause(user_line(), tuple(self.ranges), shapes)
            return node

        return add

    # -- called by logs ----------------------------------------------------------------------------------------------
    def before(self, log: Any) -> None:
        """A plan is about to run."""
        queue = log.runtime.queue
        if queue.profiling != self.timing:
            queue.profile(self.timing)

    def after(self, log: Any, plan: Any, entries: list[Any], fresh: bool) -> None:
        """A plan was enqueued."""
        if self.level >= 1:
            found = "new plan" if fresh else "known plan"
            self.say(f"{log.device}: {len(entries)} ops in {plan.kernel_count} kernels, {found}")
        if self.level >= 3 and fresh:
            for number, group in enumerate(plan.groups):
                self.say(f"kernel {number}: {describe.label(group)}\n{describe.text(group)}")
        if self.level >= 4 and fresh:
            for made in plan.generated:
                self.say(f"source of {made.name}\n{made.source}")
        if self.timing:
            pending = self._pending.setdefault(id(log), [])
            for label, positions in plan.launched():
                causes = [getattr(entries[i], "cause", None) for i in positions if i < len(entries)]
                pending.append((label, tuple(c for c in causes if c is not None)))
            if self.level >= 2:
                self._read(log)

    def collect(self) -> None:
        """Run what is pending, wait, and hand all kernels to the listeners."""
        for log in list(self._logs):
            if log.opened_queue is not None:
                log.flush()
                if log.opened_queue.profiling:
                    self._read(log)

    def _read(self, log: Any) -> None:
        pending = self._pending.pop(id(log), [])
        records = log.opened_queue.records(clear=True)
        known = len(pending) == len(records)  # replays of captured calls come without causes
        kernels = []
        for i, r in enumerate(records):
            label, causes = pending[i] if known else (r.label or r.name, ())
            kernels.append(
                Kernel(
                    label or r.name, r.name, r.start, r.end, r.queued, r.flops, r.nbytes, r.global_size, r.local_size,
                    str(log.device), causes,
                )
            )  # fmt: skip
        if self.level >= 2:
            for kernel in kernels:
                self.say(line_of(kernel))
        for listener in list(self.listeners):
            listener(kernels)

    @staticmethod
    def say(message: str) -> None:
        """A line on standard error."""
        sys.stderr.write(f"[engine] {message}\n")

    @staticmethod
    def now() -> int:
        """Host time of ranges and launches, nanoseconds."""
        return time.perf_counter_ns()


def line_of(kernel: Kernel) -> str:
    """A kernel in one line: time, rates, ops, the user's line."""
    seconds = max((kernel.end - kernel.start) * 1e-9, 1e-12)
    rates = f"{kernel.flops / seconds * 1e-9:8.1f} GFLOP/s {kernel.nbytes / seconds * 1e-9:7.1f} GB/s"
    lines = list(dict.fromkeys(cause.line for cause in kernel.causes if cause.line))
    where = f"  {lines[-1]}" + (f" (and {len(lines) - 1} more)" if len(lines) > 1 else "") if lines else ""
    return f"{seconds * 1e6:10.1f} us {rates}  {kernel.label}{where}"


tracer = Tracer()
settings.observe("debug", tracer.set_level)
