"""The format before zip archives: five pickles one after the other, then the raw storages.

magic number, protocol version, system information, the object, the keys of the storages; then for each key its number
of elements (int64, little endian) and its elements.
"""

from __future__ import annotations

import os
import pickle
import struct
import sys
from collections.abc import Callable
from types import ModuleType
from typing import IO, Any

from engine import dtypes

from . import bridge
from .archive import read_exactly
from .locations import MapLocation, Restorer
from .machine import Scanner, Unknown
from .pickler import StorageTable, dump
from .storages import STORAGE_GLOBALS, LoadedStorage, StorageType, swap_bytes

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
_SYSTEM = {"protocol_version": PROTOCOL_VERSION, "type_sizes": {"short": 2, "int": 4, "long": 4}}
_KEYS = (str, bytes, int)
_COUNT = struct.Struct("<q")
_LARGE = (
    1 << 26
)  # storages above this are first compared with the size of the file, which takes time in compressed files

Unpickle = Callable[[IO[bytes], Callable[[Any], Any] | None], Any]


def load_legacy(
    file: IO[bytes],
    map_location: MapLocation,
    unpickle: Unpickle,
    arguments: dict[str, Any],
) -> Any:
    """Load from the current position, and leave the file behind the end of the last storage.

    The pickle of the object comes before the storages that it needs: it is gone through once without creating anything,
    to learn their types, and loaded when they are there. `unpickle(file, load_storage)` loads one pickle.
    Raises RuntimeError for files of another format or damaged ones, EOFError for ones that end early.
    """
    if unpickle(file, None) != MAGIC_NUMBER:
        raise RuntimeError("Invalid magic number; corrupt file?")
    version = unpickle(file, None)
    if version != PROTOCOL_VERSION:
        raise RuntimeError(f"Invalid protocol version: {version}")
    system = unpickle(file, None)
    little = system.get("little_endian", True) if isinstance(system, dict) else True
    start = file.tell()
    scanner = Scanner(file, arguments.get("encoding", "utf-8"))
    scanner.load()
    sizes = _storage_sizes(scanner.persistent_ids)
    keys = unpickle(file, None)
    if type(keys) is not list:
        raise RuntimeError("Invalid list of storages; corrupt file?")
    restore = Restorer(map_location)
    storages = {key: _read_storage(file, key, sizes, little, restore) for key in keys}
    end = file.tell()
    file.seek(start)
    result = unpickle(file, _LegacyStorages(storages, restore).load)
    file.seek(end)
    return result


def _storage_sizes(persistent_ids: list[Any]) -> dict[Any, tuple[dtypes.dtype, int, str]]:
    """Dtype, number of elements and location of each storage key."""
    sizes: dict[Any, tuple[dtypes.dtype, int, str]] = {}
    for pid in persistent_ids:
        if type(pid) is not tuple or len(pid) != 6 or type(pid[1]) is not Unknown:
            continue
        kind = STORAGE_GLOBALS.get(pid[1].name or "")
        if kind is None or type(pid[4]) is not int or pid[4] < 0 or not isinstance(pid[2], _KEYS):
            raise pickle.UnpicklingError(f"Malformed persistent id of a storage: {pid!r:.200}")
        sizes.setdefault(pid[2], (kind.dtype, pid[4], _text(pid[3])))
    return sizes


def _text(value: Any) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)


def _read_storage(
    file: IO[bytes],
    key: Any,
    sizes: dict[Any, tuple[dtypes.dtype, int, str]],
    little: bool,
    restore: Restorer,
) -> LoadedStorage:
    head = file.read(_COUNT.size)
    if len(head) != _COUNT.size:
        raise RuntimeError(f"unexpected EOF before storage {key!r}. The file might be corrupted.")
    if key not in sizes:
        raise RuntimeError(f"storage {key!r} belongs to no tensor; corrupt file?")
    dtype, expected, location = sizes[key]
    (count,) = _COUNT.unpack(head)
    nbytes = expected * dtype.itemsize
    if count != expected:
        raise RuntimeError(
            f"storage has wrong byte size: expected {nbytes} got {count * dtype.itemsize}. The file might be corrupted."
        )
    if nbytes > _LARGE:
        at = file.tell()
        left = file.seek(0, os.SEEK_END) - at
        file.seek(at)
        if left < nbytes:
            raise RuntimeError(f"unexpected EOF, expected {nbytes - left} more bytes. The file might be corrupted.")
    data, owner = bridge.empty_host(nbytes, restore.expected(location))
    read_exactly(file, data, f"storage {key!r}")
    if not little:
        data, owner = swap_bytes(data, dtype), None
    return LoadedStorage(data, dtype, owner=owner)


class _LegacyStorages:
    """Answers persistent ids with the storages already read."""

    def __init__(self, storages: dict[Any, LoadedStorage], restore: Restorer) -> None:
        self._storages = storages
        self._restore = restore
        self._roots: dict[Any, LoadedStorage] = {}

    def load(self, pid: Any) -> Any:
        if not isinstance(pid, tuple) or not pid:
            raise pickle.UnpicklingError(f"Unknown persistent id {pid!r:.100}")
        name = _text(pid[0])
        if name == "module" and len(pid) > 1:
            return pid[1]
        if name != "storage" or len(pid) != 6 or not isinstance(pid[1], StorageType) or not isinstance(pid[2], _KEYS):
            raise pickle.UnpicklingError(f"Unknown saved id type: {name!r:.100}")
        _, kind, key, location, _, view = pid
        if key not in self._roots:
            if key not in self._storages:
                raise RuntimeError(f"storage {key!r} is not in the file")
            self._roots[key] = self._restore(self._storages.pop(key), _text(location))
        root = self._roots[key]
        if view is None:
            return root
        _, offset, count = view
        return root.view(offset * kind.dtype.itemsize, count * kind.dtype.itemsize)


def save_legacy(obj: Any, file: IO[bytes], module: ModuleType, protocol: int) -> None:
    """Write `obj` in the older format."""
    system = {**_SYSTEM, "little_endian": sys.byteorder == "little"}
    for head in (MAGIC_NUMBER, PROTOCOL_VERSION, system):
        module.dump(head, file, protocol=protocol)
    table = StorageTable(legacy=True)
    dump(obj, file, table, module, protocol)
    keys = sorted(table.contents)
    module.dump(keys, file, protocol=protocol)
    for key in keys:
        storage = table.contents.pop(key)
        file.write(_COUNT.pack(storage.nbytes // table.item_size(key)))
        if storage.nbytes:
            file.write(storage.read())
