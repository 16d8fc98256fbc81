"""What the runtime did: waiting for it, counters of plans, kernels and memory."""

from __future__ import annotations

from typing import Any

from .device import resolve
from .graph.log import log_of, open_logs


def synchronize(device: Any = None) -> None:
    """Run what is pending and wait (on all devices in use by default)."""
    for log in open_logs() if device is None else [log_of(resolve(device))]:
        log.synchronize()


def launch_count(device: Any = None) -> int:
    """Kernels launched so far."""
    return log_of(resolve(device)).launches


def plan_stats(device: Any = None) -> dict[str, int]:
    """Plans made (misses) and found in the cache (hits)."""
    log = log_of(resolve(device))
    return {"hits": log.hits, "misses": log.misses, "plans": len(log.plans)}


def memory_stats(device: Any = None) -> dict[str, int]:
    """Bytes allocated and reserved now and at their peaks."""
    stats = log_of(resolve(device)).runtime.memory.stats()
    return {
        "allocated": stats.allocated,
        "reserved": stats.reserved,
        "peak_allocated": stats.peak_allocated,
        "peak_reserved": stats.peak_reserved,
    }


def reset_peak_memory_stats(device: Any = None) -> None:
    """Start new peaks."""
    log_of(resolve(device)).runtime.memory.reset_peak()


def empty_cache(device: Any = None) -> None:
    """Give cached memory back to the device."""
    log = log_of(resolve(device))
    log.drop_arena()
    log.runtime.memory.empty_cache()
