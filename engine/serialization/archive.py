"""The zip container of .pt/.pth files: records under one folder, stored without compression, data aligned to 64 bytes.

Format: PKWARE APPNOTE 6.3 (zip), with the record names and the padding of torch's writer, so that either library reads
what the other wrote, by copy or by memory mapping.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

import numpy as np

ALIGNMENT = 64
LOCAL_MAGIC = b"PK\x03\x04"
_U32 = 0xFFFFFFFF
_FLAGS = 0x0808  # sizes follow the data; names are UTF-8
_CHUNK = 1 << 24

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")


class ArchiveError(RuntimeError):
    """The file is no readable archive."""


def _damaged(what: str) -> ArchiveError:
    return ArchiveError(
        f"PytorchStreamReader failed {what}. There is a high likelihood that the checkpoint file is corrupted, for "
        "example because it was not written or copied to its end."
    )


def starts_like_zip(file: IO[bytes]) -> bool:
    """Whether a zip file starts at the current position, which stays as it is."""
    start = file.tell()
    head = file.read(len(LOCAL_MAGIC))
    file.seek(start)
    return head == LOCAL_MAGIC


@dataclass(slots=True)
class _Entry:
    header: int
    name: str
    size: int
    stored: bool


class ArchiveReader:
    """Reads the records of an archive from an open, seekable binary file.

    Raises ArchiveError (a RuntimeError) for whatever is damaged: no central directory, names outside the archive's one
    folder, overlapping ends, missing records. Nothing is ever unpacked to disk.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._end = file.seek(0, os.SEEK_END)
        try:
            self._zip = zipfile.ZipFile(file)
        except (
            zipfile.BadZipFile,
            struct.error,
            UnicodeDecodeError,
            NotImplementedError,
            ValueError,
            OSError,
        ) as error:
            raise _damaged(f"reading zip archive: failed finding central directory ({error})") from error
        entries = self._zip.infolist()
        if not entries:
            raise _damaged("reading zip archive: no records")
        self.folder = entries[0].filename.partition("/")[0]
        self._entries: dict[str, _Entry] = {}
        for info in entries:
            record = self._record_name(info.filename)
            if record in self._entries:
                raise _damaged(f"reading zip archive: record {info.filename!r} is there twice")
            stored = info.compress_type == zipfile.ZIP_STORED
            if info.header_offset < 0 or info.header_offset + info.compress_size > self._end:
                raise _damaged(f"reading zip archive: record {info.filename!r} ends behind the end of the file")
            if info.flag_bits & 1 or (stored and info.compress_size != info.file_size):
                raise _damaged(f"reading zip archive: record {info.filename!r} has a damaged header")
            self._entries[record] = _Entry(info.header_offset, info.filename, info.file_size, stored)

    def _record_name(self, name: str) -> str:
        folder, slash, record = name.partition("/")
        parts = PurePosixPath(record.replace("\\", "/")).parts
        if not slash or folder != self.folder or folder in ("", ".", "..") or ".." in parts or record.startswith("/"):
            raise ArchiveError(f"file in archive is not in a subdirectory {self.folder}/: {name}")
        return record

    def __contains__(self, record: str) -> bool:
        return record in self._entries

    def records(self) -> list[str]:
        """Names of all records, without the folder."""
        return list(self._entries)

    def _entry(self, record: str) -> _Entry:
        entry = self._entries.get(record)
        if entry is None:
            raise _damaged(f"locating file {record}: file not found")
        return entry

    def size(self, record: str) -> int:
        """Bytes of a record."""
        return self._entry(record).size

    def offset(self, record: str) -> int | None:
        """Where the bytes of a record start in the file; None if it is compressed."""
        entry = self._entry(record)
        if not entry.stored:
            return None
        self._file.seek(entry.header)
        head = self._file.read(_LOCAL.size)
        if len(head) < _LOCAL.size or head[:4] != LOCAL_MAGIC:
            raise _damaged(f"reading file {record}: no header where the directory says")
        *_, name_size, extra_size = _LOCAL.unpack(head)
        start = entry.header + _LOCAL.size + name_size + extra_size
        if start + entry.size > self._end:
            raise _damaged(f"reading file {record}: it ends behind the end of the file")
        return start

    def read(self, record: str) -> bytes:
        """The whole record, its checksum verified."""
        entry = self._entry(record)
        if entry.stored:
            self._file.seek(self.offset(record))
            data = self._file.read(entry.size)
            if len(data) != entry.size:
                raise _damaged(f"reading file {record}: unexpected end of file")
            crc = self._zip.getinfo(entry.name).CRC
            if crc and zlib.crc32(data) != crc:
                raise _damaged(f"reading file {record}: wrong checksum")
            return data
        with self._inflating(record):
            return self._zip.read(entry.name)

    def read_into(self, record: str, target: np.ndarray) -> None:
        """Read a record into a contiguous uint8 array of exactly its size, without another copy of stored records."""
        entry = self._entry(record)
        if target.nbytes != entry.size:
            raise _damaged(f"reading file {record}: it has {entry.size} bytes, expected {target.nbytes}")
        if not entry.size:
            return
        if entry.stored:
            self._file.seek(self.offset(record))
            read_exactly(self._file, target, record)
            return
        with self._inflating(record), self._zip.open(entry.name) as stream:
            read_exactly(stream, target, record)

    @contextlib.contextmanager
    def _inflating(self, record: str) -> Iterator[None]:
        try:
            yield
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError) as error:
            raise _damaged(f"reading file {record}: {error}") from error


