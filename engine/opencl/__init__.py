"""OpenCL underneath the library: devices, memory, programs, queues. The only importer of pyopencl."""

import engine.settings  # noqa: F401  (first: sets what PoCL reads when pyopencl loads it)

from .memory import Buffer, MemoryStats, Pool, Window
from .platforms import Capabilities, DeviceRecord, default_record, discover, find, listing
from .program import Program, ProgramStore
from .queue import BoundKernel, LaunchRecord, Queue, Transfer
from .runtime import Runtime, default_runtime, open_runtimes, runtime_for

__all__ = [
    "BoundKernel",
    "Buffer",
    "Capabilities",
    "DeviceRecord",
    "LaunchRecord",
    "MemoryStats",
    "Pool",
    "Program",
    "ProgramStore",
    "Queue",
    "Runtime",
    "Transfer",
    "Window",
    "default_record",
    "default_runtime",
    "discover",
    "find",
    "listing",
    "open_runtimes",
    "runtime_for",
]
