"""`save`: write an object so that `load`, and torch's, read it."""

from __future__ import annotations

import io
import os
import pickle
import sys
from types import ModuleType
from typing import IO, Any

from .archive import ALIGNMENT, ArchiveWriter, folder_for
from .files import replacing
from .legacy import save_legacy
from .options import options
from .pickler import PROTOCOL, StorageTable, dump


def save(
    obj: Any,
    f: str | os.PathLike | IO[bytes],
    pickle_module: ModuleType = pickle,
    pickle_protocol: int = PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Save an object: tensors, modules, state dicts, and whatever else can be pickled.

    f: path, or file object with write. A file is written beside the path and then takes its place, so that a file that
    was there before stays whole until the new one is. Tensors that share a storage share it when loaded.
    _use_new_zipfile_serialization: False writes the format of torch before 1.6.

    Raises AttributeError if `f` is neither, RuntimeError if the folder does not exist.
    """
    how = (pickle_module, pickle_protocol, _use_new_zipfile_serialization, not _disable_byteorder_record)
    if isinstance(f, str | os.PathLike):
        path = os.fspath(f)
        with replacing(path) as file:
            _write(obj, file, path, *how)
        return
    if not hasattr(f, "write"):
        raise AttributeError("expected 'f' to be string, path, or a file-like object with a 'write' attribute")
    _write(obj, f, None, *how)


def _write(
    obj: Any, file: IO[bytes], path: str | None, module: ModuleType, protocol: int, as_zip: bool, byte_order: bool
) -> None:
    if not as_zip:
        save_legacy(obj, file, module, protocol)
        return
    table = StorageTable()
    pickled = io.BytesIO()
    dump(obj, pickled, table, module, protocol)
    writer = ArchiveWriter(file, folder_for(path), options.compute_crc32)
    writer.write("data.pkl", pickled.getbuffer())
    writer.write(".format_version", b"1")
    writer.write(".storage_alignment", str(ALIGNMENT).encode())
    if byte_order:
        writer.write("byteorder", sys.byteorder.encode())
    for key in list(table.contents):
        storage = table.contents.pop(key)  # its copy on the host is dropped as soon as it is written
        writer.write(f"data/{key}", storage.read() if storage.nbytes else b"")
    writer.write("version", b"3\n")
    writer.write(".data/serialization_id", writer.identity().encode())
    writer.close()
