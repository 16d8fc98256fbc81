"""Device memory: a pool of reusable blocks with exact accounting, and zero-copy views for the host.

A block goes back to its free list when the Buffer that holds it dies. Commands on it may still be queued then; that is
safe as the compute queue is in order, and whoever touches memory from outside that queue orders itself (queue.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyopencl as cl

from engine.errors import OutOfMemoryError
from engine.settings import settings

from ._translate import is_out_of_memory, translate
from .platforms import Capabilities

_FLAGS = cl.mem_flags
_ALIGN = 128
_MIN_BLOCK = 128
_LARGE = 1 << 20  # from here size steps are finer and a larger cached block may serve
_SIZE_CACHE = 1 << 16  # entries of the table from requested size to bucket
_SOFT_SHARE = 0.8  # cached blocks are given back before more than this share of the device's memory is reserved


def round_size(nbytes: int) -> int:
    """Size of the block for a request: 128 B at least, then 4 sizes an octave, 8 from 1 MiB on (at most 1/8 waste)."""
    if nbytes <= _MIN_BLOCK:
        return _MIN_BLOCK
    shift = (nbytes - 1).bit_length() - (3 if nbytes <= _LARGE else 4)
    step = max(1 << shift, _ALIGN)
    return -(-nbytes // step) * step


class Block:
    """A piece of device memory; ``home`` is the free list it returns to (None: memory of the caller), ``address`` where
    the host and, on devices with host-visible memory, kernels find it (0: nowhere)."""

    __slots__ = ("address", "epoch", "home", "host", "mem", "size")

    def __init__(self, mem: cl.Buffer, size: int, home: list[Block] | None, host: np.ndarray | None) -> None:
        self.mem = mem
        self.size = size
        self.home = home
        self.host = host
        self.address = 0 if host is None else host.ctypes.data
        self.epoch = -1  # finish count of the queue when it was last given back; -1: never used


class Buffer:
    """Memory of one value. The block returns to the pool when the last reference goes."""

    __slots__ = ("__weakref__", "block", "mem", "nbytes", "pool")

    def __init__(self, mem: cl.Buffer, nbytes: int, block: Block, pool: Pool) -> None:
        self.mem = mem
        self.nbytes = nbytes
        self.block = block
        self.pool = pool

    def __del__(self) -> None:
        block = self.block
        pool = self.pool
        block.epoch = pool.epoch
        home = block.home
        if home is None:
            pool.outside.append(block)
        else:
            pool.allocated -= block.size
            home.append(block)

    def host_array(self) -> np.ndarray | None:
        """uint8 view of the memory, shape (nbytes,), without a copy; None where the host cannot see it.

        The view keeps the buffer alive. Wait for the queue (``queue.finish()``) before touching it.
        """
        host = self.block.host
        return None if host is None else np.asarray(_HostView(self, host.ctypes.data))

    def __repr__(self) -> str:
        return f"Buffer({self.nbytes} bytes in a block of {self.block.size})"


class Window(Buffer):
    """A part of another buffer's memory as a buffer."""

    __slots__ = ("base",)

    def __init__(self, mem: cl.Buffer, nbytes: int, block: Block, pool: Pool, base: Buffer) -> None:
        super().__init__(mem, nbytes, block, pool)
        self.base = base


class _HostView:
    """Exports a buffer's host memory through the array interface; numpy keeps this object as the array's base."""

    __slots__ = ("__array_interface__", "buffer")

    def __init__(self, buffer: Buffer, address: int) -> None:
        self.buffer = buffer
        self.__array_interface__ = {"data": (address, False), "shape": (buffer.nbytes,), "typestr": "|u1", "version": 3}


@dataclass(frozen=True)
class MemoryStats:
    """Bytes in blocks held by values (allocated) and taken from the device (reserved); counts of events."""

    allocated: int
    reserved: int
    peak_allocated: int
    peak_reserved: int
    cached: int
    blocks: int
    device_allocations: int
    cache_flushes: int
    out_of_memory: int


