"""What autocast is set to in this thread. Knows nothing of tensors, so that the ops can read it.

The hot path of an op is one attribute: ``if autocast_state.active: ...``.
"""

import threading
from typing import Any

from ..dtypes import bfloat16, float16


def autocast_kind(device_type: str) -> str:
    """The key of a device type: "cpu", or "cuda" for every name of an accelerator."""
    return "cpu" if device_type == "cpu" else "cuda"


class AutocastSlot:
    """Autocast on one kind of device."""

    __slots__ = ("dtype", "enabled")

    def __init__(self, dtype: Any) -> None:
        self.enabled = False
        self.dtype = dtype


class AutocastState(threading.local):
    """Per-thread settings.

    Attributes:
        active: some kind of device has autocast on, and it is not suspended.
        slots: an `AutocastSlot` for "cpu" and for "cuda".
        nesting: depth of `autocast` regions; the cast cache lives until the outermost one ends.
        cache_enabled: whether casts of parameters are kept in `cache`.
        cache: id of a parameter -> (parameter, its version, dtype, cast tensor); see `cast.py`.
    """

    active = False

    def __init__(self) -> None:
        self.active = False
        self.slots = {"cpu": AutocastSlot(bfloat16), "cuda": AutocastSlot(float16)}
        self.nesting = 0
        self.cache_enabled = True
        self.cache: dict[int, tuple] = {}

    def slot(self, device_type: str) -> AutocastSlot:
        """The settings for a ``device.type``."""
        return self.slots[autocast_kind(device_type)]

    def set(self, device_type: str, enabled: bool, dtype: Any) -> None:
        """Switch autocast for a kind of device."""
        slot = self.slot(device_type)
        slot.enabled, slot.dtype = enabled, dtype
        self.active = any(other.enabled for other in self.slots.values())


autocast_state = AutocastState()


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on for a type of device in this thread."""
    return autocast_state.slot(device_type).enabled


def set_autocast_enabled(device_type: str | bool, enabled: bool | None = None) -> None:
    """Switch autocast for a type of device; with one argument, for "cuda"."""
    if enabled is None:
        device_type, enabled = "cuda", bool(device_type)
    autocast_state.set(device_type, enabled, autocast_state.slot(device_type).dtype)


def get_autocast_dtype(device_type: str) -> Any:
    """The lower-precision dtype that autocast uses, or would use, on a type of device."""
    return autocast_state.slot(device_type).dtype


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Set the lower-precision dtype for a type of device."""
    autocast_state.slot(device_type).dtype = dtype


def is_autocast_cache_enabled() -> bool:
    """Whether casts of parameters are kept for the whole region."""
    return autocast_state.cache_enabled


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Keep casts of parameters, or not."""
    autocast_state.cache_enabled = enabled


def clear_autocast_cache() -> None:
    """Forget the casts that were kept."""
    autocast_state.cache.clear()


def autocast_increment_nesting() -> int:
    """Enter a region; returns the new depth."""
    autocast_state.nesting += 1
    return autocast_state.nesting


def autocast_decrement_nesting() -> int:
    """Leave a region; returns the new depth."""
    autocast_state.nesting -= 1
    return autocast_state.nesting


def is_autocast_cpu_enabled() -> bool:
    """Whether autocast is on for "cpu"."""
    return is_autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """Switch autocast for "cpu"."""
    set_autocast_enabled("cpu", enabled)


def get_autocast_cpu_dtype() -> Any:
    """`get_autocast_dtype` of "cpu"."""
    return get_autocast_dtype("cpu")


def set_autocast_cpu_dtype(dtype: Any) -> None:
    """`set_autocast_dtype` of "cpu"."""
    set_autocast_dtype("cpu", dtype)


def get_autocast_gpu_dtype() -> Any:
    """`get_autocast_dtype` of "cuda"."""
    return get_autocast_dtype("cuda")


def set_autocast_gpu_dtype(dtype: Any) -> None:
    """`set_autocast_dtype` of "cuda"."""
    set_autocast_dtype("cuda", dtype)
