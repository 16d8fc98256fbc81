"""Tables of recorded events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class FunctionEvent:
    """A kernel or a range. Times in microseconds.

    Attributes:
        name: ops of the kernel, or the range's name. is_range: which of the two.
        cpu_time_total: time on the host's processors: of a kernel on a CPU device, and of a range from begin to end.
        device_time_total: time on the device; for a range that of the kernels whose ops were called in it.
        self_device_time_total: the same without what kernels count for themselves: 0 for ranges.
        flops, nbytes: floating-point operations and bytes moved.
    """

    name: str
    is_range: bool = False
    start: float = 0.0
    cpu_time_total: float = 0.0
    device_time_total: float = 0.0
    self_cpu_time_total: float = 0.0
    self_device_time_total: float = 0.0
    flops: float = 0.0
    nbytes: float = 0.0
    input_shapes: tuple = ()
    stack: tuple[str, ...] = ()
    device: str = "cpu"
    count: int = 1

    @property
    def key(self) -> str:
        """The name."""
        return self.name

    @property
    def cpu_time(self) -> float:
        """Mean of cpu_time_total."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def device_time(self) -> float:
        """Mean of device_time_total."""
        return self.device_time_total / self.count if self.count else 0.0

    @property
    def cuda_time_total(self) -> float:
        """device_time_total by its older name."""
        return self.device_time_total

    @property
    def cuda_time(self) -> float:
        """device_time by its older name."""
        return self.device_time

    @property
    def self_cuda_time_total(self) -> float:
        """self_device_time_total by its older name."""
        return self.self_device_time_total

    @property
    def cpu_memory_usage(self) -> int:
        """Not recorded: 0."""
        return 0

    device_memory_usage = self_cpu_memory_usage = self_device_memory_usage = cuda_memory_usage = cpu_memory_usage


@dataclass
class FunctionEventAvg(FunctionEvent):
    """Events of one name together."""

    count: int = 0

    def add(self, event: FunctionEvent) -> None:
        """Count an event in."""
        self.count += event.count
        for name in _SUMMED:
            setattr(self, name, getattr(self, name) + getattr(event, name))


_SUMMED = (
    "cpu_time_total",
    "device_time_total",
    "self_cpu_time_total",
    "self_device_time_total",
    "flops",
    "nbytes",
)
_SORTS = {name.replace("device", "cuda"): name for name in (*_SUMMED, "cpu_time", "device_time")}


@dataclass
class _Column:
    title: str
    get: Callable[[FunctionEvent], str]
    left: bool = False


