"""Process-wide switches under torch's names: threads, determinism, precision of matrix products.

They are kept and reported as torch does. The kernels here are deterministic and compute float32 products in float32,
and the OpenCL implementation owns its threads, so none of them changes a result.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, field

_DEBUG_MODES = ("default", "warn", "error")
_PRECISIONS = ("highest", "high", "medium")


def _cores() -> int:
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


@dataclass
class _Controls:
    threads: int = field(default_factory=_cores)
    interop_threads: int = field(default_factory=_cores)
    deterministic: bool = False
    warn_only: bool = False
    fill_memory: bool = True
    precision: str = "highest"
    warn_always: bool = False


_controls = _Controls()


def _count(name: str, number: int) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise RuntimeError(f"{name} expects an int, but got {type(number).__name__}")
    if number <= 0:
        raise RuntimeError(f"{name} expects a positive integer")
    return number


def get_num_threads() -> int:
    """Threads a CPU device is taken to use: the cores of the process, or what was set."""
    return _controls.threads


def set_num_threads(number: int) -> None:
    """Note a number of threads. RuntimeError unless it is a positive int."""
    _controls.threads = _count("set_num_threads", number)


def get_num_interop_threads() -> int:
    """Threads between ops, as set."""
    return _controls.interop_threads


def set_num_interop_threads(number: int) -> None:
    """Note a number of threads between ops. RuntimeError unless it is a positive int."""
    _controls.interop_threads = _count("set_num_interop_threads", number)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Ask for deterministic results, which every op gives in any case."""
    if not isinstance(mode, bool):
        raise TypeError(f"_set_deterministic_algorithms(): argument 'mode' must be bool, not {type(mode).__name__}")
    _controls.deterministic, _controls.warn_only = mode, warn_only


def are_deterministic_algorithms_enabled() -> bool:
    """Whether determinism was asked for."""
    return _controls.deterministic


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether determinism was asked for with warnings only."""
    return _controls.warn_only


def get_deterministic_debug_mode() -> int:
    """0 default, 1 warn, 2 error."""
    return (1 if _controls.warn_only else 2) if _controls.deterministic else 0


def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Set determinism by "default", "warn" or "error", or their numbers. RuntimeError for another value."""
    if not isinstance(debug_mode, (int, str)):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    if isinstance(debug_mode, str):
        if debug_mode not in _DEBUG_MODES:
            raise RuntimeError(
                f"invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got {debug_mode}"
            )
        debug_mode = _DEBUG_MODES.index(debug_mode)
    if debug_mode not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}")
    _controls.deterministic, _controls.warn_only = debug_mode > 0, debug_mode == 1


def get_float32_matmul_precision() -> str:
    """ "highest", "high" or "medium", as set."""
    return _controls.precision


def set_float32_matmul_precision(precision: str) -> None:
    """Allow a lower precision of float32 matrix products; they stay in float32. Warns about an unknown name."""
    if precision not in _PRECISIONS:
        warnings.warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current setFloat32MatmulPrecision call "
            f"has no "
            "effect.",
            stacklevel=2,
        )
        return
    _controls.precision = precision


def set_flush_denormal(mode: bool) -> bool:
    """Whether the device can be told to flush denormal numbers: no, results keep them."""
    return False


def set_warn_always(b: bool, /) -> None:
    """Note whether warnings that come once by default should come always."""
    if not isinstance(b, bool):
        raise TypeError(f"set_warnAlways(): argument must be bool, not {type(b).__name__}")
    _controls.warn_always = b


def is_warn_always_enabled() -> bool:
    """Whether warnings should come always, as set."""
    return _controls.warn_always
