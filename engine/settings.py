"""The settings object: the only place where environment variables are read or set.

Each setting has an environment variable that gives its initial value and can be changed while the program runs
(``engine.config.debug = 2``).
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_TRUE = frozenset(("1", "true", "yes", "on"))
_FALSE = frozenset(("0", "false", "no", "off", ""))
_SCRATCH_MIN_FREE = 512 << 20  # bytes a memory file system must have free before compiler scratch files go there

_SCRATCH_PREFIX = "engine-pocl-"


def _flag(text: str) -> bool:
    value = text.strip().lower()
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ValueError(f"expected a switch (0 or 1), got {text!r}")


def _size(text: str) -> int | None:
    """Bytes: a plain number or one with the suffix K, M, G or T (powers of 1024)."""
    value = text.strip().upper().removesuffix("IB").removesuffix("B")
    if not value:
        return None
    scale = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}.get(value[-1])
    return int(float(value[:-1]) * scale) if scale else int(value)


def _schedule(text: str) -> str:
    value = text.strip().lower() or "auto"
    if value not in ("auto", "cpu", "gpu"):
        raise ValueError(f"expected auto, cpu or gpu, got {text!r}")
    return value


def _debug(text: str) -> int:
    value = int(text or 0)
    if not 0 <= value <= 4:
        raise ValueError(f"expected a level from 0 to 4, got {text!r}")
    return value


def _setting(default: Any, read: Callable[[str], Any], doc: str) -> Any:
    return field(default=default, metadata={"read": read, "doc": doc})


@dataclass
class Settings:
    """All settings; ``Settings.from_env()`` reads ``ENGINE_<NAME>`` for each field.

    Raises ValueError naming the setting when a value is not valid, both from the environment and on assignment.
    """

    device: str = _setting("", str.strip, "default device: a number, cpu, gpu, cpu:1, or part of a device's name")
    debug: int = _setting(0, _debug, "0 quiet; 1 devices and caches; 2 one line a kernel; 3 fused groups; 4 sources")
    cache_dir: str = _setting("", str.strip, "folder of compiled programs and tuning results; empty: the user's cache")
    cache: bool = _setting(True, _flag, "keep compiled programs on disk between runs")
    cache_limit: int = _setting(512 << 20, _size, "bound on the total size of compiled programs on disk, bytes")
    fusion: bool = _setting(True, _flag, "fuse pointwise and reduce groups; 0 runs each primitive on its own")
    schedule: str = _setting("auto", _schedule, "kernel schedules: auto follows the device; cpu or gpu forces one")
    memory_limit: int | None = _setting(None, _size, "bound on device memory reserved by the pool, bytes (or 2G, 512M)")
    share_memory: bool = _setting(True, _flag, "kernels work in the host's memory on CPUs; 0 transfers as for a GPU")
    conv_winograd: bool = _setting(True, _flag, "let 3x3 convolutions use Winograd F(4x4,3x3) where it is faster")
    inline: bool = _setting(True, _flag, "run small plans in the calling thread (PoCL's basic driver), not by workers")
    fast_headers: bool = _setting(True, _flag, "declare builtins in the source instead of PoCL's 1 MB header")
    tuned: bool = _setting(True, _flag, "use the kernel choices that `python -m engine tune` measured and stored")

    def __setattr__(self, name: str, value: Any) -> None:
        info = self.__dataclass_fields__.get(name)
        if info is None:
            raise AttributeError(f"there is no setting {name!r}; settings are: {', '.join(self.names())}")
        if isinstance(value, str) and info.metadata["read"] is not str.strip:
            value = _parse(name, value, info.metadata["read"])
        elif name in ("debug", "schedule"):
            value = _parse(name, str(value), info.metadata["read"])
        object.__setattr__(self, name, value)
        for observer in self.__dict__.get("_observers", {}).get(name, ()):
            observer(getattr(self, name))

    def observe(self, name: str, observer: Callable[[Any], None]) -> None:
        """Call ``observer(value)`` whenever a setting is changed."""
        self.__dict__.setdefault("_observers", {}).setdefault(name, []).append(observer)

    @classmethod
    def names(cls) -> list[str]:
        """Names of all settings."""
        return [f.name for f in fields(cls)]

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Settings from ``ENGINE_*`` variables (default: the process's environment)."""
        environ = os.environ if environ is None else environ
        found = {}
        for f in fields(cls):
            text = environ.get("ENGINE_" + f.name.upper())
            if text is not None:
                found[f.name] = _parse("ENGINE_" + f.name.upper(), text, f.metadata["read"])
        return cls(**found)

    def describe(self) -> str:
        """One line a setting: variable, present value, meaning."""
        rows = []
        for f in fields(self):
            rows.append(f"ENGINE_{f.name.upper():<16} {getattr(self, f.name)!s:<12} {f.metadata['doc']}")
        return "\n".join(rows)

    def cache_path(self, *parts: str) -> Path:
        """Path inside the cache folder (not created): ENGINE_CACHE_DIR, else XDG_CACHE_HOME, else ~/.cache."""
        if self.cache_dir:
            root = Path(self.cache_dir).expanduser()
        else:
            base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
            root = (Path(base) if base else Path("~/.cache").expanduser()) / "engine-opencl"
        return root.joinpath(*parts)


