"""torch.cuda's interface over OpenCL GPUs. On a machine without one ``is_available()`` is False."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .. import opencl, random
from ..device import device as Device
from ..device import records
from ..errors import NoDeviceError
from ..errors import OutOfMemoryError as OutOfMemoryError
from ..graph.log import log_of, open_logs
from . import amp


class _Current:
    """Which GPU is the current one."""

    index = 0


def _gpus() -> list[opencl.DeviceRecord]:
    try:
        return records("gpu")
    except NoDeviceError:
        return []


def is_available() -> bool:
    """Whether there is an OpenCL GPU."""
    return bool(_gpus())


def is_initialized() -> bool:
    """Whether a GPU is in use."""
    return any(log.device.kind == "gpu" for log in open_logs())


def init() -> None:
    """Nothing to do: devices are opened at first use."""


def device_count() -> int:
    """Number of OpenCL GPUs."""
    return len(_gpus())


def current_device() -> int:
    """Index of the current GPU. Raises RuntimeError where there is none."""
    _need_gpu()
    return _Current.index


def _need_gpu() -> None:
    if not is_available():
        raise RuntimeError("No OpenCL GPU is available: torch.cuda functions need one (see python -m engine)")


def _index(device: Any) -> int:
    if device is None:
        return _Current.index
    if isinstance(device, int):
        return device
    index = Device(device).index
    return _Current.index if index is None else index


def set_device(device: Any) -> None:
    """Make a GPU the current one."""
    index = _index(device)
    if index >= 0:
        _need_gpu()
        _Current.index = index


@contextlib.contextmanager
def device(device: Any) -> Iterator[None]:
    """Make a GPU the current one inside."""
    before = _Current.index
    _Current.index = max(_index(device), 0)
    try:
        yield
    finally:
        _Current.index = before


def get_device_name(device: Any = None) -> str:
    """Name of a GPU."""
    _need_gpu()
    return _gpus()[_index(device)].caps.name


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """OpenCL C version of a GPU."""
    _need_gpu()
    return tuple(_gpus()[_index(device)].caps.opencl_c[:2])


@dataclass(frozen=True)
class _Properties:
    name: str
    total_memory: int
    multi_processor_count: int
    major: int
    minor: int
    is_integrated: bool


def get_device_properties(device: Any = None) -> _Properties:
    """Name, memory in bytes and compute units of a GPU."""
    _need_gpu()
    caps = _gpus()[_index(device)].caps
    major, minor = caps.opencl_c[:2]
    return _Properties(caps.name, caps.global_mem_size, caps.compute_units, major, minor, caps.unified_memory)


def _log(device: Any) -> Any:
    return log_of(Device("cuda", _index(device)).canonical)


def synchronize(device: Any = None) -> None:
    """Wait for a GPU's work."""
    _need_gpu()
    _log(device).synchronize()


def _stats(device: Any) -> Any:
    return _log(device).runtime.memory.stats() if is_available() else None


def memory_allocated(device: Any = None) -> int:
    """Bytes in use by values."""
    stats = _stats(device)
    return stats.allocated if stats else 0


def max_memory_allocated(device: Any = None) -> int:
    """Largest number of bytes in use since the last reset."""
    stats = _stats(device)
    return stats.peak_allocated if stats else 0


def memory_reserved(device: Any = None) -> int:
    """Bytes taken from the device."""
    stats = _stats(device)
    return stats.reserved if stats else 0


def max_memory_reserved(device: Any = None) -> int:
    """Largest number of bytes taken from the device since the last reset."""
    stats = _stats(device)
    return stats.peak_reserved if stats else 0


def reset_peak_memory_stats(device: Any = None) -> None:
    """Start new peaks."""
    if is_available():
        _log(device).runtime.memory.reset_peak()


reset_max_memory_allocated = reset_peak_memory_stats


def memory_stats(device: Any = None) -> dict[str, int]:
    """All counters by torch's names."""
    stats = _stats(device)
    if stats is None:
        return {}
    return {
        "allocated_bytes.all.current": stats.allocated,
        "allocated_bytes.all.peak": stats.peak_allocated,
        "reserved_bytes.all.current": stats.reserved,
        "reserved_bytes.all.peak": stats.peak_reserved,
        "num_ooms": stats.out_of_memory,
    }


def empty_cache() -> None:
    """Give cached memory back."""
    for log in open_logs():
        if log.device.kind == "gpu":
            log.drop_arena()
            log.runtime.memory.empty_cache()


def manual_seed(seed: int) -> None:
    """Seed the generator (one stream for all devices)."""
    random.manual_seed(seed)


manual_seed_all = manual_seed


def seed() -> None:
    """Seed from the system's entropy."""
    random.seed()


def initial_seed() -> int:
    """The seed."""
    return random.initial_seed()


def get_rng_state(device: Any = None) -> Any:
    """State of the generator."""
    return random.get_rng_state()


def set_rng_state(new_state: Any, device: Any = None) -> None:
    """Restore the generator."""
    random.set_rng_state(new_state)


class Stream:
    """A queue of work; all streams of a device are its one in-order queue."""

    def __init__(self, device: Any = None, priority: int = 0, **_: Any) -> None:
        self.device = Device("cuda", _index(device))

    def synchronize(self) -> None:
        """Wait for the device's work."""
        if is_available():
            log_of(self.device.canonical).synchronize()

    def wait_stream(self, stream: Stream) -> None:
        """In order anyway."""

    def wait_event(self, event: Event) -> None:
        """In order anyway."""

    def record_event(self, event: Event | None = None) -> Event:
        """An event at this point."""
        event = event or Event()
        event.record(self)
        return event

    def query(self) -> bool:
        """Whether all work is done (waits for it)."""
        self.synchronize()
        return True

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


def stream(stream: Stream | None) -> Any:
    """Use a stream inside."""
    return stream or contextlib.nullcontext()


def current_stream(device: Any = None) -> Stream:
    """The device's stream."""
    return Stream(device)


default_stream = current_stream


class Event:
    """A point in the queue, for timing: ``record``, ``synchronize``, ``elapsed_time`` in milliseconds."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        self._time: float | None = None

    def record(self, stream: Stream | None = None) -> None:
        """Mark this moment, once the work before it is done."""
        for log in open_logs():
            log.synchronize()
        self._time = time.perf_counter()

    def synchronize(self) -> None:
        """The work before the event is done already."""

    def wait(self, stream: Stream | None = None) -> None:
        """In order anyway."""

    def query(self) -> bool:
        """Whether the event has happened."""
        return self._time is not None

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds from this event to another. Raises RuntimeError unless both were recorded."""
        if self._time is None or end_event._time is None:
            raise RuntimeError("Both events must be recorded before calculating elapsed time.")
        return (end_event._time - self._time) * 1e3


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """bfloat16 is stored in 16 bits and computed in float32 on every device."""
    return True


def ipc_collect() -> None:
    """Nothing to do."""
