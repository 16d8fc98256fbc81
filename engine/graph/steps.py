"""Steps of a plan: launches, copies and functions of the host, with their operands given at each run."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import dtypes, opencl
from .memory_plan import Slot

if TYPE_CHECKING:
    from .plan import Plan

_pack_long = struct.Struct("q").pack
_pack_single = struct.Struct("f").pack


class Launch:
    """One kernel with its arguments: fixed ones are set, the others listed by where they come from.

    ``buffers``: (argument, slot); ``numbers``: (argument, number, packer).
    """

    __slots__ = ("bound", "buffers", "numbers", "last")

    def __init__(self, bound: opencl.BoundKernel, buffers: list[tuple[int, Slot]], numbers: list[tuple]) -> None:
        self.bound = bound
        self.buffers = buffers
        self.numbers = numbers
        self.last: list[Any] = [None] * len(buffers)

    def run(self, plan: Plan, ins: list, outs: list, arena: Any, scalars: list) -> None:
        kernel = self.bound.kernel
        last = self.last
        for i, (arg, kind, number) in enumerate(self.buffers):
            mem = (ins[number] if kind == 0 else outs[number] if kind == 1 else arena).mem
            if mem is not last[i]:
                kernel.set_arg(arg, mem)
                last[i] = mem
        if self.numbers:
            self.set_numbers(scalars)
        self.bound.enqueue()

    def set_numbers(self, scalars: list) -> None:
        """Set the arguments that are run-time numbers."""
        for arg, number, pack in self.numbers:
            self.bound.kernel._set_arg_buf(arg, pack(scalars[number]))


class TableLaunch(Launch):
    """A kernel that finds its buffers by the addresses in a table, its first argument. The table is written anew when
    they change.

    ``places``: (position in the table, and the place as of a slot); ``cells``: (position, number, packer).
    """

    __slots__ = ("table", "raw", "cells", "ins", "outs", "in_arena", "at", "offsets")

    def __init__(
        self,
        bound: opencl.BoundKernel,
        numbers: list[tuple],
        table: np.ndarray,
        places: list[tuple],
        cells: list[tuple],
    ) -> None:
        super().__init__(bound, [], numbers)
        self.table = table
        self.raw = memoryview(table).cast("B")
        self.cells = cells
        ordered = sorted(places, key=lambda p: p[1])
        self.ins = [number for _, kind, number, _ in ordered if kind == 0]
        self.outs = [number for _, kind, number, _ in ordered if kind == 1]
        self.in_arena = len(places) - len(self.ins) - len(self.outs)
        self.at = np.array([position for position, *_ in ordered], np.int64)
        self.offsets = np.array([offset for *_, offset in ordered], np.int64)

    def run(self, plan: Plan, ins: list, outs: list, arena: Any, scalars: list) -> None:
        addresses = [ins[n].block.address for n in self.ins]
        addresses += [outs[n].block.address for n in self.outs]
        if self.in_arena:
            addresses += [arena.block.address] * self.in_arena
        if addresses != self.last or self.cells:
            self.last = addresses
            self.table[self.at] = addresses
            self.table[self.at] += self.offsets
            self.fill(plan, scalars)
        self.set_numbers(scalars)
        self.bound.enqueue()

    def fill(self, plan: Plan, scalars: list) -> None:
        """Put the numbers into the table, and the table into memory that no launch in flight reads."""
        for position, number, pack in self.cells:
            value = pack(scalars[number])
            self.raw[8 * position : 8 * position + len(value)] = value
        memory = plan.runtime.memory
        buffer = memory.idle_buffer(self.table.nbytes) or memory.alloc(self.table.nbytes)
        plan.runtime.queue.write(buffer, 0, self.table, fresh=True)
        self.bound.set_buffer(0, buffer)


class CopyStep:
    """A copy of bytes between slots."""

    __slots__ = ("source", "target", "size")

    def __init__(self, source: tuple, target: tuple, size: int) -> None:
        self.source = source
        self.target = target
        self.size = size

    def run(self, plan: Plan, ins: list, outs: list, arena: Any, scalars: list) -> None:
        (a, a_offset), (b, b_offset) = (
            ((ins[n] if kind == 0 else outs[n] if kind == 1 else arena), offset)
            for kind, n, offset in (self.source, self.target)
        )
        plan.runtime.queue.copy(a, a_offset, b, b_offset, self.size)


class HostStep:
    """A NumPy function on the host: waits for its operands, writes its results."""

    __slots__ = ("function", "operands", "results")

    def __init__(self, function: Callable, operands: list, results: list) -> None:
        self.function = function
        self.operands = operands
        self.results = results

    def run(self, plan: Plan, ins: list, outs: list, arena: Any, scalars: list) -> None:
        queue = plan.runtime.queue
        arrays = []
        for (kind, n, offset), shape, dtype in self.operands:
            buffer = ins[n] if kind == 0 else outs[n] if kind == 1 else arena
            raw = np.empty(int(np.prod(shape, dtype=np.int64)), dtype.numpy)
            queue.read(buffer, offset, raw)
            arrays.append(dtypes.from_storage(raw.reshape(shape), dtype))
        made_ = self.function(*arrays)
        for value, result in zip(made_, self.results):
            if result is None:
                continue
            (kind, n, offset), dtype = result
            buffer = outs[n] if kind == 1 else arena
            queue.write(buffer, offset, np.ascontiguousarray(dtypes.to_storage(np.asarray(value), dtype)).reshape(-1))


def packer(dtype: dtypes.dtype) -> Callable[[Any], bytes]:
    """Bytes of a run-time number as a kernel argument of ``dtype``'s parameter type."""
    if dtype.is_complex:
        pair = struct.Struct("dd" if dtype is dtypes.complex128 else "ff").pack
        return lambda v: pair(complex(v).real, complex(v).imag)
    if dtype is dtypes.float64:
        return struct.Struct("d").pack
    if dtype.is_floating_point:
        return _pack_float
    return _pack_integer


def _pack_float(value: float) -> bytes:
    try:
        return _pack_single(value)
    except OverflowError:  # infinite in single precision
        return np.float32(value).tobytes()


def _pack_integer(value: int) -> bytes:
    value = int(value) & 0xFFFFFFFFFFFFFFFF
    return _pack_long(value - (1 << 64) if value >> 63 else value)
