"""Settings of `save` and `load` for the whole process: trusted globals, checksums, memory mapping, byte order."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Any

SafeGlobal = Callable | tuple[Callable, str]
"""A class or function, or a pair of it and the full name it has in the file."""

MAP_PRIVATE: int = getattr(mmap, "MAP_PRIVATE", 2)
MAP_SHARED: int = getattr(mmap, "MAP_SHARED", 1)


class LoadEndianness(Enum):
    """Byte order assumed for archives that do not name theirs."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


@dataclass
class Options:
    """The values in force; `options` is the one instance."""

    compute_crc32: bool = True
    mmap_flags: int = MAP_PRIVATE
    load_endianness: LoadEndianness | None = None
    safe_globals: set[SafeGlobal] = field(default_factory=set)


options = Options()


def get_crc32_options() -> bool:
    """Whether `save` computes a CRC-32 of each record."""
    return options.compute_crc32


def set_crc32_options(compute_crc32: bool) -> None:
    """Choose whether `save` computes a CRC-32 of each record; without it `load` works, other zip tools complain."""
    options.compute_crc32 = bool(compute_crc32)


def get_default_load_endianness() -> LoadEndianness | None:
    """Byte order assumed for archives that do not name theirs; None means little."""
    return options.load_endianness


def set_default_load_endianness(endianness: LoadEndianness | None) -> None:
    """Set the byte order assumed for archives that do not name theirs; TypeError unless a LoadEndianness or None."""
    if endianness is not None and not isinstance(endianness, LoadEndianness):
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    options.load_endianness = endianness


def get_default_mmap_options() -> int:
    """`mmap.MAP_PRIVATE` or `mmap.MAP_SHARED`: how `load(mmap=True)` maps the file."""
    return options.mmap_flags


class set_default_mmap_options:
    """Set how `load(mmap=True)` maps the file: `mmap.MAP_PRIVATE` (writes stay in memory) or `mmap.MAP_SHARED` (writes
    change the file). Takes effect at once; as a context manager it is undone at the end. ValueError for other flags.
    """

    def __init__(self, flags: int) -> None:
        if flags not in (MAP_PRIVATE, MAP_SHARED):
            raise ValueError(
                f"Invalid argument in function set_default_mmap_options, expected mmap.MAP_PRIVATE or mmap.MAP_SHARED, "
                f"but got {flags}"
            )
        self._before = options.mmap_flags
        options.mmap_flags = flags

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        options.mmap_flags = self._before


def add_safe_globals(safe_globals: Iterable[SafeGlobal]) -> None:
    """Trust these classes and functions when loading with `weights_only=True`.

    An item is a class or function, or a pair `(it, "module.name")` where the file knows it under another name.
    """
    options.safe_globals |= set(safe_globals)


def get_safe_globals() -> list[SafeGlobal]:
    """What `add_safe_globals` added."""
    return list(options.safe_globals)


def clear_safe_globals() -> None:
    """Forget what `add_safe_globals` added."""
    options.safe_globals = set()


class safe_globals:
    """Context manager: trust these classes and functions inside the `with` statement; see `add_safe_globals`."""

    def __init__(self, safe_globals: Iterable[SafeGlobal]) -> None:
        self.safe_globals = list(safe_globals)

    def __enter__(self) -> None:
        add_safe_globals(self.safe_globals)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        options.safe_globals -= set(self.safe_globals)


def named_safe_globals() -> dict[str, Any]:
    """The trusted classes and functions by their full names. ValueError or TypeError for a malformed pair."""
    named: dict[str, Any] = {}
    for item in options.safe_globals:
        if not isinstance(item, tuple):
            named[f"{item.__module__}.{item.__qualname__}"] = item
            continue
        if len(item) != 2:
            raise ValueError(
                f"Expected tuple of length 2 (global, str of callable full path), but got tuple of length: {len(item)}"
            )
        if type(item[1]) is not str:
            raise TypeError(f"Expected second item in tuple to be str of callable full path, but got: {type(item[1])}")
        named[item[1]] = item[0]
    return named
