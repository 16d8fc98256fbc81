"""Programs of one device: building, the fast way around PoCL's large header, kernels, and the cache on disk."""

from __future__ import annotations

import atexit
import re
import sys
import threading
import time
from collections.abc import Iterable

import pyopencl as cl
from pyopencl import _cl

import cl_kernels
from engine.errors import BuildError
from engine.settings import settings

from ._invoker import share_invokers
from ._translate import status_name
from .platforms import Capabilities
from .program_cache import DiskCache, digest

share_invokers()

_FAST_OPTIONS = ("-D_OPENCL_H_", "-DENGINE_DECLARE_BUILTINS")
_START = "#line 1\n"  # begins the user's part of the text
_SAVE_DELAY = 10.0  # seconds without a new program before pending ones are written, one a finish
_PROBE = """
KATTR __kernel void eng_probe(__global float* a, long offset) {
  float8 x = (float8)(1.5f);
  a[offset + get_global_id(0)] = sqrt(x.s0) + as_float(1);
  barrier(CLK_LOCAL_MEM_FENCE);
}
"""


class Program:
    """A built program: its key and the driver's object."""

    __slots__ = ("fast", "folder", "from_cache", "handle", "key", "options", "source", "stored")

    def __init__(self, key: str, source: str, options: str, handle: _cl._Program, fast: bool) -> None:
        self.key = key
        self.source = source
        self.options = options
        self.handle = handle
        self.fast = fast
        self.folder: str | None = None  # its place in PoCL's scratch folder
        self.stored: frozenset[str] = frozenset()  # what the disk cache holds of it
        self.from_cache = False


class ProgramStore:
    """All programs of a device.

    Attributes:
        pending: keys of programs that hold compiled code the disk cache lacks.
        built, loaded: how many programs were compiled from source and how many came from the disk cache.
    """

    def __init__(self, context: cl.Context, device: cl.Device, caps: Capabilities, scratch: str) -> None:
        self._context = context
        self._device = device
        self._caps = caps
        self._programs: dict[tuple[str, tuple[str, ...]], Program] = {}
        self._by_key: dict[str, Program] = {}
        self._lock = threading.RLock()
        self._disk = DiskCache(caps, scratch)
        self._defines = _defines(caps)
        self._fast = caps.fast_headers
        self._fast_works: bool | None = None
        self._last_new = 0.0
        self.pending: set[str] = set()
        self.built = 0
        self.loaded = 0
        atexit.register(self.save_pending)

    # -- building

    def kernel(self, source: str, name: str, options: tuple[str, ...] = ()) -> cl.Kernel:
        """A new kernel object of a program, built at first use.

        Args:
            source: OpenCL C without the prelude.
            name: the kernel function.
            options: compiler options, one a string, for example ``("-DMR=6",)``.

        Raises BuildError with the compiler's log, or when the program has no such kernel.
        """
        program = self.program(source, options)
        try:
            return cl.Kernel(program.handle, name)
        except cl.Error as error:
            known = ", ".join(_kernel_names(source)) or "none"
            raise BuildError(
                f"no kernel {name!r} in the program ({status_name(error)}); it has: {known}", source=source
            ) from error

    def program(self, source: str, options: tuple[str, ...] = ()) -> Program:
        """The built program for a source and options, from memory, from disk or compiled."""
        found = self._programs.get((source, options))
        if found is None:
            with self._lock:
                found = self._programs.get((source, options))
                if found is None:
                    found = self._make(source, options)
                    self._programs[source, options] = found
                    self._by_key[found.key] = found
        return found

    def build_many(self, programs: Iterable[tuple[str, tuple[str, ...]]], pack: bool = False) -> list[Program]:
        """Build several programs; those already there cost nothing.

        Args:
            programs: (source, options) each.
            pack: sources of equal options that were not built yet are compiled as one text, which costs little more
                than one of them. For sources that do not disturb each other: helpers and macros behind include
                guards, kernel names unique. If the packed text does not compile, each is built by itself.
        """
        wanted = [(source, tuple(options)) for source, options in programs]
        if pack:
            with self._lock:
                self._build_packed([item for item in dict.fromkeys(wanted) if item not in self._programs])
        return [self.program(source, options) for source, options in wanted]

    def _build_packed(self, wanted: list[tuple[str, tuple[str, ...]]]) -> None:
        groups: dict[tuple[str, ...], list[str]] = {}
        for source, options in wanted:
            groups.setdefault(options, []).append(source)
        for options, sources in groups.items():
            names = [name for source in sources for name in _kernel_names(source)]
            if len(sources) < 2 or len(set(names)) != len(names):
                continue
            try:
                packed = self.program(f"\n{_START}".join(sources), options)
            except BuildError:
                continue  # program() will say which source is wrong
            for source in sources:
                self._programs[source, options] = packed

    def note_enqueued(self, program: Program) -> None:
        """Say that a kernel of the program ran with a local size it was not run with before.

        On PoCL that compiles code which the disk cache should get before the process ends (at exit it looks itself).
        """
        self.pending.add(program.key)
        self._last_new = time.monotonic()

    def uses_fast_headers(self) -> bool:
        """Whether sources declare their own builtins instead of reading PoCL's header."""
        return self._fast and settings.fast_headers

    def _make(self, source: str, options: tuple[str, ...]) -> Program:
        text = f"{cl_kernels.source('prelude.h')}\n{_START}{source}"
        flags = (*self._defines, *options)
        if not self.uses_fast_headers():
            return self._load_or_build(text, " ".join(flags), fast=False)
        fast_options = " ".join((*flags, *_FAST_OPTIONS))
        if self._disk.needs_header(digest(text, fast_options, self._disk.identity)):
            return self._load_or_build(text, " ".join(flags), fast=False)
        try:
            return self._load_or_build(text, fast_options, fast=True)
        except BuildError as error:
            fast_error = error
        program = self._load_or_build(text, " ".join(flags), fast=False)  # raises the user's error, if it is one
        self._disk.mark_needs_header(digest(text, fast_options, self._disk.identity))
        if self._fast_works is None:
            self._fast = self._fast_works = self._probe_fast()
        if settings.debug:
            reason = "".join(fast_error.log.strip().splitlines()[:1])
            print(f"[engine] a program needs the compiler's header: {reason}", file=sys.stderr)
        return program

    def _probe_fast(self) -> bool:
        """Whether the smallest program builds without the header; asked when another one did not."""
        text = f"{cl_kernels.source('prelude.h')}\n{_START}{_PROBE}"
        try:
            self._compile(text, " ".join((*self._defines, *_FAST_OPTIONS)))
        except BuildError:
            return False
        return True

    def _load_or_build(self, text: str, options: str, fast: bool) -> Program:
        start = time.perf_counter()
        program = self._load_or_compile(text, options, fast)
        if settings.debug:
            how = "loaded" if program.from_cache else "compiled"
            names = ", ".join(_kernel_names(text))
            print(f"[engine] {how} in {(time.perf_counter() - start) * 1e3:.1f} ms: {names}", file=sys.stderr)
        return program

    def _load_or_compile(self, text: str, options: str, fast: bool) -> Program:
        key = digest(text, options, self._disk.identity)
        entry = self._disk.load(key)
        if entry is not None:
            handle = self._disk.revive(entry, self._context, self._device, text, options)
            if handle is not None:
                program = Program(key, text, options, handle, fast)
                program.stored = frozenset(entry.files)
                program.folder = entry.folder
                program.from_cache = True
                self.loaded += 1
                return program
        before = self._disk.snapshot()
        handle = self._compile(text, options)
        if fast:
            self._fast_works = True
        program = Program(key, text, options, handle, fast)
        program.folder = self._disk.new_folder(before)
        self.built += 1
        self.note_enqueued(program)
        return program

    def _compile(self, text: str, options: str) -> _cl._Program:
        if settings.debug >= 4:
            print(f"[engine] building with {options}\n{text[text.find(_START) + len(_START) :]}", file=sys.stderr)
        try:
            handle = _cl._Program(self._context, text)
            handle._build(options.encode(), [self._device])
        except cl.Error as error:
            log = _build_log(handle, self._device)
            message = f"building an OpenCL program failed with {status_name(error)} on {self._caps.name}"
            raise BuildError(f"{message}\n{log.strip()}\n{_extract(text, log)}", log, text, options) from error
        return handle

    # -- disk cache

    def save_when_due(self) -> None:
        """Write one pending program (about 1 ms) when no new one came for a while; called when the queue is idle."""
        if time.monotonic() - self._last_new > _SAVE_DELAY:
            with self._lock:
                if self.pending:
                    self._disk.store(self._by_key[self.pending.pop()])
                    if not self.pending:
                        self._disk.trim()

    def save_pending(self) -> int:
        """Write all compiled code that the disk cache lacks; called at exit. Returns how many programs were written."""
        with self._lock:
            self.pending.clear()
            written = sum(self._disk.store(program) for program in self._by_key.values())
            if written:
                self._disk.trim()
        return written


