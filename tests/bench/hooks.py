"""What the benchmark asks of a library beyond torch's API: waiting, counters, memory. All of it is optional."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
from collections.abc import Callable
from types import ModuleType
from typing import Any

PEAK_KEYS = ("peak_allocated", "allocated_bytes.all.peak", "peak")


def _nothing() -> None:
    pass


def trim() -> None:
    """Return free heap pages to the system, so that resident memory starts from what is really in use."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # not glibc
        return


def resident() -> int:
    """Resident memory of this process in bytes (0 where the system does not tell)."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


class ResidentPeak:
    """Peak growth of this process's resident memory since start, as far as it was reached after reset."""

    source = "resident"

    def start(self) -> None:
        trim()
        self.base = resident()

    def reset(self) -> None:
        trim()
        with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the high-water mark becomes what is resident now

    def read(self) -> int:
        try:
            with open("/proc/self/status") as file:
                peak = next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))
        except (OSError, StopIteration):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return max(0, peak - self.base)


class DevicePeak:
    """Peak growth of a library's own device allocations."""

    source = "device"

    def __init__(self, stats: Callable[[], Any], reset: Callable[[], None]):
        self.stats, self.reset = stats, reset

    def _peak(self) -> int:
        stats = self.stats()
        if not isinstance(stats, dict):
            stats = vars(stats) if hasattr(stats, "__dict__") else stats._asdict()
        return next(int(stats[key]) for key in PEAK_KEYS if key in stats)

    def start(self) -> None:
        trim()
        self.reset()
        self.base = self._peak()

    def read(self) -> int:
        return max(0, self._peak() - self.base)


def runtime(module: ModuleType) -> Any:
    """engine's OpenCL runtime of the default device, or None (torch's devices have none)."""
    return getattr(module.get_default_device(), "runtime", None) if hasattr(module, "get_default_device") else None


def memory_of(module: ModuleType) -> ResidentPeak | DevicePeak:
    """How the memory of a library is measured: by its own counters where it has some."""
    if hasattr(module, "memory_stats"):
        return DevicePeak(module.memory_stats, getattr(module, "reset_peak_memory_stats", _nothing))
    opened = runtime(module)
    return ResidentPeak() if opened is None else DevicePeak(opened.memory.stats, opened.memory.reset_peak)


class Hooks:
    """The hooks of one library; whatever it lacks does nothing."""

    def __init__(self, module: ModuleType):
        self.module = module
        self.wait: Callable[[], None] = getattr(module, "synchronize", _nothing)
        self.lazy = hasattr(module.Tensor, "realize") if hasattr(module, "Tensor") else False
        self.launch_count: Callable[[], int] | None = getattr(module, "launch_count", None)
        self.memory = memory_of(module)

    def force(self, result: Any) -> Any:
        """Have a lazy library enqueue the work behind a result, without waiting for it."""
        if not self.lazy or result is None:
            return result
        if isinstance(result, tuple | list):
            for part in result:
                self.force(part)
        elif hasattr(result, "realize"):
            result.realize()
        return result
