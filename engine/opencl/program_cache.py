"""The disk cache of compiled programs.

PoCL compiles a kernel at its first launch with each local size, into a folder of its own; asking it for a program's
binary would compile every kernel once more for an unknown local size (60 to 400 ms each) and the answer never grows. So
for PoCL an entry of this cache holds the files of that folder, and loading puts them back and builds from source,
which then compiles nothing. For other implementations an entry holds the binary.

An entry is one file: a line of JSON with sizes and checksums, then the data. It is written to a temporary name and
moved
into place, so parallel processes see it whole or not at all, and it is checked when read: what is damaged is ignored.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyopencl as cl
from pyopencl import _cl

from engine.settings import settings

from .platforms import Capabilities

if TYPE_CHECKING:
    from .program import Program

FORMAT = 1
_MAGIC = b"engine-opencl-program\n"
_BINARY = "binary"
_HEADER = "needs-header"


def digest(*parts: str) -> str:
    """Hex SHA-256 of texts, unambiguous in where one ends."""
    found = hashlib.sha256()
    for part in parts:
        data = part.encode()
        found.update(len(data).to_bytes(8, "little"))
        found.update(data)
    return found.hexdigest()


@dataclass
class Entry:
    """A checked entry: PoCL's folder (relative) and its files, or one file called ``binary``."""

    folder: str | None
    files: dict[str, bytes]


class DiskCache:
    """Entries of one device; every failure to read or write is survived."""

    def __init__(self, caps: Capabilities, scratch: str) -> None:
        self.identity = "\0".join(
            (caps.name, caps.vendor, caps.driver_version, caps.platform, caps.platform_version, str(FORMAT))
        )
        self._pocl = caps.is_pocl
        self._scratch = Path(scratch)
        self._warned = False
        self._binaries = True
        self._header: dict[str, bool] = {}

    def _path(self, key: str) -> Path:
        return settings.cache_path("programs", key[:2], key[2:])

    # -- reading

    def load(self, key: str) -> Entry | None:
        """The entry of a key, or None when it is absent, damaged or foreign."""
        if not settings.cache:
            return None
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        entry = _decode(data, key)
        if entry is not None:
            try:
                os.utime(path)  # trim() drops the least recently used
            except OSError:
                pass
        return entry

    def needs_header(self, key: str) -> bool:
        """Whether a program is known not to build without the compiler's header."""
        if key not in self._header:
            entry = self.load(key)
            self._header[key] = entry is not None and _HEADER in entry.files
        return self._header[key]

    def mark_needs_header(self, key: str) -> None:
        """Remember, also on disk, that a program needs the compiler's header."""
        self._header[key] = True
        self._write(key, Entry(None, {_HEADER: b""}))

    def revive(
        self, entry: Entry, context: cl.Context, device: cl.Device, text: str, options: str
    ) -> _cl._Program | None:
        """A built program from an entry; None when the driver does not take it."""
        try:
            if self._pocl:
                self._restore(entry)
                handle = _cl._Program(context, text)
            else:
                handle = _cl._Program(context, [device], [entry.files[_BINARY]])
            handle._build(options.encode(), [device])
        except (cl.Error, OSError, KeyError):
            return None
        return handle

    def _restore(self, entry: Entry) -> None:
        root = self._scratch / (entry.folder or "")
        if root.exists():
            return
        for name, data in entry.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    # -- finding what PoCL compiled

    def snapshot(self) -> set[str]:
        """PoCL's program folders, before a build."""
        if not self._pocl:
            return set()
        found = set()
        try:
            for top in os.scandir(self._scratch):
                if top.is_dir() and len(top.name) == 2:
                    found.update(f"{top.name}/{entry.name}" for entry in os.scandir(top.path))
        except OSError:
            return set()
        return found

    def new_folder(self, before: set[str]) -> str | None:
        """The folder a build made, when it is exactly one."""
        if not self._pocl:
            return None
        new = self.snapshot() - before
        return new.pop() if len(new) == 1 else None

    # -- writing

    def store(self, program: Program) -> bool:
        """Write what the cache lacks of a program. True when something was written."""
        if not settings.cache:
            return False
        if self._pocl and (program.folder is None or self._list_folder(program.folder) <= program.stored):
            return False
        files = self._collect(program)
        if not files or frozenset(files) <= program.stored:
            return False
        if not self._write(program.key, Entry(program.folder, files)):
            return False
        program.stored = frozenset(files)
        return True

    def _write(self, key: str, entry: Entry) -> bool:
        if not settings.cache:
            return False
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_encode(entry, key))
                os.replace(temporary, path)
            except OSError:
                Path(temporary).unlink(missing_ok=True)
                raise
        except OSError as error:
            self._warn(error)
            return False
        return True

    def _collect(self, program: Program) -> dict[str, bytes]:
        if self._pocl:
            return self._read_folder(program.folder or "")
        if program.stored or not self._binaries:
            return {}
        try:
            return {_BINARY: program.handle.get_info(cl.program_info.BINARIES)[0]}
        except cl.Error:
            self._binaries = False  # an implementation without binaries
            return {}

    def _list_folder(self, folder: str) -> frozenset[str]:
        root = self._scratch / folder
        found = []
        for place, _, names in os.walk(root):
            relative = os.path.relpath(place, root)
            found.extend(
                name if relative == "." else f"{relative}/{name}" for name in names if name.endswith((".bc", ".so"))
            )
        return frozenset(found)

    def _read_folder(self, folder: str) -> dict[str, bytes]:
        try:
            return {name: (self._scratch / folder / name).read_bytes() for name in sorted(self._list_folder(folder))}
        except OSError:
            return {}

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            where = settings.cache_path()
            warnings.warn(
                f"compiled programs cannot be kept on disk in {where} ({error.strerror}); set ENGINE_CACHE_DIR to a "
                f"folder that can be written",
                RuntimeWarning,
                stacklevel=2,
            )

    def trim(self) -> None:
        """Drop the least recently used entries while all together pass ``settings.cache_limit``."""
        found = []
        try:
            for path in settings.cache_path("programs").glob("??/*"):
                info = path.stat()
                found.append((info.st_mtime, info.st_size, path))
        except OSError:
            return
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found, key=lambda item: item[0]):
            if total <= (settings.cache_limit or 0):
                break
            path.unlink(missing_ok=True)
            total -= size


def _encode(entry: Entry, key: str) -> bytes:
    body = b"".join(entry.files.values())
    header = {
        "format": FORMAT,
        "key": key,
        "folder": entry.folder,
        "files": [[name, len(data)] for name, data in entry.files.items()],
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return _MAGIC + json.dumps(header).encode() + b"\n" + body


def _decode(data: bytes, key: str) -> Entry | None:
    if not data.startswith(_MAGIC):
        return None
    head, _, body = data[len(_MAGIC) :].partition(b"\n")
    try:
        header = json.loads(head)
        files = {}
        at = 0
        for name, size in header["files"]:
            if ".." in Path(name).parts or Path(name).is_absolute():
                return None
            files[name] = body[at : at + size]
            at += size
        sound = (
            header["format"] == FORMAT
            and header["key"] == key
            and at == len(body)
            and header["sha256"] == hashlib.sha256(body).hexdigest()
        )
    except (ValueError, KeyError, TypeError):
        return None
    return Entry(header["folder"], files) if sound else None
