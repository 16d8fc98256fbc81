"""The oldest format (torch 0.1): a tar file of storages, tensors and the pickle that refers to them. Read only.

storages: their number, then for each a pickled (key, location, type), the number of elements and the elements; at last
the pickled list of views (key, key of the whole, offset, number of elements).
tensors: their number, then for each a pickled (key, key of the storage, type), the number of dimensions, sizes, strides
and offset. Numbers are pickled, the rest is little endian.
"""

from __future__ import annotations

import pickle
import struct
import tarfile
from collections.abc import Callable
from typing import IO, Any

from . import bridge
from .archive import read_exactly
from .locations import MapLocation, Restorer
from .rebuild import tensor_from_storage
from .storages import LoadedStorage, StorageType

_MAGIC = b"ustar"
_MAGIC_AT = 257

Unpickle = Callable[[IO[bytes], Callable[[Any], Any] | None], Any]


def starts_like_tar(file: IO[bytes]) -> bool:
    """Whether a tar file starts at the current position, which stays as it is."""
    start = file.tell()
    head = file.read(_MAGIC_AT + len(_MAGIC))
    file.seek(start)
    return head[_MAGIC_AT:] == _MAGIC


def load_tar(file: IO[bytes], map_location: MapLocation, unpickle: Unpickle) -> Any:
    """Load from the current position. `unpickle(file, persistent_load)` loads one pickle.

    Raises RuntimeError for damaged files.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            objects = _read_storages(_member(tar, "storages"), map_location, unpickle)
            objects |= _read_tensors(_member(tar, "tensors"), objects, unpickle)

            def find(saved: Any) -> Any:
                return saved[0] if isinstance(saved, tuple) else objects[int(saved)]

            return unpickle(_member(tar, "pickle"), find)
    except (tarfile.TarError, struct.error, KeyError, TypeError, ValueError) as error:
        raise RuntimeError(f"The file might be corrupted: {type(error).__name__}: {error}") from error


def _member(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    member = tar.extractfile(name)
    if member is None:
        raise RuntimeError(f"{name!r} in the file is not a file. The file might be corrupted.")
    return member


def _numbers(file: IO[bytes], form: str) -> tuple[int, ...]:
    form = "<" + form
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _count(file: IO[bytes], unpickle: Unpickle) -> int:
    count = unpickle(file, None)
    if type(count) is not int or count < 0:
        raise RuntimeError("The file might be corrupted: expected a number of objects")
    return count


def _read_storages(file: IO[bytes], map_location: MapLocation, unpickle: Unpickle) -> dict[int, Any]:
    restore = Restorer(map_location)
    storages: dict[int, LoadedStorage] = {}
    for _ in range(_count(file, unpickle)):
        key, location, kind = unpickle(file, None)
        if not isinstance(kind, StorageType):
            raise pickle.UnpicklingError(f"expected a storage type, but got {kind!r:.100}")
        (count,) = _numbers(file, "q")
        size = count * kind.dtype.itemsize
        at = file.tell()
        if not 0 <= size <= file.seek(0, 2) - at:
            raise RuntimeError(f"storage of {size} bytes is not in the file. The file might be corrupted.")
        file.seek(at)
        data, owner = bridge.empty_host(size, restore.expected(location))
        read_exactly(file, data, f"storage {key}")
        storages[key] = restore(LoadedStorage(data, kind.dtype, owner=owner), location)
    for key, whole, offset, count in unpickle(file, None):
        root = storages[whole]
        storages[key] = root.view(offset * root.dtype.itemsize, count * root.dtype.itemsize)
    return storages


def _read_tensors(file: IO[bytes], storages: dict[int, Any], unpickle: Unpickle) -> dict[int, Any]:
    tensors = {}
    for _ in range(_count(file, unpickle)):
        key, storage, _ = unpickle(file, None)
        (ndim,) = _numbers(file, "i4x")
        size, stride = _numbers(file, f"{ndim}q"), _numbers(file, f"{ndim}q")
        (offset,) = _numbers(file, "q")
        tensors[key] = tensor_from_storage(storages[storage], offset, size, stride)
    return tensors
