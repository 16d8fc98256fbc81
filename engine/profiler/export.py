"""Recordings as files: Chrome's trace format, which chrome://tracing and Perfetto show, and flame-graph stacks."""

from __future__ import annotations

import gzip
import json
import os
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .averages import Recording

_HOST = 0


def device_offset(kernels: list[Any]) -> dict[str, int]:
    """Nanoseconds to add to each device's clock to get the host's: no kernel can start before it was started."""
    offsets: dict[str, int] = {}
    for k in kernels:
        least = k.queued - k.start
        offsets[k.device] = max(offsets.get(k.device, least), least)
    return offsets


def chrome_trace(recording: Recording) -> dict[str, Any]:
    """The trace as a dict: one process for the host, one for each device. Times in microseconds."""
    offsets = device_offset(recording.kernels)
    numbers = {device: i for i, device in enumerate(sorted(offsets), 1)}
    events: list[dict[str, Any]] = [
        _process(_HOST, "Python"),
        *(_process(n, f"device {d}") for d, n in numbers.items()),
    ]
    for r in recording.ranges:
        events.append(
            {
                "ph": "X",
                "cat": "user_annotation",
                "name": r.name,
                "pid": _HOST,
                "tid": 0,
                "ts": r.start / 1e3,
                "dur": (r.end - r.start) / 1e3,
            }
        )
    for number, k in enumerate(recording.kernels):
        device = numbers[k.device]
        start = (k.start + offsets[k.device]) / 1e3
        seconds = max((k.end - k.start) * 1e-9, 1e-12)
        args: dict[str, Any] = {
            "kernel": k.name,
            "global size": list(k.global_size),
            "local size": list(k.local_size or ()),
            "GFLOP/s": round(k.flops / seconds * 1e-9, 2),
            "GB/s": round(k.nbytes / seconds * 1e-9, 2),
        }
        if recording.with_stack:
            args["source"] = list(dict.fromkeys(c.line for c in k.causes if c.line))
        if recording.record_shapes:
            args["Input Dims"] = [list(s) for c in k.causes for s in c.shapes]
        common = {"cat": "kernel", "name": k.label}
        events.append({"ph": "X", **common, "pid": device, "tid": 0, "ts": start, "dur": seconds * 1e6, "args": args})
        flow = {"cat": "launch", "name": "launch", "id": number}
        events.append({"ph": "s", **flow, "pid": _HOST, "tid": 0, "ts": k.queued / 1e3})
        events.append({"ph": "f", "bp": "e", **flow, "pid": device, "tid": 0, "ts": start})
    return {"schemaVersion": 1, "displayTimeUnit": "ms", "traceEvents": events}


def _process(number: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": "process_name", "pid": number, "tid": 0, "args": {"name": name}}


def write_chrome_trace(recording: Recording, path: str | os.PathLike) -> None:
    """Write the trace as JSON, compressed if the name ends in ".gz"."""
    data = json.dumps(chrome_trace(recording)).encode()
    Path(path).write_bytes(gzip.compress(data) if str(path).endswith(".gz") else data)


def write_stacks(recording: Recording, path: str | os.PathLike) -> None:
    """Write "line microseconds" for each line of the program, the form that flame-graph tools read."""
    times: dict[str, float] = defaultdict(float)
    for k in recording.kernels:
        for cause in k.causes:
            times[cause.line or "?"] += (k.end - k.start) / 1e3 / len(k.causes)
    lines = [f"{line.replace(' ', '_')} {round(time)}" for line, time in times.items()]
    Path(path).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Callable[[Any], None]:
    """An ``on_trace_ready`` that writes each recording to a file of its own in a folder."""

    def handler(profiler: Any) -> None:
        folder = Path(dir_name)
        folder.mkdir(parents=True, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        suffix = ".gz" if use_gzip else ""
        profiler.export_chrome_trace(str(folder / f"{worker}.{time.time_ns()}.pt.trace.json{suffix}"))

    return handler
