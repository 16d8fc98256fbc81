"""Questions about objects: is it a tensor, of what type, what type would a result have."""

from __future__ import annotations

from typing import Any

from . import cpu, cuda, dtypes
from .device import default
from .device import device as Device
from .ops.pointwise import is_number
from .tensor import Tensor, UntypedStorage


def _tensor(name: str, input: Any) -> Tensor:
    if not isinstance(input, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    return input


def is_tensor(obj: Any, /) -> bool:
    """Whether ``obj`` is a tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj: Any, /) -> bool:
    """Whether ``obj`` is a storage."""
    return isinstance(obj, UntypedStorage)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a float."""
    return _tensor("is_floating_point", input).is_floating_point()


def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex."""
    return _tensor("is_complex", input).is_complex()


def is_signed(input: Tensor) -> bool:
    """Whether the dtype has negative values."""
    return _tensor("is_signed", input).is_signed()


def is_conj(input: Tensor) -> bool:
    """Whether conjugation is pending: never, it is computed."""
    return _tensor("is_conj", input).is_conj()


def is_neg(input: Tensor) -> bool:
    """Whether negation is pending: never, it is computed."""
    return _tensor("is_neg", input).is_neg()


def is_inference(input: Tensor) -> bool:
    """Whether the tensor was made in inference mode."""
    return _tensor("is_inference", input).is_inference()


def is_nonzero(input: Tensor) -> bool:
    """Whether the only element is not zero. RuntimeError for another number of elements."""
    return bool(_tensor("is_nonzero", input))


def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape."""
    return _tensor("is_same_size", input).is_same_size(other)


def numel(input: Tensor) -> int:
    """Number of elements."""
    return _tensor("numel", input).numel()


def typename(obj: Any, /) -> str:
    """The type of an object as text: "torch.FloatTensor" for a tensor, else module and name."""
    if isinstance(obj, Tensor):
        return obj.type()
    name = getattr(obj, "__qualname__", None)
    module = getattr(obj, "__module__", None)
    if name is None:
        name, module = type(obj).__qualname__, type(obj).__module__
    return name if module in (None, "", "builtins") else f"{module}.{name}"


def _operand(value: Any) -> tuple[dtypes.dtype, dtypes.Category]:
    if isinstance(value, Tensor):
        return value.dtype, dtypes.Category.DIMENSIONED if value.ndim else dtypes.Category.ZERO_DIM
    if is_number(value):
        return dtypes.from_python(value), dtypes.Category.WRAPPED
    raise TypeError(f"result_type(): argument must be Tensor or Number, not {type(value).__name__}")


def result_type(tensor1: Any, tensor2: Any) -> dtypes.dtype:
    """The dtype of an arithmetic operation between two tensors or numbers."""
    return dtypes.result_type([_operand(tensor1), _operand(tensor2)])


def get_device_module(device: Any = None) -> Any:
    """The module of a device's kind: ``cpu`` or ``cuda``. RuntimeError for a kind without one."""
    kind = default.get().kind if device is None else Device(device).kind
    if kind == "meta":
        raise RuntimeError("Device 'meta' does not have a corresponding module registered as 'torch.meta'.")
    return cpu if kind == "cpu" else cuda