def _parse(name: str, text: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"setting {name}: {error}") from None


def _pin_workers() -> bool:
    """Pinned PoCL workers only where the process may use every core; PoCL pins to cores 0..n-1."""
    allowed = getattr(os, "sched_getaffinity", None)
    return allowed is not None and len(allowed(0)) == os.cpu_count()


def _can_hold_scratch(folder: str) -> bool:
    """Writable, room enough, and shared objects may be loaded from it."""
    if not (os.path.isdir(folder) and os.access(folder, os.W_OK) and hasattr(os, "statvfs")):
        return False
    info = os.statvfs(folder)
    return not info.f_flag & getattr(os, "ST_NOEXEC", 8) and info.f_bavail * info.f_frsize >= _SCRATCH_MIN_FREE


@dataclass
class _Scratch:
    """The private folder PoCL compiles in; one a process, as several sharing one can race."""

    path: Path | None = None
    owner: int = 0

    def create(self) -> Path:
        if self.path is None:
            base = os.environ.get("POCL_CACHE_DIR")
            if base and os.path.basename(base).startswith(_SCRATCH_PREFIX):
                base = os.path.dirname(base)  # inherited from a parent process, which may end and remove it
            if base:
                os.makedirs(base, exist_ok=True)
            elif _can_hold_scratch("/dev/shm"):
                base = "/dev/shm"
            else:
                base = tempfile.gettempdir()
            self._remove_stale(Path(base))
            self.path = Path(tempfile.mkdtemp(prefix=f"{_SCRATCH_PREFIX}{os.getpid()}-", dir=base))
            self.owner = os.getpid()
            atexit.register(self.remove)
        return self.path

    def remove(self) -> None:
        if self.path is not None and self.owner == os.getpid():
            shutil.rmtree(self.path, ignore_errors=True)

    @staticmethod
    def _remove_stale(base: Path) -> None:
        """Folders whose process is gone (killed before it could clean up)."""
        for folder in base.glob(f"{_SCRATCH_PREFIX}*"):
            pid = folder.name.removeprefix(_SCRATCH_PREFIX).split("-")[0]
            if pid.isdigit() and not os.path.exists(f"/proc/{pid}") and os.path.isdir("/proc/self"):
                shutil.rmtree(folder, ignore_errors=True)


_scratch = _Scratch()


def _prepare_import() -> None:
    """What PoCL and pyopencl read when they are loaded.

    - ``POCL_AFFINITY=1`` (unless set): otherwise both workers of a short kernel often land on one core.
    - ``POCL_DEVICES`` (unless set): with the wheel's PoCL 3, also its driver that runs kernels in the calling thread,
      which needs no worker to wake up: 1 us a launch instead of 30.
    - pyopencl's own binary and invoker caches off: not used.
    """
    if find_spec("pocl_binary_distribution") is not None:
        os.environ.setdefault("POCL_DEVICES", "pthread basic")
    if _pin_workers():
        os.environ.setdefault("POCL_AFFINITY", "1")
    os.environ.setdefault("PYOPENCL_NO_CACHE", "1")


def scratch_folder() -> Path:
    """PoCL's folder for compiling: private to the process, below ``POCL_CACHE_DIR`` if that is set, removed at exit.

    Call before the first use of OpenCL. Compiled programs are kept between runs by the library's own cache, which
    checks what it loads.
    """
    folder = _scratch.create()
    os.environ["POCL_CACHE_DIR"] = str(folder)
    return folder


def hub_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where downloads are kept: ENGINE_HUB_DIR, else PyTorch's place, so that its files are found."""
    environ = os.environ if environ is None else environ
    own = environ.get("ENGINE_HUB_DIR")
    if own:
        return Path(own).expanduser()
    home = environ.get("TORCH_HOME") or Path(environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return Path(home).expanduser() / "hub"


def let_children_import(folder: str) -> None:
    """Make processes started from here find the modules in ``folder`` first."""
    rest = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join((folder, rest) if rest else (folder,))


_prepare_import()
settings = Settings.from_env()
