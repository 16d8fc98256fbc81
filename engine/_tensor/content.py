"""Elements on the host: numbers, lists, NumPy arrays."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.variable import Tensor, log
from ..ops import creation
from ..ops.pointwise import is_number
from .attach import method


def host_copy(t: Tensor) -> np.ndarray:
    """The elements in storage format (bfloat16 as uint16), a new array of the tensor's shape."""
    seen = t._spec
    if t._storage.dtype is not seen.dtype:
        t = creation.copy_in_order(t, None)
        seen = t._spec
    if seen.contiguous and seen.numel * 4 >= t._storage.size:
        flat = log(t).read(t._storage.node)
        return flat[seen.offset : seen.offset + seen.numel].reshape(seen.shape)
    t = creation.copy_in_order(t, None)
    return log(t).read(t._storage.node).reshape(seen.shape)


def values_of(t: Tensor) -> np.ndarray:
    """The elements as a NumPy array of a dtype NumPy has (bfloat16 as float32)."""
    return dtypes.from_storage(host_copy(t), t._spec.dtype)


@method
def item(self: Tensor) -> Any:
    """The only element as a Python number. Raises RuntimeError for other element counts."""
    seen = self._spec
    if seen.numel != 1:
        raise RuntimeError(f"a Tensor with {seen.numel} elements cannot be converted to Scalar")
    if seen.device.kind == "meta":
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")
    if self._storage.size == 1:
        graph = log(self)
        number = graph.number(self._storage.node) if seen.dtype is self._storage.node.call.out.dtype else None
        if number is not None:
            return number
        raw = graph.read(self._storage.node)
        if raw.dtype is seen.dtype.numpy and seen.dtype is not dtypes.bfloat16:
            return raw.item()
    return values_of(self).reshape(()).item()


@method
def tolist(self: Tensor) -> Any:
    """Nested lists of Python numbers."""
    return values_of(self).tolist()


@method
def numpy(self: Tensor, *, force: bool = False) -> np.ndarray:
    """A NumPy array over the same memory (a copy on devices whose memory is not the host's)."""
    if force:
        return self.detach().cpu().resolve_conj().numpy()
    if self._rg:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    seen = self._spec
    if seen.device.kind == "gpu":
        raise TypeError(
            f"can't convert {seen.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host "
            f"memory "
            f"first."
        )
    if seen.dtype is dtypes.bfloat16:
        raise TypeError("Got unsupported ScalarType BFloat16")
    raw = log(self).host_view(self._storage.node) if self._storage.dtype is seen.dtype and seen.numel else None
    if raw is None:
        return values_of(self)
    array = raw[seen.offset :]
    seen_by_host = weakref.ref(array)
    self._storage.pin_to(self._storage.node.buffer, lambda: seen_by_host() is not None)
    self._storage.host_fresh = False
    steps = tuple(s * seen.dtype.itemsize for s in seen.stride)
    return np.lib.stride_tricks.as_strided(array, tuple(seen.shape), steps)


@method
def __array__(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """For NumPy functions."""
    array = self.numpy()
    if dtype is not None and array.dtype != dtype:
        return array.astype(dtype)
    return array.copy() if copy else array


@method
def __len__(self: Tensor) -> int:
    """Size of the first dimension. Raises TypeError for 0-dim tensors."""
    if not self._spec.ndim:
        raise TypeError("len() of a 0-d tensor")
    return self._spec.shape[0]


@method
def __bool__(self: Tensor) -> bool:
    """Truth of the only element."""
    if self._spec.numel != 1:
        if self._spec.numel == 0:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
        raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
    return bool(self.item())


@method
def __int__(self: Tensor) -> int:
    return int(_scalar(self))


@method
def __float__(self: Tensor) -> float:
    return float(_scalar(self))


@method
def __complex__(self: Tensor) -> complex:
    return complex(_scalar(self))


@method
def __index__(self: Tensor) -> int:
    if self._spec.numel != 1 or self._spec.floating or self._spec.dtype is dtypes.bool and self._spec.ndim:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(self.item())


Tensor.__nonzero__ = __bool__
Tensor.__long__ = __int__


@method
def is_nonzero(self: Tensor) -> bool:
    """Truth of the only element."""
    return bool(self)


def _scalar(t: Tensor) -> Any:
    if t._spec.numel != 1:
        raise RuntimeError(f"a Tensor with {t._spec.numel} elements cannot be converted to Scalar")
    return t.item()


@method
def __iter__(self: Tensor) -> Iterator[Tensor]:
    """Views along the first dimension."""
    if not self._spec.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(self.unbind(0))


@method
def __contains__(self: Tensor, element: Any) -> bool:
    """Whether any element equals ``element``."""
    if isinstance(element, Tensor) or is_number(element):
        return bool((element == self).any().item())
    raise RuntimeError(f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")


@method
def __reversed__(self: Tensor) -> Tensor:
    """All dimensions flipped, as torch has it."""
    return self if not self._spec.ndim else self.flip(0)


@method
def __array_wrap__(self: Tensor, array: np.ndarray, context: Any = None, return_scalar: bool = False) -> Tensor:
    """A NumPy function's result as a tensor."""
    if array.dtype == bool:
        array = array.astype(np.uint8)
    return creation.share_array(np.asarray(array))


@method
def __dlpack__(
    self: Tensor, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
) -> Any:
    """A DLPack capsule over the same memory (``copy``: over a copy). Raises BufferError where that cannot be."""
    if self._rg:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if self._spec.device.kind != "cpu":
        raise BufferError(f"Can't export a tensor on {self._spec.device}: copy it to the CPU first")
    if stream is not None and stream != -1:
        raise AssertionError("stream should be None on cpu.")
    array = self.numpy()
    return (array.copy() if copy else array).__dlpack__()


@method
def __dlpack_device__(self: Tensor) -> tuple[int, int]:
    """(device type, index) in DLPack's numbering: 1 is the CPU, 4 OpenCL."""
    return (1, 0) if self._spec.device.kind == "cpu" else (4, self._spec.device.index or 0)


@method
def __hash__(self: Tensor) -> int:
    return id(self)


@method
def __format__(self: Tensor, spec_: str) -> str:
    if not self._spec.ndim and type(self) is Tensor and not self.is_meta:
        return format(self.item(), spec_)
    return object.__format__(self, spec_)


@method
def __dir__(self: Tensor) -> list[str]:
    return sorted({*dir(type(self)), *self.__dict__})
