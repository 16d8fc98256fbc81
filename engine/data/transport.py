"""How batches and datasets cross between processes.

A batch is pickled with its array data apart (pickle protocol 5): the bytes of all tensors and arrays lie in one shared
memory segment, and the pickle itself holds only the structure. The loader makes tensors over the segment without a
copy; the segment goes back to its worker when the last of them is gone.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes, ops
from ..tensor import Tensor
from .channel import CAN_PASS_FILES
from .pickling import ByTokenPickler, ByValuePickler
from .segments import SegmentRing, SegmentTable, fill, layout, open_shared

INLINE_LIMIT = 1 << 14  # bytes that travel in the message itself
_NO_NUMPY_DTYPE = {"bfloat16": "int16"}  # stored as the bits of


def to_host_array(tensor: Tensor) -> np.ndarray:
    """The values of ``tensor`` in host memory, contiguous, shared where possible; bfloat16 as its bits in int16."""
    bits = _NO_NUMPY_DTYPE.get(_name(tensor.dtype))
    host = tensor.detach().cpu()
    array = (host.view(getattr(dtypes, bits)) if bits else host).numpy()
    return array if array.flags.c_contiguous else array.copy()


def from_host_array(array: np.ndarray, dtype: Any) -> Tensor:
    """A tensor of ``dtype`` over ``array`` (shared where possible); the inverse of :func:`to_host_array`."""
    tensor = ops.from_numpy(array)
    return tensor.view(dtype) if _name(dtype) in _NO_NUMPY_DTYPE else tensor


def _name(dtype: Any) -> str:
    return str(dtype).rpartition(".")[2]


def _reduce_tensor(tensor: Tensor) -> tuple:
    array = to_host_array(tensor)
    # A read-only or shared buffer: the receiver copies it or holds a lease, never this process's memory.
    buffer = pickle.PickleBuffer(array.reshape(-1).view(np.uint8))
    return _make_tensor, (buffer, array.dtype.str, array.shape, _name(tensor.dtype), tensor.requires_grad)


def _make_tensor(buffer: Any, kind: str, shape: tuple[int, ...], dtype: str, requires_grad: bool) -> Tensor:
    empty = 0 in shape  # frombuffer refuses empty buffers
    array = np.empty(shape, kind) if empty else np.frombuffer(buffer, kind).reshape(shape)
    tensor = from_host_array(array, getattr(dtypes, dtype))
    return tensor.requires_grad_(True) if requires_grad else tensor


def _reduce_array(array: np.ndarray) -> Any:
    # NumPy gives only contiguous arrays out of band.
    if array.flags.forc or array.dtype.hasobject:
        return NotImplemented
    return array.copy().__reduce_ex__(5)


class _DatasetPickler(ByValuePickler):
    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is Tensor:
            return _reduce_tensor(obj)
        return _reduce_array(obj) if kind is np.ndarray else super().reducer_override(obj)


class _BatchPickler(ByTokenPickler):
    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is Tensor:
            return _reduce_tensor(obj)
        return _reduce_array(obj) if kind is np.ndarray else super().reducer_override(obj)


def _take_apart(pickler_type: Callable, obj: Any) -> tuple[Any, bytes, list[memoryview]]:
    buffers: list[pickle.PickleBuffer] = []
    file = io.BytesIO()
    pickler = pickler_type(file, buffer_callback=buffers.append)
    pickler.dump(obj)
    return pickler, file.getvalue(), [buffer.raw() for buffer in buffers]


def dumps(obj: Any) -> bytes:
    """``obj`` as bytes for a worker, tensors included."""
    file = io.BytesIO()
    _DatasetPickler(file).dump(obj)
    return file.getvalue()


class Payload:
    """An object on its way to every worker of a loader: pickled once, mapped copy-on-write by each.

    ``modules`` are the names of the modules it needs. Raises what pickling raises.
    """

    def __init__(self, obj: Any) -> None:
        pickler, body, views = _take_apart(_DatasetPickler, obj)
        self.modules = pickler.modules
        views.append(memoryview(body))
        spans, total = layout(len(view) for view in views)
        self._fd: int | None = None
        data = None
        if CAN_PASS_FILES and total > INLINE_LIMIT:
            self._fd = open_shared(total)
            data = np.frombuffer(mmap.mmap(self._fd, total), np.uint8)
        target = np.empty(total, np.uint8) if data is None else data
        fill(target, views, spans)
        self.message = pickle.dumps((spans, target.tobytes() if data is None else None))

    @property
    def fds(self) -> tuple[int, ...]:
        """The open files to send along with ``message``."""
        return () if self._fd is None else (self._fd,)

    def close(self) -> None:
        """Close this process's descriptor; to be called when all workers have the message."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @staticmethod
    def load(message: bytes, fds: list[int]) -> Any:
        """The object again; its arrays lie in a private, writable mapping."""
        spans, inline = pickle.loads(message)
        data = bytearray(inline) if inline is not None else mmap.mmap(fds[0], 0, access=mmap.ACCESS_COPY)
        for fd in fds:
            os.close(fd)
        *views, body = [memoryview(data)[offset : offset + size] for offset, size in spans]
        return pickle.loads(body, buffers=views)


def encode(obj: Any, ring: SegmentRing) -> tuple[tuple, tuple[int, ...]]:
    """A worker's result as (picklable parts for :func:`decode`, open files to send along)."""
    _, body, views = _take_apart(_BatchPickler, obj)
    if len(body) > INLINE_LIMIT:
        views.append(memoryview(body))
        body = b""
    spans, total = layout(len(view) for view in views)
    if total <= INLINE_LIMIT or not CAN_PASS_FILES:
        inline = np.empty(total, np.uint8)
        fill(inline, views, spans)
        return (body, spans, inline.tobytes(), None, [], False), ()
    number, target, fd, dropped = ring.take(total)
    fill(target, views, spans)
    return (body, spans, None, number, dropped, fd is not None), () if fd is None else (fd,)


def decode(parts: tuple, fds: list[int], table: SegmentTable, lease_limit: int) -> Any:
    """The object of :func:`encode`, its tensors and arrays over the shared segment.

    Where ``lease_limit`` segments are in use already (the program keeps its batches), the data is copied out instead.
    """
    body, spans, inline, number, dropped, is_new = parts
    table.drop(dropped)
    if is_new:
        table.add(number, fds[0])
    if inline is not None:
        data: Any = bytearray(inline)
    else:
        crowded = table.leased >= lease_limit
        data = table.lease(number)
        if crowded:
            used = spans[-1][0] + spans[-1][1]
            data = data[:used].copy()
    views = [memoryview(data)[offset : offset + size] for offset, size in spans]
    if not body:
        body = views.pop()
    return pickle.loads(body, buffers=views)