class EventList(list):
    """Events or averages, printable as a table."""

    def __init__(self, events: Iterable[FunctionEvent] = (), *, with_stack: bool = False) -> None:
        super().__init__(events)
        self._with_stack = with_stack

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all kernels on CPU devices."""
        return sum(event.self_cpu_time_total for event in self)

    @property
    def self_device_time_total(self) -> float:
        """Microseconds of all kernels."""
        return sum(event.self_device_time_total for event in self)

    def key_averages(self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0, **_: Any) -> EventList:
        """Events of the same name (and shapes, and innermost lines) together."""
        groups: dict[tuple, FunctionEventAvg] = {}
        for event in self:
            shapes = event.input_shapes if group_by_input_shapes else ()
            stack = event.stack[:group_by_stack_n]
            key = (event.name, event.is_range, event.device, shapes, stack)
            if key not in groups:
                groups[key] = FunctionEventAvg(
                    event.name, event.is_range, input_shapes=shapes, stack=stack, device=event.device
                )
            groups[key].add(event)
        return EventList(groups.values(), with_stack=group_by_stack_n > 0)

    def total_average(self) -> FunctionEventAvg:
        """All kernels as one."""
        total = FunctionEventAvg("Total")
        for event in self:
            if not event.is_range:
                total.add(event)
        return total

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
    ) -> str:
        """The events as text.

        Args:
            sort_by: a time ("cpu_time_total", "device_time_total", "self_cuda_time_total" ...), "flops", "nbytes" or
                "count", largest first; None keeps the order.
            row_limit: number of rows; -1: all.
            max_name_column_width: longer names are cut.

        AttributeError for an unknown ``sort_by``.
        """
        rows = list(self)
        if sort_by is not None:
            name = _SORTS.get(sort_by, sort_by)
            if rows and not hasattr(rows[0], name):
                raise AttributeError(f"'FunctionEventAvg' object has no attribute '{sort_by}'")
            rows.sort(key=lambda event: getattr(event, name), reverse=True)
        if top_level_events_only:
            rows = [event for event in rows if event.is_range] or rows
        rows = rows if row_limit < 0 else rows[:row_limit]
        return self._text(rows, header, max_name_column_width, max_src_column_width, max_shapes_column_width)

    def _text(
        self, rows: list[FunctionEvent], header: str | None, name_width: int, src_width: int, shapes_width: int
    ) -> str:
        busy = self.self_device_time_total or 1.0
        columns = [
            _Column("Name", lambda e: _cut(e.name, name_width), left=True),
            _Column("Self %", lambda e: f"{100 * e.self_device_time_total / busy:.2f}%"),
            _Column("Self", lambda e: _time(e.self_device_time_total)),
            _Column("Total", lambda e: _time(e.device_time_total)),
            _Column("Average", lambda e: _time(e.device_time)),
            _Column("Calls", lambda e: str(e.count)),
            _Column("GFLOP/s", lambda e: _rate(e.flops, e)),
            _Column("GB/s", lambda e: _rate(e.nbytes, e)),
        ]
        if any(event.is_range for event in rows):
            columns.append(_Column("Host", lambda e: _time(e.cpu_time_total) if e.is_range else ""))
        if any(event.input_shapes for event in rows):
            columns.append(_Column("Input shapes", lambda e: _cut(_shapes(e.input_shapes), shapes_width), left=True))
        if self._with_stack:
            columns.append(_Column("Source", lambda e: _cut("; ".join(e.stack), src_width), left=True))
        cells = [[column.get(event) for column in columns] for event in rows]
        titles = [column.title for column in columns]
        widths = [max(len(row[i]) for row in (titles, *cells)) for i in range(len(columns))]

        def line(values: list[str]) -> str:
            parts = [v.ljust(w) if c.left else v.rjust(w) for v, w, c in zip(values, widths, columns)]
            return "  ".join(parts).rstrip()

        rule = "  ".join("-" * width for width in widths)
        head = [header] if header else []
        total = f"Device time of all kernels: {_time(self.self_device_time_total)}"
        return "\n".join([*head, rule, line(titles), rule, *map(line, cells), rule, total, ""])

    def __str__(self) -> str:
        return self.table()


def _cut(text: str, width: int) -> str:
    return text if width <= 3 or len(text) <= width else text[: width - 3] + "..."


def _time(microseconds: float) -> str:
    if microseconds >= 1e6:
        return f"{microseconds / 1e6:.3f}s"
    if microseconds >= 1e3:
        return f"{microseconds / 1e3:.3f}ms"
    return f"{microseconds:.3f}us"


def _rate(amount: float, event: FunctionEvent) -> str:
    if not amount or not event.self_device_time_total:
        return "--"
    return f"{amount / event.self_device_time_total * 1e-3:.1f}"


def _shapes(shapes: tuple) -> str:
    return str([list(shape) for shape in shapes])


def range_times(ranges: list[Any], kernels: list[tuple[float, tuple]]) -> dict[int, float]:
    """Device microseconds of each range, by id: a kernel of several ranges is shared out by its ops.

    ``kernels``: (microseconds, for each op the ranges open when it was called).
    """
    known = {id(r) for r in ranges}
    found: dict[int, float] = defaultdict(float)
    for time, ops in kernels:
        for opened in ops:
            for r in opened:
                if id(r) in known:
                    found[id(r)] += time / len(ops)
    return found


@dataclass
class Recording:
    """What one cycle of a profiler saw: kernels and finished ranges."""

    kernels: list[Any] = field(default_factory=list)
    ranges: list[Any] = field(default_factory=list)
    record_shapes: bool = False
    with_stack: bool = False

    def events(self) -> EventList:
        """Ranges and kernels by starting time of the host."""
        times = [((k.end - k.start) / 1e3, tuple(c.ranges for c in k.causes)) for k in self.kernels]
        by_range = range_times(self.ranges, times)
        found = []
        for r in self.ranges:
            host = (r.end - r.start) / 1e3
            found.append(
                FunctionEvent(r.name, True, r.start / 1e3, host, by_range.get(id(r), 0.0), 0.0, 0.0, device="")
            )
        for k, (time, _) in zip(self.kernels, times):
            on_host = time if k.device.startswith("cpu") else 0.0
            shapes = tuple(s for cause in k.causes for s in cause.shapes) if self.record_shapes else ()
            stack = tuple(dict.fromkeys(c.line for c in reversed(k.causes) if c.line)) if self.with_stack else ()
            found.append(
                FunctionEvent(
                    k.label,
                    False,
                    k.queued / 1e3,
                    on_host,
                    time,
                    on_host,
                    time,
                    k.flops,
                    k.nbytes,
                    shapes,
                    stack,
                    k.device,
                )
            )
        found.sort(key=lambda event: event.start)
        return EventList(found, with_stack=self.with_stack)
