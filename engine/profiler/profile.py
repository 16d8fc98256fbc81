"""The profiler: recording by steps."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterable
from typing import Any

from ..graph.trace import Kernel, tracer
from . import export, ranges
from .averages import EventList, Recording
from .ranges import Range, record_function


class ProfilerActivity(enum.Enum):
    """What to record. Kernels are recorded on whatever device they run."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


class ProfilerAction(enum.Enum):
    """What a step does."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities() -> set[ProfilerActivity]:
    """Activities that ``profile`` takes."""
    return {ProfilerActivity.CPU, ProfilerActivity.CUDA}


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0, skip_first_wait: int = 0
) -> Callable[[int], ProfilerAction]:
    """A rule for steps: skip some, then in cycles wait, warm up, record; ``repeat`` cycles, 0 for ever.

    ValueError unless all are non-negative and ``active`` is positive.
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active < 1:
        raise ValueError("Invalid profiler schedule arguments")

    def action(step: int) -> ProfilerAction:
        step -= skip_first
        if step < 0:
            return ProfilerAction.NONE
        if skip_first_wait:
            step += wait
        cycle = wait + warmup + active
        if repeat and step >= repeat * cycle:
            return ProfilerAction.NONE
        place = step % cycle
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD_AND_SAVE if place == cycle - 1 else ProfilerAction.RECORD

    return action


def _always(step: int) -> ProfilerAction:
    return ProfilerAction.RECORD


class profile:
    """Records kernels with their device times and ``record_function`` ranges, as a context manager.

    Args:
        activities: accepted; kernels of every device are recorded.
        schedule: action for each step, see ``schedule``; with one, call ``step()`` after each step of the program.
        on_trace_ready: called with the profiler at the end of each recording.
        record_shapes: keep the shapes of the ops' operands. with_stack: keep the program's lines that called the ops.
        with_flops, profile_memory, with_modules: accepted; rates are always there, memory is not recorded.

    Work that is pending at the end of a recording is run and counted in.
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Any = None,
        post_processing_timeout_s: float | None = None,
    ) -> None:
        self.activities = set(activities) if activities is not None else supported_activities()
        if not self.activities:
            raise AssertionError("No valid profiler activities found")
        self.schedule = schedule or _always
        self.on_trace_ready = on_trace_ready
        self.record_shapes = record_shapes
        self.with_stack = with_stack
        self.record_steps = schedule is not None
        self.step_num = 0
        self.current_action = self.schedule(0)
        self.metadata: dict[str, str] = {}
        self._recording = Recording(record_shapes=record_shapes, with_stack=with_stack)
        self._listening = False
        self._step_range: record_function | None = None

    # -- recording -------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Begin with step 0."""
        self._apply(self.current_action)

    def stop(self) -> None:
        """End; a recording under way is finished."""
        self._end_step()
        if self._listening:
            self._finish(self.current_action is not ProfilerAction.WARMUP)

    def step(self) -> None:
        """The next step of the program begins."""
        self._end_step()
        before = self.current_action
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        ends = before is ProfilerAction.RECORD_AND_SAVE or (
            before is ProfilerAction.RECORD and self.current_action in (ProfilerAction.NONE, ProfilerAction.WARMUP)
        )
        if self._listening and (ends or self.current_action is ProfilerAction.NONE):
            self._finish(before is not ProfilerAction.WARMUP)
        elif before is ProfilerAction.WARMUP and self._listening:
            tracer.collect()
            self._clear()
        self._apply(self.current_action)

    def _apply(self, action: ProfilerAction) -> None:
        if action is not ProfilerAction.NONE and not self._listening:
            tracer.collect()  # what is pending belongs to the time before
            self._clear()
            tracer.listen(self._kernels)
            ranges.finished.append(self._range)
            self._listening = True
        if self._listening and self.record_steps:
            self._step_range = record_function(f"ProfilerStep#{self.step_num}")
            self._step_range.__enter__()

    def _end_step(self) -> None:
        if self._step_range is not None:
            self._step_range.__exit__(None, None, None)
            self._step_range = None

    def _finish(self, keep: bool) -> None:
        tracer.leave(self._kernels)
        ranges.finished.remove(self._range)
        self._listening = False
        if keep and self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def _clear(self) -> None:
        self._recording = Recording(record_shapes=self.record_shapes, with_stack=self.with_stack)

    def _kernels(self, kernels: list[Kernel]) -> None:
        self._recording.kernels.extend(kernels)

    def _range(self, finished: Range) -> None:
        self._recording.ranges.append(finished)

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    # -- results -----------------------------------------------------------------------------------------------------
    def events(self) -> EventList:
        """Kernels and ranges of the last recording."""
        return self._recording.events()

    def key_averages(self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, **_: Any) -> EventList:
        """Events of one name together; ``.table(sort_by=...)`` prints them."""
        return self.events().key_averages(group_by_input_shape, group_by_stack_n)

    def export_chrome_trace(self, path: str | os.PathLike) -> None:
        """Write the recording for chrome://tracing or Perfetto; compressed if the name ends in ".gz"."""
        export.write_chrome_trace(self._recording, path)

    def export_stacks(self, path: str | os.PathLike, metric: str = "self_cpu_time_total") -> None:
        """Write the time of each line of the program, as flame-graph tools read it."""
        export.write_stacks(self._recording, path)

    def add_metadata(self, key: str, value: str) -> None:
        """Keep a note with the profiler."""
        self.metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """Keep a note with the profiler."""
        self.metadata[key] = value

    def set_custom_trace_id_callback(self, callback: Any) -> None:
        """Accepted; traces have no ids."""


__all__ = ["ProfilerAction", "ProfilerActivity", "profile", "schedule", "supported_activities"]
