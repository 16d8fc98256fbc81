"""Casting of an op's arguments as autocast's policy says.

Works on anything with a tensor's attributes, so that the ops can call it without an import cycle. An op does::

    if autocast_state.active:
        return autocast_call("linear", linear, args, kwargs)

and is called back with the arguments cast and autocast suspended, because what an op is composed of is not cast again.
"""

from collections.abc import Callable, Iterator
from typing import Any

from ..dtypes import bfloat16, float16, float32
from .policy import POLICIES, Policy
from .state import autocast_kind, autocast_state

# From narrow to wide, for promotion.
_WIDTHS = {bfloat16: 0, float16: 0, float32: 1}


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "is_floating_point") and hasattr(value, "requires_grad")


def _tensors(values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, list | tuple):
            yield from _tensors(value)
        elif _is_tensor(value):
            yield value


def _eligible(tensor: Any, kind: str) -> bool:
    """Floating-point tensors of the kind of device, float64 excepted, are cast."""
    return tensor.dtype in _WIDTHS and autocast_kind(tensor.device.type) == kind


def _mapped(value: Any, cast: Callable[[Any], Any]) -> Any:
    if isinstance(value, list | tuple):
        items = [_mapped(item, cast) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return cast(value) if _is_tensor(value) else value


def cached_cast(tensor: Any, dtype: Any) -> Any:
    """``tensor.to(dtype)``; the casts of float32 leaves that require grad are kept for the region.

    So a weight that is used several times is cast once, and its gradient is cast back once.
    """
    if tensor.dtype == dtype:
        return tensor
    keep = autocast_state.cache_enabled and tensor.dtype == float32 and tensor.requires_grad and tensor.is_leaf
    if not keep:
        return tensor.to(dtype)
    held = autocast_state.cache.get(id(tensor))
    if held is not None and held[1] == tensor._version and held[2] == dtype:
        return held[3]
    cast = tensor.to(dtype)
    if cast.requires_grad:  # not under no_grad: a later use may need the gradient
        autocast_state.cache[id(tensor)] = (tensor, tensor._version, dtype, cast)
    return cast


def _target(policy: Policy, eligible: list, lower: Any, kwargs: dict[str, Any]) -> Any:
    """The dtype to cast to, None for no cast."""
    if policy is Policy.LOWER:
        return lower
    if policy is Policy.FLOAT32:
        return None if kwargs.get("dtype") is not None else float32
    return max((lower, *(t.dtype for t in eligible)), key=lambda dtype: _WIDTHS.get(dtype, 0))


def autocast_call(name: str, function: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Call `function` (PyTorch's `name`) with its tensors cast as the active region wants.

    Raises:
        RuntimeError: for an op that is unsafe in lower precision.
    """
    tensors = list(_tensors((*args, *kwargs.values())))
    kind = "cuda" if any(autocast_kind(t.device.type) == "cuda" for t in tensors) else "cpu"
    slot, policy = autocast_state.slots[kind], POLICIES[kind].get(name)
    if not slot.enabled or policy is None or kwargs.get("out") is not None:
        return function(*args, **kwargs)
    eligible = [t for t in tensors if _eligible(t, kind)]
    if policy is Policy.BANNED:
        if any(t.dtype != float32 for t in eligible):
            raise RuntimeError(
                f"{name} is unsafe to autocast: its inputs overflow in lower precision. Combine it with the sigmoid "
                "before it in binary_cross_entropy_with_logits (BCEWithLogitsLoss), which is safe."
            )
        return function(*args, **kwargs)
    target = _target(policy, eligible, slot.dtype, kwargs)
    if target is not None:

        def cast(tensor: Any) -> Any:
            return cached_cast(tensor, target) if _eligible(tensor, kind) else tensor

        args = tuple(_mapped(value, cast) for value in args)
        kwargs = {key: _mapped(value, cast) for key, value in kwargs.items()}
    autocast_state.active = False
    try:
        return function(*args, **kwargs)
    finally:
        autocast_state.active = True
