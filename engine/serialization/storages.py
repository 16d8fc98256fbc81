"""Storages as files name them, and a loaded storage before it becomes part of a tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from engine import dtypes

# these are written as bytes, and the tensor's record carries the dtype
UNTYPED_DTYPES = frozenset((dtypes.complex32, dtypes.uint16, dtypes.uint32, dtypes.uint64))

_NAMES = {f"{d.scalar_name}Storage": d for d in dtypes.ALL if d not in UNTYPED_DTYPES}
_UNTYPED_NAMES = ("UntypedStorage", "TypedStorage", "_UntypedStorage")


class StorageType:
    """Stands for `torch.FloatStorage` and its like: a dtype and whether elements are bytes of an unknown dtype."""

    __slots__ = ("dtype", "name", "untyped")

    def __init__(self, name: str) -> None:
        self.name = name
        self.untyped = name in _UNTYPED_NAMES
        if not self.untyped and name not in _NAMES:
            raise KeyError(name)
        self.dtype = dtypes.uint8 if self.untyped else _NAMES[name]

    def __repr__(self) -> str:
        return f"StorageType(dtype={self.dtype})"


STORAGE_TYPES: dict[str, StorageType] = {name: StorageType(name) for name in (*_NAMES, *_UNTYPED_NAMES)}
"""By class name: "FloatStorage", "BFloat16Storage", "UntypedStorage", ..."""

STORAGE_GLOBALS: dict[str, StorageType] = {
    f"{module}.{name}": kind
    for name, kind in STORAGE_TYPES.items()
    for module in ("torch", "torch.storage", "torch.cuda")
}
"""By full name, as files name them."""


class LoadedStorage:
    """Bytes read from a file and the place they shall go to; what a callable `map_location` receives.

    data: uint8 array; None with location "meta". dtype: that of the elements, uint8 for untyped storages.
    location: "cpu", "cuda:0", ... A view into another storage has `root` and a byte offset into it.
    owner: the device buffer whose memory `data` is, if it is one. mapped: `data` is the file itself.
    """

    __slots__ = ("_made", "_nbytes", "_root", "data", "dtype", "location", "mapped", "offset", "owner")

    def __init__(
        self,
        data: np.ndarray | None,
        dtype: dtypes.dtype,
        location: str = "cpu",
        nbytes: int | None = None,
        *,
        owner: Any = None,
        mapped: bool = False,
    ) -> None:
        self.data = data
        self.dtype = dtype
        self.location = location
        self._nbytes = data.nbytes if data is not None else int(nbytes or 0)
        self._root: LoadedStorage | None = None  # not itself: a cycle would hold the memory until the next collection
        self.offset = 0
        self.owner = owner
        self.mapped = mapped
        self._made: Any = None

    def view(self, offset: int, nbytes: int) -> LoadedStorage:
        """A part of this storage, in bytes. RuntimeError if it is not inside."""
        if offset < 0 or nbytes < 0 or offset + nbytes > self._nbytes:
            raise RuntimeError(f"storage view of {nbytes} bytes at {offset} is outside of {self._nbytes} bytes")
        part = LoadedStorage(
            None if self.data is None else self.data[offset : offset + nbytes], self.dtype, self.location, nbytes
        )
        part._root, part.offset = self.root, self.offset + offset
        return part

    def made(self, make: Callable[[LoadedStorage], Any]) -> Any:
        """`make(root)`, made once: what all tensors over this storage share."""
        root = self.root
        if root._made is None:
            root._made = make(root)
        return root._made

    @property
    def root(self) -> LoadedStorage:
        """The storage that this is a view of, or itself."""
        return self if self._root is None else self._root

    @property
    def device(self) -> str:
        """The location."""
        return self.location

    @property
    def is_cuda(self) -> bool:
        """Whether the location is a GPU."""
        return self.location.startswith("cuda")

    def nbytes(self) -> int:
        """Size in bytes."""
        return self._nbytes

    def size(self) -> int:
        """Number of elements."""
        return self._nbytes // self.dtype.itemsize

    def __len__(self) -> int:
        return self.size()

    def element_size(self) -> int:
        """Bytes of an element."""
        return self.dtype.itemsize

    def tolist(self) -> list:
        """The elements as Python numbers."""
        return dtypes.from_storage(
            self.data[: self.size() * self.dtype.itemsize].view(self.dtype.numpy), self.dtype
        ).tolist()

    def to(self, device: Any) -> LoadedStorage:
        """The same data with another place to go to."""
        return LoadedStorage(self.data, self.dtype, str(device), self._nbytes, owner=self.owner, mapped=self.mapped)

    def cpu(self) -> LoadedStorage:
        """The same data, to go to the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> LoadedStorage:
        """The same data, to go to a GPU; the current one if none is named."""
        if device is None:
            return self.to("cuda")
        return self.to(f"cuda:{device}" if isinstance(device, int) else device)

    def __repr__(self) -> str:
        return f"LoadedStorage(dtype={self.dtype}, nbytes={self._nbytes}, location={self.location!r})"


def swap_bytes(data: np.ndarray, dtype: dtypes.dtype) -> np.ndarray:
    """The bytes with each number's order reversed; complex numbers are two."""
    size = dtype.itemsize // 2 if dtype.is_complex else dtype.itemsize
    return data if size == 1 else data.view(f"u{size}").byteswap().view(np.uint8)
