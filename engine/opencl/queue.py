"""The command queue of a device: launches, transfers, waiting and profiling."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyopencl as cl
from pyopencl import _cl

from engine.errors import DeviceError

from ._translate import is_out_of_memory, translate
from .memory import Buffer, Pool

if TYPE_CHECKING:
    from .program import ProgramStore

_enqueue_kernel = _cl.enqueue_nd_range_kernel
_pack_int = struct.Struct("i").pack
_pack_long = struct.Struct("q").pack
_pack_float = struct.Struct("f").pack
_pack_double = struct.Struct("d").pack

_COMPLETE = cl.command_execution_status.COMPLETE
_KEEP_CHECK = 32  # copies in flight before those that are complete are let go

FORKED = (
    "cannot re-initialize OpenCL in a forked subprocess: its threads exist only in the parent. Use the 'spawn' start "
    "method (multiprocessing.set_start_method('spawn')), or start workers before the first tensor is made"
)


@dataclass(frozen=True)
class LaunchRecord:
    """One profiled command. ``start`` and ``end`` are device nanoseconds, ``queued`` host time.perf_counter_ns()."""

    name: str
    label: str
    start: int
    end: int
    queued: int
    flops: float
    nbytes: float
    global_size: tuple[int, ...]
    local_size: tuple[int, ...] | None

    @property
    def seconds(self) -> float:
        """Time on the device."""
        return (self.end - self.start) * 1e-9


class BoundKernel:
    """A kernel object with its arguments and sizes, launched again and again.

    Args:
        queue: where it runs.
        kernel: an object of its own (``ProgramStore.kernel``); arguments stay set between launches.
        global_size, local_size: work-items in each dimension; local None lets the driver choose.
        label, flops, nbytes: for profiles: what it does, floating-point operations and bytes moved a launch.
        inline: it runs in the calling thread and is complete when ``enqueue`` returns; only while the queue is idle.
    """

    __slots__ = (
        "_held",
        "_queue",
        "flops",
        "global_size",
        "inline",
        "kernel",
        "label",
        "local_size",
        "name",
        "nbytes",
    )

    def __init__(
        self,
        queue: Queue,
        kernel: cl.Kernel,
        global_size: Sequence[int],
        local_size: Sequence[int] | None,
        name: str = "",
        label: str = "",
        flops: float = 0.0,
        nbytes: float = 0.0,
        inline: bool = False,
    ) -> None:
        self._queue = queue
        self.inline = inline
        self.kernel = kernel
        self.global_size = tuple(global_size)
        self.local_size = tuple(local_size) if local_size is not None else None
        self.name = name or kernel.function_name
        self.label = label
        self.flops = flops
        self.nbytes = nbytes
        self._held: dict[int, Buffer] = {}

    def set_buffer(self, i: int, buffer: Buffer) -> None:
        """Argument ``i``, a buffer. The launch keeps it alive: the driver does not."""
        try:
            self.kernel.set_arg(i, buffer.mem)
        except cl.Error as error:
            raise self._bad_argument(i, error) from error
        self._held[i] = buffer

    def set_int(self, i: int, value: int) -> None:
        """Argument ``i``, an int (32 bits)."""
        self.set_bytes(i, _pack_int(value))

    def set_long(self, i: int, value: int) -> None:
        """Argument ``i``, a long (64 bits)."""
        self.set_bytes(i, _pack_long(value))

    def set_float(self, i: int, value: float) -> None:
        """Argument ``i``, a float."""
        self.set_bytes(i, _pack_float(value))

    def set_double(self, i: int, value: float) -> None:
        """Argument ``i``, a double."""
        self.set_bytes(i, _pack_double(value))

    def set_bytes(self, i: int, value: bytes) -> None:
        """Argument ``i``, a value of any type as its bytes."""
        try:
            self.kernel._set_arg_buf(i, value)
        except cl.Error as error:
            raise self._bad_argument(i, error) from error

    def set_local(self, i: int, nbytes: int) -> None:
        """Argument ``i``, ``nbytes`` bytes of local memory."""
        try:
            self.kernel.set_arg(i, cl.LocalMemory(nbytes))
        except cl.Error as error:
            raise self._bad_argument(i, error) from error

    def set_packed(self, values: tuple) -> None:
        """Several scalars in one call: (index, struct code as bytes, value, index, code, value, ...)."""
        try:
            self.kernel._set_arg_buf_pack_multi(values)
        except cl.Error as error:
            raise self._bad_argument(values[0], error) from error

    def _bad_argument(self, i: int, error: cl.Error) -> RuntimeError:
        return translate(error, f"setting argument {i} of kernel {self.name}", self._queue._name)

    def release_buffers(self) -> None:
        """Let go of all buffers; each must be set again before the next launch."""
        self._held.clear()

    def enqueue(self) -> None:
        """Put one launch on the queue. Raises DeviceError or OutOfMemoryError naming the kernel and its sizes."""
        queue = self._queue
        try:
            lane = queue.inline if self.inline else queue.cq
            if queue.profiling:
                event = queue._launch_profiled(self, lane)
            else:
                event = _enqueue_kernel(lane, self.kernel, self.global_size, self.local_size)
        except (cl.Error, TypeError) as error:
            event = queue._failed_launch(self, error)
        if not self.inline:
            queue.dirty = True
            queue.last = event


class Transfer:
    """A copy under way; ``wait()`` returns when the data is there. Holds what the copy needs."""

    __slots__ = ("_device", "_event", "_held")

    def __init__(self, event: Any, held: tuple, device: str) -> None:
        self._event = event
        self._held = held
        self._device = device

    def wait(self) -> None:
        """Block until the copy is complete."""
        if self._event is not None:
            try:
                self._event.wait()
            except cl.Error as error:
                raise translate(error, "waiting for a transfer", self._device) from error
            self._event = None
            self._held = ()


class Queue:
    """In-order compute queue of a device, with a second queue for transfers where the device is not the host.

    Attributes:
        dirty: commands were enqueued since the last finish.
        inline: a queue whose commands run in the calling thread as they are enqueued; None where there is none.
        last: the event of the newest command, if that is a launch.
        profiling: launches are timed (see ``profile``).
    """

    def __init__(self, context: cl.Context, device: cl.Device, name: str, inline: cl.Device | None = None) -> None:
        self._context = context
        self._device = device
        self._name = name
        self.cq: Any = self._new_queue(False)
        self._plain: Any = self.cq
        self._inline_device = inline
        self.inline: Any = self._new_queue(False, inline) if inline is not None else None
        self._plain_inline: Any = self.inline
        self.last: Any = None
        self._transfers: Any = None
        self._partly_waited = False
        self._keep: list[Any] = []  # events and host arrays of copies in flight
        self._records: list[tuple] = []
        self.dirty = False
        self.profiling = False
        self.pool: Pool
        self.programs: ProgramStore

    def _new_queue(self, profiling: bool, device: cl.Device | None = None) -> Any:
        flags = cl.command_queue_properties.PROFILING_ENABLE if profiling else 0
        try:
            return cl.CommandQueue(self._context, device or self._device, properties=flags)
        except cl.Error as error:
            raise translate(error, "creating a command queue", self._name) from error

    def abandon(self) -> None:
        """Called in a forked child: every later use raises instead of waiting for threads that are not there."""
        self.cq = self._plain = self._transfers = self.inline = self._plain_inline = self.last = None

    # -- launches

    def launch(self, kernel: cl.Kernel, global_size: Sequence[int], local_size: Sequence[int] | None) -> None:
        """Enqueue a kernel whose arguments are set; for single launches (see BoundKernel for repeated ones)."""
        BoundKernel(self, kernel, global_size, local_size).enqueue()

    def _failed_launch(self, bound: BoundKernel, error: Exception) -> Any:
        """Retry once when memory ran out at enqueue, else raise the readable error."""
        self._check_alive()
        if isinstance(error, cl.Error) and is_out_of_memory(error):
            self.pool.empty_cache()
            try:
                lane = self.inline if bound.inline else self.cq
                return _enqueue_kernel(lane, bound.kernel, bound.global_size, bound.local_size)
            except cl.Error as again:
                error = again
        what = f"launching kernel {bound.name} (global {bound.global_size}, local {bound.local_size})"
        if isinstance(error, cl.Error):
            raise translate(error, what, self._name) from error
        raise DeviceError(f"{what} on {self._name}: {error}") from error

    def _check_alive(self) -> None:
        if self.cq is None:
            raise RuntimeError(FORKED)

    def flush(self) -> None:
        """Make the driver start what is queued."""
        self._check_alive()
        self.cq.flush()
        self._partly_waited = True

    def is_idle(self) -> bool:
        """Whether all commands are complete, without waiting; True needs no ``finish`` after it."""
        if not self.dirty:
            return True
        if self.last is None or self.last.command_execution_status != _COMPLETE:
            return False
        self.finish()
        return True

    def finish(self) -> None:
        """Wait until all commands are complete. Free when nothing was enqueued since the last time."""
        if not self.dirty:
            return
        self._check_alive()
        try:
            if self._partly_waited:
                # Mesa's rusticl returns from clFinish at once when a flush or an event's wait left nothing to submit.
                _cl._enqueue_marker_with_wait_list(self.cq, None)
                self._partly_waited = False
            self.cq.finish()
        except cl.Error as error:
            raise translate(error, "waiting for queued commands", self._name) from error
        self._idle()

    def _idle(self) -> None:
        self.dirty = False
        self.last = None
        if self._keep:
            self._keep.clear()
        pool = self.pool
        pool.epoch += 1
        if pool.outside:
            pool.outside.clear()
        if self.programs.pending:
            self.programs.save_when_due()

    # -- transfers

    def write(self, buffer: Buffer, offset: int, array: np.ndarray, blocking: bool = True, fresh: bool = False) -> None:
        """Copy a contiguous array into a buffer at a byte offset.

        Args:
            blocking: False: the caller leaves the array unchanged until the next ``finish``.
            fresh: no command was enqueued on this buffer since it was allocated, so nothing need be waited for.
        """
        if not array.nbytes:
            return
        array = np.ascontiguousarray(array)
        self._check_range(buffer, offset, array.nbytes)
        host = buffer.block.host
        idle = not self.dirty or (fresh and buffer.block.epoch < self.pool.epoch)
        if host is not None and idle:
            host[offset : offset + array.nbytes] = array.reshape(-1).view(np.uint8)
            return
        self._check_alive()
        if host is not None and blocking:
            array = array.copy()  # cheaper than waiting for the kernels before it
            blocking = False
        try:
            self._enqueue_write(buffer, offset, array, blocking, idle)
        except cl.Error as error:
            raise translate(error, f"writing {array.nbytes} bytes", self._name) from error

    def _enqueue_write(self, buffer: Buffer, offset: int, array: np.ndarray, blocking: bool, idle: bool) -> None:
        if buffer.block.host is not None:
            event = _cl._enqueue_write_buffer(self.cq, buffer.mem, array, offset, None, blocking)
        else:
            wait = None if idle else self._marker()
            queue = self._transfer_queue()
            event = _cl._enqueue_write_buffer(queue, buffer.mem, array, offset, wait, blocking)
            if not blocking:
                queue.flush()
                _cl._enqueue_barrier_with_wait_list(self.cq, [event])
        if not blocking:
            self._hold(event, array, buffer)

    def read(self, buffer: Buffer, offset: int, array: np.ndarray, blocking: bool = True) -> Transfer | None:
        """Copy from a buffer at a byte offset into a contiguous, writable array.

        With ``blocking=False`` returns a Transfer at once; the array may be used after ``wait()``.
        """
        if not array.nbytes:
            return None if blocking else Transfer(None, (), self._name)
        if not array.flags.c_contiguous:
            raise ValueError("read needs a contiguous array")
        self._check_range(buffer, offset, array.nbytes)
        host = buffer.block.host
        if host is not None and (blocking or not self.dirty):
            self.finish()
            array.reshape(-1).view(np.uint8)[:] = host[offset : offset + array.nbytes]
            return None if blocking else Transfer(None, (), self._name)
        self._check_alive()
        try:
            return self._enqueue_read(buffer, offset, array, blocking)
        except cl.Error as error:
            raise translate(error, f"reading {array.nbytes} bytes", self._name) from error

    def _enqueue_read(self, buffer: Buffer, offset: int, array: np.ndarray, blocking: bool) -> Transfer | None:
        if blocking:
            _cl._enqueue_read_buffer(self.cq, buffer.mem, array, offset, None, True)
            self._idle()
            return None
        if buffer.block.host is not None:
            event = _cl._enqueue_read_buffer(self.cq, buffer.mem, array, offset, None, False)
        else:
            queue = self._transfer_queue()
            wait = self._marker() if self.dirty else None
            event = _cl._enqueue_read_buffer(queue, buffer.mem, array, offset, wait, False)
            queue.flush()
            # A later kernel may write into the buffer once its block is reused.
            _cl._enqueue_barrier_with_wait_list(self.cq, [event])
        self._hold(event, array, buffer)
        return Transfer(event, (buffer, array), self._name)

    def _hold(self, event: Any, array: np.ndarray, buffer: Buffer) -> None:
        """Keep what a copy in flight needs; once there are many, let go of those that are complete."""
        self.dirty = self._partly_waited = True
        self.last = None
        keep = self._keep
        keep.append((event, array, buffer))
        if len(keep) >= _KEEP_CHECK:
            self._keep = [item for item in keep if item[0].command_execution_status != _COMPLETE]

    def copy(self, source: Buffer, source_offset: int, target: Buffer, target_offset: int, nbytes: int) -> None:
        """Copy between buffers of this device, in queue order. Offsets in bytes; ranges must not overlap."""
        if not nbytes:
            return
        self._check_range(source, source_offset, nbytes)
        self._check_range(target, target_offset, nbytes)
        if not self.dirty and source.block.host is not None and target.block.host is not None:
            target.block.host[target_offset : target_offset + nbytes] = source.block.host[
                source_offset : source_offset + nbytes
            ]
            return
        self._check_alive()
        try:
            _cl._enqueue_copy_buffer(self.cq, source.mem, target.mem, nbytes, source_offset, target_offset)
        except cl.Error as error:
            raise translate(error, f"copying {nbytes} bytes", self._name) from error
        self.dirty = True
        self.last = None

    def fill(self, buffer: Buffer, pattern: bytes, offset: int, nbytes: int) -> None:
        """Repeat a pattern of 1, 2, 4, 8 or 16 bytes; offset and nbytes are multiples of its length."""
        if not nbytes:
            return
        self._check_range(buffer, offset, nbytes)
        if not self.dirty and buffer.block.host is not None:
            target = buffer.block.host[offset : offset + nbytes]
            target.reshape(-1, len(pattern))[:] = np.frombuffer(pattern, np.uint8)
            return
        self._check_alive()
        try:
            _cl._enqueue_fill_buffer(self.cq, buffer.mem, pattern, offset, nbytes)
        except cl.Error as error:
            raise translate(error, f"filling {nbytes} bytes", self._name) from error
        self.dirty = True
        self.last = None

    def _marker(self) -> list[Any]:
        """What another queue waits for to come after everything enqueued so far; flushed, or the wait may never end."""
        marker = _cl._enqueue_marker_with_wait_list(self.cq, None)
        self.cq.flush()
        self._partly_waited = True
        return [marker]

    def _transfer_queue(self) -> Any:
        if self._transfers is None:
            self._transfers = self._new_queue(False)
        return self._transfers

    @staticmethod
    def _check_range(buffer: Buffer, offset: int, nbytes: int) -> None:
        if offset < 0 or offset + nbytes > buffer.nbytes:
            raise ValueError(f"bytes {offset} to {offset + nbytes} lie outside a buffer of {buffer.nbytes} bytes")

    # -- profiling

    def profile(self, on: bool) -> None:
        """Start or stop timing every launch on the device. Starting clears earlier records."""
        self.finish()
        self._check_alive()
        if on and not self.profiling:
            self._records = []
            self.cq = self._new_queue(True)
            if self._inline_device is not None:
                self.inline = self._new_queue(True, self._inline_device)
        elif not on:
            self.cq = self._plain
            self.inline = self._plain_inline
        self.profiling = on

    def _launch_profiled(self, bound: BoundKernel, lane: Any) -> Any:
        queued = time.perf_counter_ns()
        event = _enqueue_kernel(lane, bound.kernel, bound.global_size, bound.local_size)
        row = (bound.name, bound.label, queued, bound.flops, bound.nbytes, bound.global_size, bound.local_size)
        self._records.append((event, *row))
        return event

    def records(self, clear: bool = False) -> list[LaunchRecord]:
        """All timed launches so far, in order; waits for them."""
        self.finish()
        found = []
        for event, name, label, queued, flops, nbytes, global_size, local_size in self._records:
            start, end = event.profile.start, event.profile.end
            found.append(LaunchRecord(name, label, start, end, queued, flops, nbytes, global_size, local_size))
        if clear:
            self._records = []
        return found
