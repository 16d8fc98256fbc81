"""Regions of mixed precision."""

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from ..device import device
from ..dtypes import bfloat16, float16, float64
from ..opencl import discover
from ..tensor import Tensor
from .state import autocast_decrement_nesting, autocast_increment_nesting, autocast_kind, autocast_state

_SUPPORTED = (bfloat16, float16)


def _check_type(device_type: Any) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")  # noqa: TRY004


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast knows this type of device.

    Raises:
        RuntimeError: for a name that is no device type.
    """
    return device(device_type).type != "meta"


def has_device(device_type: str) -> bool:
    """Whether there is a device of this type: always for "cpu", else an OpenCL GPU."""
    return autocast_kind(device_type) == "cpu" or any(record.kind == "gpu" for record in discover())


class autocast:
    """Context manager and decorator: ops inside run in the precision that suits them (see `policy`).

    Args:
        device_type: "cpu", "cuda" ...
        dtype: the lower precision, by default bfloat16 on CPUs and float16 elsewhere.
        enabled: False switches autocast off inside.
        cache_enabled: keep the casts of parameters until the outermost region ends.
    """

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        _check_type(device_type)
        if not is_autocast_available(device_type):
            raise RuntimeError(f"User specified an unsupported autocast device_type '{device_type}'")
        self.device = device_type
        self.fast_dtype = autocast_state.slot(device_type).dtype if dtype is None else dtype
        self._cache_enabled = autocast_state.cache_enabled if cache_enabled is None else cache_enabled
        self._saved: list[tuple] = []
        if enabled and not has_device(device_type):
            warnings.warn(f"{device_type.upper()} is not available. Disabling autocast.", stacklevel=2)
            enabled = False
        elif enabled and self.fast_dtype not in _SUPPORTED:
            warnings.warn(
                f"In {device_type.upper()} autocast, but the target dtype is not supported. Disabling autocast.\n"
                f"{device_type.upper()} Autocast only supports dtypes of torch.bfloat16, torch.float16 currently.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled

    def __enter__(self) -> "autocast":  # noqa: PYI034
        slot = autocast_state.slot(self.device)
        self._saved.append((slot.enabled, slot.dtype, autocast_state.cache_enabled))
        autocast_state.set(self.device, self._enabled, self.fast_dtype)
        autocast_state.cache_enabled = self._cache_enabled
        autocast_increment_nesting()
        return self

    def __exit__(self, *_: object) -> bool:
        if autocast_decrement_nesting() == 0:
            autocast_state.cache.clear()
        enabled, dtype, cache_enabled = self._saved.pop()
        autocast_state.set(self.device, enabled, dtype)
        autocast_state.cache_enabled = cache_enabled
        return False

    def __call__(self, func: Callable) -> Callable:
        """Run all of `func` in the region."""

        @functools.wraps(func)
        def inside(*args: Any, **kwargs: Any) -> Any:
            with self:
                return func(*args, **kwargs)

        return inside


def _cast(value: Any, device_type: str, dtype: Any) -> Any:
    """Cast the floating-point tensors of a device type in nested containers; float64 stays."""
    if isinstance(value, Tensor):
        matches = autocast_kind(value.device.type) == autocast_kind(device_type)
        return value.to(dtype) if matches and value.is_floating_point() and value.dtype != float64 else value
    if isinstance(value, Mapping):
        return {_cast(key, device_type, dtype): _cast(item, device_type, dtype) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [_cast(item, device_type, dtype) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def custom_fwd(fwd: Callable | None = None, *, device_type: str, cast_inputs: Any = None) -> Callable:
    """Decorates `forward` of an autograd Function for use under autocast.

    Args:
        cast_inputs: cast floating-point inputs to this dtype and run with autocast off; None: run with autocast as
            it is.
    """
    _check_type(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(*args: Any, **kwargs: Any) -> Any:
        slot, ctx = autocast_state.slot(device_type), args[0]
        ctx._dtype = slot.dtype
        ctx._fwd_used_autocast = slot.enabled and cast_inputs is None
        if cast_inputs is None or not slot.enabled:
            return fwd(*args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(*_cast(args, device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs))

    return forward


def custom_bwd(bwd: Callable | None = None, *, device_type: str) -> Callable:
    """Decorates `backward` of an autograd Function whose forward has `custom_fwd`: same autocast state as there."""
    _check_type(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(*args: Any, **kwargs: Any) -> Any:
        with autocast(device_type, dtype=args[0]._dtype, enabled=args[0]._fwd_used_autocast):
            return bwd(*args, **kwargs)

    return backward
