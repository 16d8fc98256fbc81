"""The functions that files name to put tensors together, with the arguments torch gives them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from engine import dtypes

from . import bridge, names
from .storages import STORAGE_GLOBALS, LoadedStorage


def _integers(value: Any, what: str) -> tuple[int, ...]:
    if not isinstance(value, tuple | list) or not all(type(n) is int and n >= 0 for n in value):
        raise pickle.UnpicklingError(f"{what} of a tensor must be non-negative integers, but got {value!r:.100}")
    return tuple(value)


def tensor_from_storage(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: bool = False,
    dtype: dtypes.dtype | None = None,
    metadata: Any = None,
) -> Any:
    """A tensor that shows a loaded storage through size and strides in elements; dtype: the storage's unless given.

    RuntimeError if it would reach outside of the storage, UnpicklingError for arguments of the wrong type.
    """
    if not isinstance(storage, LoadedStorage):
        raise pickle.UnpicklingError(f"a tensor must be made from a storage, but got {type(storage)}")
    dtype = storage.dtype if dtype is None else dtype
    if not isinstance(dtype, dtypes.dtype):
        raise pickle.UnpicklingError(f"dtype of a tensor must be torch.dtype, but got {type(dtype)}")
    size, stride, (offset,) = _integers(size, "size"), _integers(stride, "stride"), _integers((offset,), "offset")
    if len(size) != len(stride):
        raise RuntimeError(f"mismatch in length of strides and shape: {stride} and {size}")
    if storage.offset % dtype.itemsize:
        raise RuntimeError("storage view is not aligned to the elements of its tensor")
    needed = 0
    if 0 not in size:
        needed = (offset + 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True))) * dtype.itemsize
    if needed > storage.nbytes():
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize "
            f"{dtype.itemsize} requiring a storage size of {needed} are out of bounds for storage of size "
            f"{storage.nbytes()}"
        )
    whole = storage.made(lambda root: bridge.make_storage(root, dtype))
    offset += storage.offset // dtype.itemsize
    tensor = bridge.rebuild_tensor(whole, dtype, offset, size, stride)
    if metadata:
        tensor = bridge.apply_metadata(tensor, metadata)
    return bridge.require_grad(tensor) if requires_grad else tensor


def contiguous_strides(size: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in elements, of a tensor without gaps."""
    strides, step = [], 1
    for n in reversed(size):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def _rebuild_tensor(storage: LoadedStorage, storage_offset: int, size: tuple, stride: tuple) -> Any:
    return tensor_from_storage(storage, storage_offset, size, stride)


def _rebuild_tensor_v2(
    storage: LoadedStorage,
    storage_offset: int,
    size: tuple,
    stride: tuple,
    requires_grad: bool,
    backward_hooks: Any,
    metadata: Any = None,
) -> Any:
    return tensor_from_storage(storage, storage_offset, size, stride, requires_grad, None, metadata)


def _rebuild_tensor_v3(
    storage: LoadedStorage,
    storage_offset: int,
    size: tuple,
    stride: tuple,
    requires_grad: bool,
    backward_hooks: Any,
    dtype: dtypes.dtype,
    metadata: Any = None,
) -> Any:
    return tensor_from_storage(storage, storage_offset, size, stride, requires_grad, dtype, metadata)


def _tensor(value: Any) -> Any:
    if not bridge.is_tensor(value):
        raise pickle.UnpicklingError(f"expected a tensor, but got {type(value)}")
    return value


def _rebuild_parameter(data: Any, requires_grad: bool, backward_hooks: Any) -> Any:
    return bridge.make_parameter(_tensor(data), bool(requires_grad))


def _rebuild_parameter_with_state(data: Any, requires_grad: bool, backward_hooks: Any, state: Any) -> Any:
    return bridge.set_python_state(bridge.make_parameter(_tensor(data), bool(requires_grad)), state)


def _rebuild_meta_tensor_no_storage(dtype: dtypes.dtype, size: tuple, stride: tuple, requires_grad: bool) -> Any:
    tensor = bridge.rebuild_meta_tensor(dtype, _integers(size, "size"), _integers(stride, "stride"))
    return bridge.require_grad(tensor) if requires_grad else tensor


def _rebuild_device_tensor_from_cpu_tensor(data: Any, dtype: dtypes.dtype, device: str, requires_grad: bool) -> Any:
    tensor = bridge.convert_tensor(_tensor(data), dtype, device)
    return bridge.require_grad(tensor) if requires_grad else tensor


def _rebuild_device_tensor_from_numpy(data: Any, dtype: dtypes.dtype, device: str, requires_grad: bool) -> Any:
    if not isinstance(data, np.ndarray):
        raise pickle.UnpicklingError(f"expected a NumPy array, but got {type(data)}")
    kind = dtypes.from_numpy_dtype(data.dtype)
    values = np.ascontiguousarray(data, dtype=kind.numpy).reshape(-1).view(np.uint8)
    loaded = tensor_from_storage(LoadedStorage(values, kind), 0, data.shape, contiguous_strides(data.shape))
    return _rebuild_device_tensor_from_cpu_tensor(loaded, dtype, device, requires_grad)


def _rebuild_from_type_v2(function: Any, new_type: type, args: tuple, state: Any) -> Any:
    """A tensor of a subclass, or with Python attributes: made by one of the functions here, then given both."""
    if not any(function is known for known in FUNCTIONS.values()):
        raise pickle.UnpicklingError(f"Trying to rebuild a tensor with unrecognized function {function}")
    return bridge.set_python_state(bridge.as_subclass(function(*args), new_type), state)


_IN_UTILS = (
    _rebuild_tensor,
    _rebuild_tensor_v2,
    _rebuild_tensor_v3,
    _rebuild_parameter,
    _rebuild_parameter_with_state,
    _rebuild_meta_tensor_no_storage,
    _rebuild_device_tensor_from_cpu_tensor,
    _rebuild_device_tensor_from_numpy,
)

FUNCTIONS: dict[str, Any] = {f"torch._utils.{f.__name__}": f for f in _IN_UTILS}
FUNCTIONS["torch._tensor._rebuild_from_type_v2"] = _rebuild_from_type_v2
"""By the full names that files use."""

KNOWN: dict[str, Any] = {f"torch.{d.name}": d for d in dtypes.ALL} | STORAGE_GLOBALS | FUNCTIONS
"""The functions, dtypes and storage classes by full name."""


def find_global(module: str, name: str) -> Any:
    """What a name of torch (or torchvision) in a file stands for here. UnpicklingError if there is no such thing."""
    module, name = names.modern_name(module, name)
    full = f"{module}.{name}"
    found = KNOWN.get(full) or bridge.file_classes().get(full)
    return names.resolve(module, name) if found is None else found


def call_global(module: str, name: str, args: tuple) -> Any:
    """Call what `find_global` finds: how picklers that can only write importable names write tensors."""
    return find_global(module, name)(*args)
