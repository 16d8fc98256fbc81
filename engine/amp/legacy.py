"""The older names of mixed precision, for ``cuda.amp`` and ``cpu.amp``: a fixed device type and a deprecation
warning.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any

from ..dtypes import bfloat16, float16
from .grad_scaler import GradScaler
from .regions import autocast, custom_bwd, custom_fwd


def _warn(device_type: str, name: str) -> None:
    warnings.warn(
        f"`torch.{device_type}.amp.{name}(args...)` is deprecated. "
        f"Please use `torch.amp.{name}('{device_type}', args...)` instead.",
        FutureWarning,
        stacklevel=3,
    )


class CudaAutocast(autocast):
    """`autocast` on "cuda"."""

    def __init__(self, enabled: bool = True, dtype: Any = float16, cache_enabled: bool = True) -> None:
        _warn("cuda", "autocast")
        super().__init__("cuda", dtype, enabled, cache_enabled)


class CpuAutocast(autocast):
    """`autocast` on "cpu"."""

    def __init__(self, enabled: bool = True, dtype: Any = bfloat16, cache_enabled: bool = True) -> None:
        _warn("cpu", "autocast")
        super().__init__("cpu", dtype, enabled, cache_enabled)


class CudaGradScaler(GradScaler):
    """`GradScaler` on "cuda"."""

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        _warn("cuda", "GradScaler")
        super().__init__("cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled)


class CpuGradScaler(GradScaler):
    """`GradScaler` on "cpu"."""

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        _warn("cpu", "GradScaler")
        super().__init__("cpu", init_scale, growth_factor, backoff_factor, growth_interval, enabled)


def cuda_custom_fwd(fwd: Callable | None = None, *, cast_inputs: Any = None) -> Callable:
    """`custom_fwd` for "cuda"."""
    if fwd is None:
        return functools.partial(cuda_custom_fwd, cast_inputs=cast_inputs)
    return custom_fwd(fwd, device_type="cuda", cast_inputs=cast_inputs)


def cuda_custom_bwd(bwd: Callable) -> Callable:
    """`custom_bwd` for "cuda"."""
    return custom_bwd(bwd, device_type="cuda")