def _kernel_names(source: str) -> list[str]:
    return re.findall(r"\b(?:__)?kernel\b[^;{}]*?\bvoid\s+(\w+)\s*\(", source)


def _defines(caps: Capabilities) -> tuple[str, ...]:
    found = ["-w", "-DENGINE=1"]  # -w: PoCL prints a count of warnings to stderr otherwise
    if caps.fp64:
        found.append("-DENGINE_FP64")
    if caps.fp16:
        found.append("-DENGINE_FP16")
    if caps.int64_atomics:
        found.append("-DENGINE_INT64_ATOMICS")
    if caps.is_pocl:
        found.append("-DENGINE_PLATFORM_POCL")
    if caps.clang_cpu:
        found.append("-DENGINE_CLANG_CPU")
    found.append("-DENGINE_CPU" if caps.is_cpu else "-DENGINE_GPU")
    found.append(f"-DENGINE_FLOAT_WIDTH={caps.float_vector_width}")
    return tuple(found)


def _build_log(handle: _cl._Program, device: cl.Device) -> str:
    try:
        return str(handle.get_build_info(device, cl.program_build_info.LOG))
    except cl.Error as error:
        return f"(no build log: {status_name(error)})"


def _extract(text: str, log: str, around: int = 4) -> str:
    """Numbered lines of the user's part of the source near the first error that names a line."""
    lines = text[text.find(_START) + len(_START) :].splitlines()
    for found in re.finditer(r":(\d+):\d+:|line (\d+)", log):
        number = int(found[1] or found[2])
        if 1 <= number <= len(lines):
            low, high = max(number - around, 1), min(number + around, len(lines))
            rows = (f"{'>' if n == number else ' '} {n:4} | {lines[n - 1]}" for n in range(low, high + 1))
            return "\n".join(rows)
    return "\n".join(f"  {n:4} | {line}" for n, line in enumerate(lines[:20], 1))
