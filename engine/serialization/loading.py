"""`load`: read what `save` (of this library or of torch) wrote."""

from __future__ import annotations

import io
import os
import pickle
import re
import sys
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import IO, Any

import numpy as np

from engine import dtypes

from . import bridge, names, rebuild, safetensors
from .archive import ArchiveReader, starts_like_zip
from .legacy import load_legacy
from .legacy_tar import load_tar, starts_like_tar
from .locations import MapLocation, Restorer
from .machine import Scanner
from .options import MAP_SHARED, LoadEndianness, options
from .restricted import RestrictedUnpickler, allowed_globals, canonical_name, user_global_names
from .storages import LoadedStorage, StorageType, swap_bytes

_UNSAFE = (
    "In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` from `False` to "
    "`True`. Re-running `torch.load` with `weights_only` set to `False` will likely succeed, but it can result in "
    "arbitrary code execution. Do it only if you got the file from a trusted source."
)
_DOCS = (
    "\n\nCheck the documentation of torch.load to learn more about types accepted by default with weights_only "
    "https://pytorch.org/docs/stable/generated/torch.load.html."
)


class FullUnpickler(pickle.Unpickler):
    """Loads any pickle, and so runs whatever code it names; torch's names stand for this library's."""

    load_storage: Callable[[Any], Any]

    def find_class(self, module: str, name: str) -> Any:
        return rebuild.find_global(module, name) if names.is_torch_name(module) else super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        return self.load_storage(pid)


def unpickler_for(module: ModuleType | None) -> type:
    """The unpickler class for a pickle module: None is the restricted one."""
    if module is None:
        return RestrictedUnpickler
    if module is pickle:
        return FullUnpickler

    class ForeignUnpickler(module.Unpickler):  # type: ignore[name-defined]
        def find_class(self, module: str, name: str) -> Any:
            if names.is_torch_name(module):
                return rebuild.find_global(module, name)
            return super().find_class(module, name)

        def persistent_load(self, pid: Any) -> Any:
            return self.load_storage(pid)

    return ForeignUnpickler


def run_unpickler(
    kind: type, file: IO[bytes], load_storage: Callable[[Any], Any] | None, arguments: dict[str, Any]
) -> Any:
    """Load one pickle from `file`."""
    if kind is RestrictedUnpickler:
        return kind(file, persistent_load=load_storage, encoding=arguments.get("encoding", "utf-8")).load()
    unpickler = kind(file, **arguments)
    if load_storage is not None:
        unpickler.load_storage = load_storage
    return unpickler.load()


