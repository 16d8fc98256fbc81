"""Tensors over other people's memory: objects with the buffer protocol, and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.variable import Tensor
from .creation import finish, from_array, share_array
from .publish import function


def _elements(raw: np.ndarray, dtype: dtypes.dtype) -> np.ndarray:
    return raw.view(dtype.numpy)


def _tensor(array: np.ndarray, dtype: dtypes.dtype) -> Tensor:
    """Shares the memory where NumPy has the dtype and the device uses the host's memory."""
    if dtype is dtypes.bfloat16 or not array.flags.writeable:
        return from_array(array, dtype)
    return share_array(array)


@function(method=False)
def frombuffer(
    buffer: Any, *, dtype: dtypes.dtype, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A vector over the bytes of a buffer, from byte ``offset``; ``count`` elements or all.

    Raises ValueError where the bytes do not hold them.
    """
    raw = np.frombuffer(buffer, np.uint8)
    size = dtype.itemsize
    if not raw.size:
        raise ValueError(f"both buffer length ({raw.size}) and count ({count}) must not be 0")
    if not 0 <= offset < raw.size:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length ({raw.size} bytes) minus 1"
        )
    if count == 0 or count < -1:
        raise ValueError(f"both buffer length ({raw.size}) and count ({count}) must not be 0")
    left = raw.size - offset
    if count < 0:
        if left % size:
            raise ValueError(
                f"buffer length ({left} bytes) after offset ({offset} bytes) must be a multiple of element size "
                f"({size})"
            )
        count = left // size
    elif count * size > left:
        raise ValueError(
            f"requested buffer length ({count} * {size} bytes) after offset ({offset} bytes) must not be greater than "
            "actual "
            f"buffer length ({raw.size} bytes)"
        )
    return finish(_tensor(_elements(raw[offset : offset + count * size], dtype), dtype), requires_grad)


@function(method=False)
def from_file(
    filename: Any, shared: bool | None = None, size: int = 0, *, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A vector of ``size`` elements over a memory-mapped file; ``shared``: changes reach the file."""
    dtype = dtype or dtypes.default.get()
    path, nbytes = Path(filename), size * dtype.itemsize
    if shared:
        if not path.exists():
            path.touch()
        if path.stat().st_size < nbytes:
            with path.open("r+b") as f:
                f.truncate(nbytes)
    elif path.stat().st_size < nbytes:
        raise RuntimeError(f"file {filename} not found or is smaller than the {nbytes} bytes that are asked for")
    if not size:
        return finish(from_array(np.zeros(0, dtype.numpy), dtype, device), requires_grad)
    raw = np.memmap(path, np.uint8, "r+" if shared else "c", 0, (nbytes,))
    t = _tensor(_elements(np.asarray(raw), dtype), dtype)
    return finish(t if device is None else t.to(device), requires_grad)


@function(torch=False)
def index(self: Tensor, indices: Any) -> Tensor:
    """Elements at positions given by one index tensor (or None for all) a dimension."""
    return self[tuple(slice(None) if i is None else i for i in indices)]
