"""The bytes behind tensors."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.variable import Tensor, log, make
from ..device import device as Device
from ..device import resolve
from ..graph.log import log_of
from ..graph.node import Storage
from ..graph.spec import spec
from ..ops import creation
from .attach import method, quiet


class UntypedStorage:
    """The bytes behind tensors: ``UntypedStorage(nbytes)`` makes new ones; a tensor's storage gives the same object
    twice.
    """

    _storage: Storage
    device: Device
    _objects: weakref.WeakValueDictionary[int, UntypedStorage] = weakref.WeakValueDictionary()

    def __new__(cls, size: int = 0, *, device: Any = None) -> UntypedStorage:
        where = resolve(device)
        return cls.of(creation.zeros_of((size,), dtypes.uint8, where)._storage, where)

    @classmethod
    def of(cls, storage: Storage, device: Device) -> UntypedStorage:
        """The one object for a tensor's storage."""
        found = cls._objects.get(id(storage))
        if found is None:
            found = object.__new__(cls)
            found._storage = storage
            found.device = device
            cls._objects[id(storage)] = found  # the object keeps the storage alive, so the number is unique
        return found

    def nbytes(self) -> int:
        """Size in bytes."""
        return self._storage.nbytes

    size = nbytes

    def __len__(self) -> int:
        return self._storage.nbytes

    def element_size(self) -> int:
        """One: bytes."""
        return 1

    @property
    def is_cuda(self) -> bool:
        """Whether the bytes are on a GPU."""
        return self.device.kind == "gpu"

    @property
    def type(self) -> str:
        """The class's name as torch has it."""
        return "torch.storage.UntypedStorage"

    def data_ptr(self) -> int:
        """Address, or a number unique to the storage."""
        raw = log_of(self.device).host_view(self._storage.node) if self._storage.size else None
        return raw.ctypes.data if raw is not None else id(self._storage)

    def _bytes(self) -> Tensor:
        """All bytes as a uint8 tensor over the same memory."""
        t = object.__new__(Tensor)
        t._storage = self._storage
        t._spec = spec(self._storage.dtype, self.device, (self._storage.size,))
        return t if self._storage.dtype is dtypes.uint8 else t.view(dtypes.uint8)

    def tolist(self) -> list[int]:
        """The bytes as numbers."""
        return self._bytes().tolist()

    def __iter__(self) -> Iterator[int]:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        got = self._bytes()[index]
        return got.item() if not isinstance(index, slice) else UntypedStorage.of(got.clone()._storage, self.device)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._bytes()[index] = value

    def fill_(self, value: int) -> UntypedStorage:
        """Set every byte."""
        self._bytes().fill_(value)
        return self

    def copy_(self, source: UntypedStorage, non_blocking: bool | None = None) -> UntypedStorage:
        """Take over another storage's content."""
        self._bytes().copy_(source._bytes())
        return self

    def clone(self) -> UntypedStorage:
        """A copy."""
        return UntypedStorage.of(self._bytes().clone()._storage, self.device)

    def cpu(self) -> UntypedStorage:
        """On the CPU."""
        moved = self._bytes().cpu()
        return UntypedStorage.of(moved._storage, moved._spec.device)

    def resize_(self, size: int) -> UntypedStorage:
        """Another number of bytes, keeping the content as far as it goes."""
        width = self._storage.dtype.itemsize
        with quiet():
            grown = creation.zeros_of((-(-size // width),), self._storage.dtype, self.device)
            keep = min(self._storage.size, grown._spec.numel)
            if keep:
                whole = object.__new__(Tensor)
                whole._storage = self._storage
                whole._spec = spec(self._storage.dtype, self.device, (self._storage.size,))
                grown[:keep].copy_(whole[:keep])
        self._storage.put(grown._storage.node)
        return self

    def is_shared(self) -> bool:
        """Whether processes share the memory: never."""
        return False

    def share_memory_(self) -> UntypedStorage:
        """Nothing to do: tensors travel between processes by value."""
        return self

    def pin_memory(self, device: Any = None) -> UntypedStorage:
        """Itself."""
        return self

    def untyped(self) -> UntypedStorage:
        """Itself."""
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntypedStorage) and other._storage is self._storage

    def __hash__(self) -> int:
        return id(self._storage)

    def __reduce__(self) -> tuple:
        flat = log_of(self.device).read(self._storage.node)
        return _rebuild_storage, (flat, self._storage.dtype.name, str(self.device))

    def __deepcopy__(self, memo: dict) -> UntypedStorage:
        return memo.setdefault(id(self), self.clone())

    def __repr__(self) -> str:
        return f"[torch.storage.UntypedStorage(device={self.device}) of size {self.nbytes()}]"


def _rebuild_storage(flat: np.ndarray, dtype: str, device: str) -> UntypedStorage:
    where = resolve(device)
    kind = getattr(dtypes, dtype)
    t = make(log_of(where).from_array(flat, kind), spec(kind, where, (flat.size,)))
    return UntypedStorage.of(t._storage, where)


class TypedStorage:
    """Elements of one dtype behind tensors (torch's older interface)."""

    def __init__(self, untyped: UntypedStorage, dtype: dtypes.dtype) -> None:
        self._untyped = untyped
        self.dtype = dtype

    @property
    def device(self) -> Device:
        """Where the elements are."""
        return self._untyped.device

    @property
    def _storage(self) -> Storage:
        return self._untyped._storage

    def untyped(self) -> UntypedStorage:
        """The bytes."""
        return self._untyped

    def nbytes(self) -> int:
        """Size in bytes."""
        return self._untyped.nbytes()

    def size(self) -> int:
        """Number of elements."""
        return self.nbytes() // self.dtype.itemsize

    def __len__(self) -> int:
        return self.size()

    def element_size(self) -> int:
        """Bytes an element."""
        return self.dtype.itemsize

    def data_ptr(self) -> int:
        """Address of the first element."""
        return self._untyped.data_ptr()

    def _elements(self) -> Tensor:
        return self._untyped._bytes().view(self.dtype)

    def tolist(self) -> list:
        """The elements as numbers."""
        return self._elements().tolist()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        return self._elements()[index].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._elements()[index] = value

    def fill_(self, value: Any) -> TypedStorage:
        """Set every element."""
        self._elements().fill_(value)
        return self

    def clone(self) -> TypedStorage:
        """A copy."""
        return TypedStorage(self._untyped.clone(), self.dtype)

    def resize_(self, size: int) -> TypedStorage:
        """Another number of elements."""
        self._untyped.resize_(size * self.dtype.itemsize)
        return self

    def is_shared(self) -> bool:
        """Whether processes share the memory: never."""
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TypedStorage) and other._untyped == self._untyped and other.dtype is self.dtype

    def __hash__(self) -> int:
        return hash(self._untyped)


@method
def untyped_storage(self: Tensor) -> UntypedStorage:
    """The bytes."""
    return UntypedStorage.of(self._storage, self._spec.device)


@method
def storage(self: Tensor) -> TypedStorage:
    """The elements of the whole storage."""
    return TypedStorage(untyped_storage(self), self._spec.dtype)


Tensor._typed_storage = storage


@method
def storage_type(self: Tensor) -> Any:
    """The class of the storage."""
    return TypedStorage


@method
def realize(self: Tensor) -> Tensor:
    """Compute now what is pending for this tensor (enqueued, not waited for)."""
    log(self).realize(self._storage.node)
    return self