class Pool:
    """All memory of one device.

    Attributes:
        allocated, reserved, peak_allocated, peak_reserved: bytes, see MemoryStats.
        epoch: how often the queue was seen idle; kept by the queue.
        host_visible: buffers are host memory that kernels and NumPy see at the same time.
    """

    def __init__(self, context: cl.Context, caps: Capabilities, host_visible: bool, finish: Callable[[], None]) -> None:
        self._context = context
        self._caps = caps
        self._finish = finish
        self._sizes: dict[int, list[Block]] = {}  # requested size -> free list
        self._free: dict[int, list[Block]] = {}  # block size -> free list
        self.host_visible = host_visible
        self._soft_limit = int(_memory_size(caps, host_visible) * _SOFT_SHARE)
        self.outside: list[Block] = []  # wrapped memory whose Buffer died while commands may run
        self.allocated = self.reserved = self.peak_allocated = self.peak_reserved = 0
        self.epoch = 0
        self._blocks = self._device_allocations = self._flushes = self._failures = 0

    def alloc(self, nbytes: int) -> Buffer:
        """Memory for ``nbytes`` bytes (0 is allowed), contents undefined. Raises OutOfMemoryError."""
        try:
            block = self._sizes[nbytes].pop()
        except (KeyError, IndexError):
            block = self._slow_alloc(nbytes)
        self.allocated += block.size
        if (held := self.allocated) > self.peak_allocated:
            self.peak_allocated = held
        return Buffer(block.mem, nbytes, block, self)

    def wrap(self, array: np.ndarray) -> Buffer | None:
        """A buffer over the memory of a contiguous, writable array, without a copy; None where that cannot be.

        The array is kept alive as long as the buffer or a queued command needs it. Not counted as allocated.
        """
        if not self.host_visible or not array.size or not array.flags.c_contiguous or not array.flags.writeable:
            return None
        host = array.reshape(-1).view(np.uint8)
        if host.nbytes > self._caps.max_alloc_size:
            return None
        try:
            mem = cl.Buffer(self._context, _FLAGS.READ_WRITE | _FLAGS.USE_HOST_PTR, hostbuf=host)
        except cl.Error as error:
            raise translate(error, f"sharing an array of {host.nbytes} bytes", self._caps.name) from error
        return Buffer(mem, host.nbytes, Block(mem, host.nbytes, None, host), self)

    def window(self, base: Buffer, offset: int, nbytes: int) -> Window | None:
        """Bytes of a buffer as a buffer of its own, which keeps the whole alive; None where the driver could only make
        a copy (PoCL takes host memory at any alignment as it is).
        """
        host = base.block.host
        if host is None or not self._caps.is_pocl or nbytes <= 0:
            return None
        part = host[offset : offset + nbytes]
        try:
            mem = cl.Buffer(self._context, _FLAGS.READ_WRITE | _FLAGS.USE_HOST_PTR, hostbuf=part)
        except cl.Error as error:
            raise translate(error, f"making a view of {nbytes} bytes", self._caps.name) from error
        return Window(mem, nbytes, Block(mem, nbytes, None, part), self, base)

    def idle_buffer(self, nbytes: int) -> Buffer | None:
        """A cached buffer that no queued command uses, for writing from the host at once; None when there is none."""
        free = self._sizes.get(nbytes)
        if free and free[0].epoch < self.epoch:
            try:
                block = free.pop(0)
            except IndexError:
                return None
            if block.epoch >= self.epoch:
                free.append(block)
                return None
            self._count(block)
            return Buffer(block.mem, nbytes, block, self)
        return None

    def _count(self, block: Block) -> None:
        self.allocated += block.size
        self.peak_allocated = max(self.peak_allocated, self.allocated)

    def _slow_alloc(self, nbytes: int) -> Block:
        if nbytes < 0:
            raise ValueError(f"cannot allocate {nbytes} bytes")
        size = round_size(nbytes)
        free = self._free.setdefault(size, [])
        if len(self._sizes) >= _SIZE_CACHE:
            self._sizes.clear()
        self._sizes[nbytes] = free
        for candidate in (size, *self._larger(size)):
            cached = self._free.get(candidate)
            if cached:
                try:
                    return cached.pop()
                except IndexError:  # another thread was faster
                    continue
        return self._new_block(size, nbytes, free)

    @staticmethod
    def _larger(size: int) -> tuple[int, ...]:
        """Sizes whose cached blocks may serve a large request: the next two steps (at most a quarter more)."""
        if size < _LARGE:
            return ()
        one = round_size(size + 1)
        return (one, round_size(one + 1))

    def _new_block(self, size: int, nbytes: int, home: list[Block]) -> Block:
        limit = settings.memory_limit
        if self.reserved + size > (limit or self._soft_limit):
            self.empty_cache()
            if limit and self.reserved + size > limit:
                raise self._exhausted(nbytes, f"ENGINE_MEMORY_LIMIT is {_human(limit)}")
        try:
            mem, host = self._take(size)
        except (cl.Error, MemoryError):
            self.empty_cache()
            try:
                mem, host = self._take(size)
            except MemoryError:
                raise self._exhausted(nbytes, "the host has no more memory") from None
            except cl.Error as error:
                if is_out_of_memory(error):
                    raise self._exhausted(nbytes, "the driver has no more memory") from None
                if size > self._caps.max_alloc_size:
                    most = _human(self._caps.max_alloc_size)
                    raise self._exhausted(nbytes, f"the device allows at most {most} in one piece") from None
                raise translate(error, f"allocating {nbytes} bytes", self._caps.name) from error
        self.reserved += size
        self._blocks += 1
        self._device_allocations += 1
        self.peak_reserved = max(self.peak_reserved, self.reserved)
        return Block(mem, size, home, host)

    def _take(self, size: int) -> tuple[cl.Buffer, np.ndarray | None]:
        if not self.host_visible:
            return cl.Buffer(self._context, _FLAGS.READ_WRITE, size), None
        raw = np.empty(size + _ALIGN, np.uint8)  # NumPy asks for huge pages from 4 MiB on
        start = -raw.ctypes.data % _ALIGN
        host = raw[start : start + size]
        return cl.Buffer(self._context, _FLAGS.READ_WRITE | _FLAGS.USE_HOST_PTR, hostbuf=host), host

    def _exhausted(self, nbytes: int, why: str) -> OutOfMemoryError:
        self._failures += 1
        caps = self._caps
        return OutOfMemoryError(
            f"out of memory on {caps.name}: tried to allocate {_human(nbytes)}, but {why}. "
            f"{_human(self.allocated)} are allocated in values, {_human(self.reserved)} reserved in total, of "
            f"{_human(caps.global_mem_size)} on the device. Use a smaller batch, free tensors you no longer need, run "
            f"inference under no_grad(), or recompute activations with utils.checkpoint"
        )

    def empty_cache(self) -> int:
        """Give all cached blocks back to the device; waits for queued commands. Returns the bytes given back."""
        self._finish()
        self.outside.clear()
        freed = 0
        for free in self._free.values():
            while free:
                try:
                    block = free.pop()
                except IndexError:
                    break
                freed += block.size
                self._blocks -= 1
                block.mem.release()
        self.reserved -= freed
        self._flushes += 1
        return freed

    def reset_peak(self) -> None:
        """Start new peaks from what is allocated and reserved now."""
        self.peak_allocated = self.allocated
        self.peak_reserved = self.reserved

    def stats(self) -> MemoryStats:
        """All figures at this moment."""
        return MemoryStats(
            self.allocated,
            self.reserved,
            self.peak_allocated,
            self.peak_reserved,
            self.reserved - self.allocated,
            self._blocks,
            self._device_allocations,
            self._flushes,
            self._failures,
        )


