"""The runtime of a device: context, queue, memory and programs, made at first use."""

from __future__ import annotations

import atexit
import dataclasses
import glob
import os
import shutil
import sys
import threading
import warnings
import weakref

import numpy as np
import pyopencl as cl

from engine.errors import DeviceError
from engine.settings import scratch_folder, settings

from ._translate import translate
from .memory import Buffer, Pool, probe_host_visible
from .platforms import Capabilities, DeviceRecord, default_record, find
from .program import ProgramStore
from .queue import FORKED, Queue

_LINKS_WITH_LD = (5, 0)  # PoCL before this version runs the system's linker, and ends the process when it fails
_LIBGCC = ("/usr/lib/gcc/*/*/libgcc.a", "/usr/lib64/gcc/*/*/libgcc.a", "/usr/local/lib/gcc/*/*/libgcc.a")


def _check_linker(caps: Capabilities) -> None:
    """PoCL links each kernel with ``ld -lgcc -lc``; say so here, as PoCL itself would abort the process."""
    if not (caps.is_pocl and caps.kind == "cpu" and caps.pocl_version < _LINKS_WITH_LD and sys.platform == "linux"):
        return
    if shutil.which("ld") is None:
        raise DeviceError(
            f"{caps.platform} {caps.pocl_version[0]}.{caps.pocl_version[1]} needs the linker `ld` to compile kernels, "
            f"and there is none on PATH: install a C toolchain (for example `apt-get install gcc libc6-dev`)"
        )
    if shutil.which("gcc") is None and not any(glob.glob(pattern) for pattern in _LIBGCC):
        warnings.warn(
            "PoCL links kernels with libgcc and libc, which were not found in the usual places; if the process aborts "
            "with 'cannot find -lgcc', install a C toolchain (for example `apt-get install gcc libc6-dev`)",
            RuntimeWarning,
            stacklevel=2,
        )


class Runtime:
    """Everything that belongs to one device. Made by ``runtime_for``, not directly.

    Attributes:
        record, caps: which device, what it can do.
        queue: launches and transfers. memory: the pool. programs: the compiler and its cache.
        inline_programs: the same for launches in the calling thread; None where the device has no such form.
    """

    def __init__(self, record: DeviceRecord) -> None:
        self.record = record
        self.caps: Capabilities = record.caps
        _check_linker(self.caps)
        device = record.cl_device
        inline = record.inline_device if settings.inline else None
        try:
            self.context = cl.Context([device] if inline is None else [device, inline])
        except cl.Error as error:
            raise translate(error, "opening the device", self.caps.name) from error
        self.queue = Queue(self.context, device, self.caps.name, inline)
        visible = settings.share_memory and probe_host_visible(self.context, self.queue.cq, self.caps)
        self.memory = Pool(self.context, self.caps, visible, self.queue.finish)
        self.programs = ProgramStore(self.context, device, self.caps, str(scratch_folder()))
        self.queue.pool = self.memory
        self.queue.programs = self.programs
        self.inline_programs: ProgramStore | None = None
        if inline is not None:
            caps = dataclasses.replace(self.caps, name=inline.name.strip())
            self.inline_programs = ProgramStore(self.context, inline, caps, str(scratch_folder()))
        _runtimes.watch(self)
        atexit.register(self._settle)

    def _settle(self) -> None:
        """At exit: PoCL aborts the process if its folder goes while it still compiles for a command."""
        if self.queue.cq is not None:
            self.queue.finish()

    @property
    def host_visible(self) -> bool:
        """NumPy can share memory with this device (``Pool.wrap``, ``Buffer.host_array``)."""
        return self.memory.host_visible

    def upload(self, array: np.ndarray) -> Buffer:
        """A new buffer with a copy of a contiguous array; does not wait for queued commands where the host can
        write.
        """
        buffer = self.memory.idle_buffer(array.nbytes) or self.memory.alloc(array.nbytes)
        self.queue.write(buffer, 0, array, fresh=True)
        return buffer

    def synchronize(self) -> None:
        """Wait for all commands of the device."""
        self.queue.finish()

    def __repr__(self) -> str:
        return f"Runtime({self.record})"


class _Runtimes:
    """The runtimes of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[int, Runtime] = {}
        self._watched: weakref.WeakSet[Runtime] = weakref.WeakSet()
        self._forked = False
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        if self._watched:
            self._forked = True
            for runtime in self._watched:
                runtime.queue.abandon()

    def watch(self, runtime: Runtime) -> None:
        """Make a runtime refuse to work in a forked child."""
        self._watched.add(runtime)

    def get(self, record: DeviceRecord) -> Runtime:
        found = self._made.get(record.number)
        if found is None or self._forked:
            if self._forked:
                raise RuntimeError(FORKED)
            with self._lock:
                found = self._made.get(record.number)
                if found is None:
                    found = self._made[record.number] = Runtime(record)
                    if settings.debug:
                        print(f"[engine] opened {record}", file=sys.stderr)
        return found

    def made(self) -> list[Runtime]:
        return list(self._made.values())


_runtimes = _Runtimes()


def runtime_for(record: DeviceRecord) -> Runtime:
    """The runtime of a device, made at the first call. Raises RuntimeError in a child forked after that."""
    return _runtimes.get(record)


def open_runtimes() -> list[Runtime]:
    """Runtimes made so far in this process."""
    return _runtimes.made()


def default_runtime() -> Runtime:
    """The runtime of ``ENGINE_DEVICE`` when it is set, else of the default device."""
    return runtime_for(find(settings.device) if settings.device else default_record())
