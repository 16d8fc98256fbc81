"""Anonymous shared memory: written by a worker, mapped by the loader, reused from batch to batch.

A segment has no name in the file system; it lives as long as a process maps it, so nothing remains whichever process is
killed. Each worker keeps a small ring: the loader gives a segment back when the last array over it is gone.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from collections import deque
from collections.abc import Iterable

import numpy as np

ALIGN = 64
_PAGE = 1 << 16


def open_shared(size: int) -> int:
    """A descriptor of ``size`` bytes of new anonymous shared memory."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("engine-batch", os.MFD_CLOEXEC)
    else:
        fd, path = tempfile.mkstemp()
        os.unlink(path)
    try:
        # Reserve the pages now: running out of memory is then an OSError here, not a bus error on a later write.
        os.posix_fallocate(fd, 0, size) if hasattr(os, "posix_fallocate") else os.ftruncate(fd, size)
    except OSError:
        os.close(fd)
        raise
    return fd


def layout(sizes: Iterable[int]) -> tuple[list[tuple[int, int]], int]:
    """Aligned places for buffers of ``sizes`` bytes: [(offset, size)], total bytes."""
    spans, end = [], 0
    for size in sizes:
        spans.append((end, size))
        end += -(-size // ALIGN) * ALIGN
    return spans, end


def fill(target: np.ndarray, views: Iterable[memoryview], spans: Iterable[tuple[int, int]]) -> None:
    """Copy each buffer to its place in ``target`` (bytes)."""
    for view, (offset, size) in zip(views, spans):
        if size:
            target[offset : offset + size] = np.frombuffer(view, np.uint8)


class SegmentRing:
    """The worker's side: takes a free segment that is large enough, or makes one."""

    def __init__(self) -> None:
        self._segments: dict[int, np.ndarray] = {}
        self._free: set[int] = set()
        self._next = 0

    def release(self, numbers: Iterable[int]) -> None:
        """The loader is done with these segments."""
        self._free.update(numbers)

    def take(self, size: int) -> tuple[int, np.ndarray, int | None, list[int]]:
        """(number, its bytes, descriptor to send if it is new, numbers of segments that are no more)."""
        fitting = [number for number in self._free if self._segments[number].size >= size]
        if fitting:
            number = min(fitting, key=lambda n: self._segments[n].size)
            self._free.discard(number)
            return number, self._segments[number], None, []
        dropped = list(self._free)  # too small for what comes now: do not hoard them
        for number in dropped:
            del self._segments[number]
        self._free.clear()
        capacity = -(-(size + size // 8) // _PAGE) * _PAGE
        fd = open_shared(capacity)
        number, self._next = self._next, self._next + 1
        self._segments[number] = np.frombuffer(mmap.mmap(fd, capacity), np.uint8)
        return number, self._segments[number], fd, dropped


class SegmentTable:
    """The loader's side of one worker's ring."""

    def __init__(self) -> None:
        self._maps: dict[int, mmap.mmap] = {}
        self._leases: dict[int, weakref.ref] = {}
        self._returned: deque[int] = deque()

    def add(self, number: int, fd: int) -> None:
        """Map a new segment; the descriptor is closed."""
        try:
            self._maps[number] = mmap.mmap(fd, 0)
        finally:
            os.close(fd)

    def drop(self, numbers: Iterable[int]) -> None:
        """The worker has let go of these."""
        for number in numbers:
            del self._maps[number]

    def lease(self, number: int) -> np.ndarray:
        """The bytes of a segment; when this array and all over it are gone, the segment is returned."""
        data = np.frombuffer(self._maps[number], np.uint8)
        leases, returned = self._leases, self._returned

        def give_back(_: weakref.ref) -> None:
            leases.pop(number, None)
            returned.append(number)

        leases[number] = weakref.ref(data, give_back)
        return data

    @property
    def leased(self) -> int:
        """How many segments are in use."""
        return len(self._leases)

    def returned(self) -> list[int]:
        """The segments returned since the last call."""
        numbers = []
        while self._returned:
            numbers.append(self._returned.popleft())
        return numbers