def read_exactly(file: IO[bytes], target: np.ndarray, what: str) -> None:
    """Fill a contiguous uint8 array from the file's current position; RuntimeError at an early end."""
    view = memoryview(target).cast("B")
    readinto = getattr(file, "readinto", None)
    done = 0
    while done < len(view):
        if readinto is not None:
            count = readinto(view[done:])
        else:
            part = file.read(min(len(view) - done, _CHUNK))
            count = len(part)
            view[done : done + count] = part
        if not count:
            raise ArchiveError(
                f"unexpected EOF, expected {len(view) - done} more bytes for {what}. The file might be corrupted."
            )
        done += count


class ArchiveWriter:
    """Writes records one after the other to a binary stream, which need not be seekable; `close` writes the directory.

    folder: name of the archive's one folder. compute_crc32: off, checksums are written as 0.
    """

    def __init__(self, stream: IO[bytes], folder: str, compute_crc32: bool = True) -> None:
        self._stream = stream
        self._folder = folder
        self._compute_crc32 = compute_crc32
        self._position = 0
        self._directory: list[bytes] = []
        self._identity = hashlib.sha256()

    def _put(self, data: Any) -> None:
        self._stream.write(data)
        self._position += len(data)

    def write(self, record: str, data: Any) -> None:
        """Write one record from anything with a contiguous buffer."""
        payload = memoryview(data).cast("B") if len(data) else memoryview(b"")
        name = f"{self._folder}/{record}".encode()
        size, header = len(payload), self._position
        crc = zlib.crc32(payload) if self._compute_crc32 else 0
        zip64 = size >= _U32 or header >= _U32
        extra = _zip64_extra(size if size >= _U32 else None, header if header >= _U32 else None) if zip64 else b""
        start = header + _LOCAL.size + len(name) + len(extra) + 4
        padding = -start % ALIGNMENT
        padded = extra + b"FB" + struct.pack("<H", padding) + b"Z" * padding
        flags = _FLAGS if size else _FLAGS & ~8
        shown = _U32 if size >= _U32 else 0
        self._put(_LOCAL.pack(LOCAL_MAGIC, 0, flags, 0, 0, 0, 0, shown, shown, len(name), len(padded)))
        self._put(name + padded)
        for at in range(0, size, _CHUNK):
            self._put(payload[at : at + _CHUNK])
        if size:
            self._put(struct.pack("<4sIQQ" if zip64 else "<4sIII", b"PK\x07\x08", crc, size, size))
        self._directory.append(
            _CENTRAL.pack(
                b"PK\x01\x02",
                0,
                0,
                flags,
                0,
                0,
                0,
                crc,
                min(size, _U32),
                min(size, _U32),
                len(name),
                len(extra),
                0,
                0,
                0,
                0,
                min(header, _U32),
            )
            + name
            + extra
        )
        self._identity.update(name + struct.pack("<QI", size, crc))

    def identity(self) -> str:
        """40 digits that follow from the names, sizes and checksums written so far."""
        return "".join(f"{int.from_bytes(part, 'little'):020d}" for part in _halves(self._identity.digest()))

    def close(self) -> None:
        """Write the directory. The stream stays open."""
        start = self._position
        for entry in self._directory:
            self._put(entry)
        size, count, end = self._position - start, len(self._directory), self._position
        self._put(struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 798, 45, 0, 0, count, count, size, start))
        self._put(struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1))
        short = min(count, 0xFFFF)
        self._put(
            struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, short, short, min(size, _U32), min(start, _U32), 0),
        )


def _zip64_extra(size: int | None, header: int | None) -> bytes:
    fields = ([] if size is None else [size, size]) + ([] if header is None else [header])
    return struct.pack(f"<HH{len(fields)}Q", 1, 8 * len(fields), *fields)


def _halves(digest: bytes) -> tuple[bytes, bytes]:
    return digest[:8], digest[8:16]


def folder_for(path: str | None) -> str:
    """Name of the archive's folder: the file's name without its last extension, "archive" for streams."""
    name = "" if path is None else os.path.basename(path)
    stem = name.rpartition(".")[0] or name
    return stem if stem.isascii() and stem not in ("", ".", "..") else "archive"