def _memory_size(caps: Capabilities, host_visible: bool) -> int:
    """Memory the pool may count on: the host's where buffers are host memory (drivers report less), else the device's.

    A container's bound (cgroup) counts.
    """
    if not (host_visible and hasattr(os, "sysconf")):
        return caps.global_mem_size
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(size, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no such file, or "max"
        return size


def _human(nbytes: int) -> str:
    value = float(nbytes)
    for unit in ("bytes", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} bytes" if unit == "bytes" else f"{value:.2f} {unit}"
        value /= 1024
    return f"{value:.2f} GiB"


def probe_host_visible(context: cl.Context, queue: Any, caps: Capabilities) -> bool:
    """Whether a USE_HOST_PTR buffer is the host's memory itself in both directions, tried on one small buffer.

    The specification promises that only between map and unmap; CPU devices do it always, others keep a shadow copy.
    """
    if caps.kind != "cpu":
        return False
    raw = np.zeros(2 * 4096, np.uint8)
    host = raw[-raw.ctypes.data % _ALIGN :][:4096]
    try:
        mem = cl.Buffer(context, _FLAGS.READ_WRITE | _FLAGS.USE_HOST_PTR, hostbuf=host)
        for value in (3, 5):
            cl.enqueue_fill_buffer(queue, mem, np.uint8(value), 0, 4096)
            queue.finish()
            if not (host == value).all():
                return False
            host[:] = value + 10
            back = np.zeros(4096, np.uint8)
            cl.enqueue_copy(queue, back, mem)
            if not (back == value + 10).all():
                return False
    except cl.Error:
        return False
    return True