def load(
    f: str | os.PathLike | IO[bytes],
    map_location: MapLocation = None,
    pickle_module: ModuleType | None = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Load an object that `save` (of torch or of this library) wrote, in either of the two formats; also .safetensors.

    f: path, or file object with read, seek and tell. map_location: where storages go: a device or its name, a dict of
    locations, or a function of a storage and its location that returns a storage or None; by default where they were.
    weights_only (default True, False if `pickle_module` is given): build nothing but tensors, plain containers and what
    `add_safe_globals` allows; with False the file can run any code. mmap: map the file instead of reading it; needs a
    path. pickle_load_args: for `pickle_module.Unpickler`.

    Raises UnpicklingError for what may not or cannot be loaded, RuntimeError for damaged files, EOFError for files that
    end early.
    """
    if weights_only is None:
        weights_only = pickle_module is None
    if weights_only:
        if pickle_module is not None:
            raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
        if pickle_load_args:
            warnings.warn("pickle_load_args only works if `weights_only=False`.", stacklevel=2)
    else:
        pickle_module = pickle_module or pickle
    pickle_load_args.setdefault("encoding", "utf-8")
    if not isinstance(f, str | os.PathLike):
        _check_seekable(f)
        return _load_open(f, None, map_location, pickle_module, bool(mmap), pickle_load_args)
    path = os.fspath(f)
    if str(path).endswith(".safetensors"):
        return safetensors.load_file(path, device=_safetensors_device(map_location))
    with open(path, "rb") as file:
        return _load_open(file, path, map_location, pickle_module, bool(mmap), pickle_load_args)


def _load_open(
    file: IO[bytes],
    path: str | None,
    map_location: MapLocation,
    pickle_module: ModuleType | None,
    mmap: bool,
    arguments: dict[str, Any],
) -> Any:
    kind = unpickler_for(pickle_module)
    try:
        if starts_like_zip(file):
            archive = ArchiveReader(file)
            if mmap and path is None:
                raise ValueError("f must be a file path in order to use the mmap argument")
            return _load_archive(archive, map_location, kind, path if mmap else None, arguments)
        if mmap:
            shown = "" if path is None else f"{path}, "
            raise RuntimeError(
                f"mmap can only be used with files saved with `torch.save({shown}_use_new_zipfile_serialization=True), "
                "please torch.save your checkpoint with this option in order to use mmap."
            )
        if starts_like_tar(file):
            if kind is RestrictedUnpickler:
                raise RuntimeError(
                    f"Cannot use ``weights_only=True`` with files saved in the legacy .tar format. {_UNSAFE}"
                )
            return load_tar(file, map_location, lambda f, s: run_unpickler(kind, f, s, arguments))
        return load_legacy(file, map_location, lambda f, s: run_unpickler(kind, f, s, arguments), arguments)
    except pickle.UnpicklingError as error:
        if kind is RestrictedUnpickler:
            raise pickle.UnpicklingError(_explain(str(error))) from error.__cause__
        raise


def _load_archive(
    archive: ArchiveReader, map_location: MapLocation, kind: type, mapped_path: str | None, arguments: dict[str, Any]
) -> Any:
    if "constants.pkl" in archive:
        raise RuntimeError(
            "The file is a TorchScript archive, which torch.jit wrote; only files of torch.save are read"
        )
    if "version" not in archive:
        raise RuntimeError("PytorchStreamReader failed locating file version: the archive is not one of torch.save")
    pickled = archive.read("data.pkl")
    storages = ArchiveStorages(archive, map_location, mapped_path)
    return run_unpickler(kind, io.BytesIO(pickled), storages.load, arguments)


class ArchiveStorages:
    """Loads the storages that a pickle refers to from the records of an archive, each once."""

    def __init__(self, archive: ArchiveReader, map_location: MapLocation, mapped_path: str | None) -> None:
        self._archive = archive
        self._restore = Restorer(map_location)
        self._loaded: dict[str, LoadedStorage] = {}
        self._swap = _byte_order(archive) != sys.byteorder
        self._mapped = None
        if mapped_path is not None:
            mode = "r+" if options.mmap_flags == MAP_SHARED else "c"
            self._mapped = np.memmap(mapped_path, dtype=np.uint8, mode=mode).view(np.ndarray)

    def load(self, pid: Any) -> LoadedStorage:
        """The storage of a persistent id ("storage", type, key, location, number of elements)."""
        if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] not in ("storage", b"storage"):
            raise pickle.UnpicklingError(f"Unknown persistent id {pid!r:.100}, expected that of a storage")
        _, kind, key, location, count = pid
        if isinstance(location, bytes):
            location = location.decode("ascii")
        valid = isinstance(kind, StorageType) and type(key) is str and type(location) is str and type(count) is int
        if not valid or count < 0:
            raise pickle.UnpicklingError(f"Malformed persistent id of a storage: {pid!r:.200}")
        if key not in self._loaded:
            self._loaded[key] = self._read(kind.dtype, key, location, count * kind.dtype.itemsize)
        storage = self._loaded[key]
        if storage.dtype is not kind.dtype:
            raise pickle.UnpicklingError(f"The storage {key} is used both as {storage.dtype} and as {kind.dtype}")
        return storage

    def _read(self, dtype: dtypes.dtype, key: str, location: str, nbytes: int) -> LoadedStorage:
        record = f"data/{key}"
        size = self._archive.size(record)
        if not 0 <= size - nbytes < dtype.itemsize:
            raise RuntimeError(
                f"record size ({size} bytes) does not match expected size ({nbytes} bytes = "
                f"{nbytes // dtype.itemsize} elements * {dtype.itemsize} bytes/element) for dtype {dtype.scalar_name}"
            )
        if self._restore.meta:
            return LoadedStorage(None, dtype, "meta", nbytes)
        offset = None if self._mapped is None else self._archive.offset(record)
        if offset is None:
            data, owner = bridge.empty_host(size, self._restore.expected(location))
            self._archive.read_into(record, data)
        else:
            data, owner = self._mapped[offset : offset + size], None
        if self._swap:
            data, owner = swap_bytes(data, dtype), None
        storage = LoadedStorage(data, dtype, owner=owner, mapped=offset is not None and not self._swap)
        return self._restore(storage, location)


def _byte_order(archive: ArchiveReader) -> str:
    if "byteorder" in archive:
        order = archive.read("byteorder").decode("ascii", "replace")
        if order not in ("little", "big"):
            raise ValueError(f"Unknown endianness type: {order}")
        return order
    wanted = options.load_endianness
    if wanted is LoadEndianness.NATIVE:
        return sys.byteorder
    return "big" if wanted is LoadEndianness.BIG else "little"


def _check_seekable(f: Any) -> None:
    try:
        f.seek(f.tell())
    except (io.UnsupportedOperation, AttributeError) as error:
        raise type(error)(
            f"{error}. You can only torch.load from a file that is seekable. Please pre-load the data into a buffer "
            "like io.BytesIO and try to load from it instead."
        ) from None


def _safetensors_device(map_location: MapLocation) -> str:
    """The one device for all tensors of a .safetensors file, which has no locations that could be mapped."""
    kind = "dict" if isinstance(map_location, dict) else "callable" if callable(map_location) else None
    if kind is not None:
        raise RuntimeError(
            f"Loading safetensors file with {kind} map_location is not supported. Use a device string or torch.device "
            "instead."
        )
    if map_location is None:
        return "cpu"
    return map_location.decode("ascii") if isinstance(map_location, bytes) else str(map_location)


def _explain(message: str) -> str:
    """What to do about a file that may not be loaded."""
    if re.search(r"GLOBAL (\S+) was not an allowed global by default.", message):
        return (
            "Weights only load failed. This file can still be loaded, to do so you have two options, "
            "\033[1mdo those steps only if you trust the source of the checkpoint\033[0m. "
            f"\n\t(1) {_UNSAFE}\n\t(2) Alternatively, to load with `weights_only=True` please check "
            f"the recommended steps in the following error message.\n\tWeightsUnpickler error: {message}{_DOCS}"
        )
    hint = "" if re.search(r"whose module (\S+) is blocked", message) else "WeightsUnpickler error: "
    return f"Weights only load failed. {_UNSAFE}\n{hint}\n\n{message}{_DOCS}"


def get_unsafe_globals_in_checkpoint(f: str | os.PathLike | IO[bytes]) -> list[str]:
    """Full names of the classes and functions in a zip-format file that `load(weights_only=True)` would refuse.

    Nothing is loaded. ValueError if the file is not one that `save` wrote in the zip format.
    """
    if isinstance(f, str | os.PathLike):
        with open(f, "rb") as file:
            return get_unsafe_globals_in_checkpoint(file)
    if not starts_like_zip(f):
        raise ValueError("Expected input to be a checkpoint returned by torch.save")
    archive = ArchiveReader(f)
    if "constants.pkl" in archive:
        raise ValueError("Expected input to be a checkpoint returned by torch.save but got a torchscript checkpoint")
    scanner = Scanner(io.BytesIO(archive.read("data.pkl")))
    scanner.load()
    known = allowed_globals().keys() | user_global_names()
    found = {full: canonical_name(*full.rpartition(".")[::2]) for full in scanner.globals}
    return [full for full, canonical in found.items() if full not in known and canonical not in known]
