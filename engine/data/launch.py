"""Starting worker processes from a program that may have an OpenCL context (which must never be forked)."""

from __future__ import annotations

import atexit
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import multiprocessing.spawn
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable

from ..as_torch import is_installed
from .channel import CAN_PASS_FILES, Channel
from .forkserver import PID, STATUS

HAS_SERVER = CAN_PASS_FILES and hasattr(os, "fork")
_LOST = 255  # the exit code of a worker whose server died before it could tell


class ForkServer:
    """The program's side of the process in ``forkserver.py``; started on first use, restarted if it ended."""

    def __init__(self) -> None:
        self._forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)
        self._exit_registered = False

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._control: Channel | None = None
        self._process: subprocess.Popen | None = None
        self._retired: list[subprocess.Popen] = []
        self._modules: dict[str, float | None] = {}

    def prestart(self) -> None:
        """Start the server if it is not running, without waiting for it."""
        with self._lock:
            self._ensure()

    def launch(self, name: str, worker_id: int, sock: socket.socket, modules: Iterable[str]) -> tuple[int, int]:
        """Fork a worker that serves ``sock``; returns its pid and the descriptor its exit code will come on."""
        request = {
            "name": name,
            "worker_id": worker_id,
            "sys_path": _absolute_path(),
            "argv": list(sys.argv),
            "environ": dict(os.environ),
            "cwd": os.getcwd(),
            "as_torch": is_installed(),
            "modules": sorted(modules),
        }
        with self._lock:
            if self._is_outdated(request["modules"]):
                self._retire()
            try:
                return self._request(request, sock)
            except (EOFError, OSError):  # it ended meanwhile
                self._retire()
            try:
                return self._request(request, sock)
            except (EOFError, OSError) as error:
                process = self._retire()
                code = None if process is None else process.poll()
                raise RuntimeError(f"the process that starts DataLoader workers ended (exit code {code})") from error

    def stop(self) -> None:
        """End the server and wait for it; it waits for its workers."""
        with self._lock:
            self._retire()
            for process in self._retired:
                try:
                    process.wait(2)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            self._retired.clear()

    def _request(self, request: dict, sock: socket.socket) -> tuple[int, int]:
        self._ensure()
        status_read, status_write = os.pipe()
        try:
            self._control.send(pickle.dumps(request), (sock.fileno(), status_write))
            (pid,) = PID.unpack(self._control.recv()[0])
        except (EOFError, OSError):
            os.close(status_read)
            raise
        finally:
            os.close(status_write)
        return pid, status_read

    def _ensure(self) -> None:
        self._retired = [process for process in self._retired if process.poll() is None]
        if self._process is not None and self._process.poll() is not None:
            self._retire()
        if self._process is not None:
            return
        control, theirs = socket.socketpair()
        module = f"{__package__}.forkserver"
        code = f"import sys; sys.path[:] = {_absolute_path()!r}; from {module} import main; main({theirs.fileno()})"
        flags = subprocess._args_from_interpreter_flags()
        environ = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", **os.environ}
        self._process = subprocess.Popen(
            [os.fsdecode(multiprocessing.spawn.get_executable()), *flags, "-c", code],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env=environ,
        )
        theirs.close()
        self._control = Channel(control)
        if not self._exit_registered:
            self._exit_registered = True
            atexit.register(self.stop)

    def _retire(self) -> subprocess.Popen | None:
        """Let the server end, which it does when its workers have; the next request starts another."""
        process = self._process
        if process is not None:
            self._control.close()
            self._retired.append(process)
        self._process = self._control = None
        self._modules = {}
        return process

    def _is_outdated(self, modules: Iterable[str]) -> bool:
        """Whether a module's file changed since the server imported it (as happens in interactive work)."""
        stamps = {name: _stamp(name) for name in modules}
        outdated = any(self._modules.get(name, stamp) != stamp for name, stamp in stamps.items())
        self._modules = stamps if outdated else self._modules | stamps
        return outdated


def _absolute_path() -> list[str]:
    return [entry or os.getcwd() for entry in sys.path]


def _stamp(name: str) -> float | None:
    file = getattr(sys.modules.get(name), "__file__", None)
    try:
        return os.stat(file).st_mtime if file else None
    except OSError:
        return None


_server = ForkServer()


def prestart_server() -> None:
    """Have the server started and importing while the program goes on."""
    if HAS_SERVER and not multiprocessing.current_process().daemon:
        _server.prestart()


class _ServerPopen:
    """The handle by which multiprocessing's Process follows a process that the server forked."""

    method = "engine-server"

    def __init__(self, process: ServerProcess) -> None:
        self.returncode: int | None = None
        self.sentinel = -1
        self.pid, self.sentinel = _server.launch(process.name, process.worker_id, process.sock, process.modules)

    def poll(self, flag: int = 0) -> int | None:
        """The exit code, None while it runs."""
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit code, None if it still runs after ``timeout`` seconds."""
        if self.returncode is None and multiprocessing.connection.wait([self.sentinel], timeout):
            data = os.read(self.sentinel, STATUS.size)
            self.returncode = STATUS.unpack(data)[0] if len(data) == STATUS.size else _LOST
        return self.returncode

    def terminate(self) -> None:
        """Send SIGTERM."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Close the descriptor."""
        if self.sentinel >= 0:
            os.close(self.sentinel)
            self.sentinel = -1

    def _signal(self, number: int) -> None:
        if self.poll() is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def __del__(self) -> None:
        self.close()


class ServerProcess(multiprocessing.process.BaseProcess):
    """A worker forked by the server, with the interface of ``multiprocessing.Process``."""

    _start_method = _ServerPopen.method

    def __init__(self, worker_id: int, sock: socket.socket, modules: Iterable[str]) -> None:
        super().__init__(daemon=True)
        self.worker_id = worker_id
        self.sock = sock
        self.modules = modules

    @staticmethod
    def _Popen(process: ServerProcess) -> _ServerPopen:
        return _ServerPopen(process)


def wait_for_exit(process: multiprocessing.process.BaseProcess, seconds: float) -> None:
    """Wait for a worker; terminate it, then kill it, if it does not end in time."""
    process.join(seconds)
    if process.is_alive():
        process.terminate()
        process.join(1)
    if process.is_alive():
        process.kill()
        process.join(1)


def join_all(processes: Iterable[multiprocessing.process.BaseProcess], seconds: float) -> None:
    """Wait for workers that were told to stop, all within ``seconds``; force those that do not."""
    deadline = time.monotonic() + seconds
    for process in processes:
        wait_for_exit(process, max(0.0, deadline - time.monotonic()))
