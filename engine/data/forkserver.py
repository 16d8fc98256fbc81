"""The process that worker processes are forked from.

It is a fresh interpreter (not a fork of the program), has imported this library and computes on the host only, so there
is no OpenCL context, queue or driver thread in it and forking it is safe however the program uses its devices. Modules
that the datasets need are imported here once, before forking, so that a worker starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import multiprocessing
import os
import pickle
import selectors
import signal
import socket
import struct
import sys
from typing import Any

from ..as_torch import restore_names
from .channel import Channel
from .workers import _enter_worker, worker_main

STATUS = struct.Struct("<q")  # an exit code, negative for a signal
PID = struct.Struct("<q")
IDLE_SECONDS = 60.0  # without workers for so long, the server ends; the next loader starts another


def main(fd: int) -> None:
    """Serve the program at the other end of the socket ``fd``; ends with it, when its workers have ended."""
    signal.signal(signal.SIGINT, lambda *_: None)
    # A module that starts workers when it is imported gets an error here rather than a server of its own, and so on.
    multiprocessing.current_process().daemon = True
    _enter_worker()
    _Server(Channel(socket.socket(fileno=fd))).run()


class _Server:
    def __init__(self, control: Channel) -> None:
        self._control = control
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._children: dict[int, int] = {}  # pid -> descriptor to report its exit on
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)

    def run(self) -> None:
        selector = selectors.DefaultSelector()
        selector.register(self._wake_read, selectors.EVENT_READ)
        selector.register(self._control, selectors.EVENT_READ)
        open_for_requests = True
        while open_for_requests or self._children:
            ready = selector.select(None if self._children else IDLE_SECONDS)
            if not ready and not self._children:
                return
            for key, _ in ready:
                if key.fileobj is self._wake_read:
                    self._reap()
                    continue
                try:
                    message, fds = self._control.recv()
                except (EOFError, OSError):
                    selector.unregister(self._control)
                    open_for_requests = False
                else:
                    self._launch(pickle.loads(message), *fds)

    def _reap(self) -> None:
        try:
            while self._wake_read.recv(4096):
                pass
        except BlockingIOError:
            pass
        for pid, report in list(self._children.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self._children[pid]
                try:
                    os.write(report, STATUS.pack(os.waitstatus_to_exitcode(status)))
                except BrokenPipeError:
                    pass  # nobody asks any more
                os.close(report)

    def _launch(self, request: dict[str, Any], sock_fd: int, report: int) -> None:
        _adopt(request)
        for name in request["modules"]:
            # What goes wrong in the user's module, the worker meets again and reports.
            with contextlib.suppress(Exception, SystemExit):
                importlib.import_module(name)
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            self._become_worker(request, sock_fd)
        self._children[pid] = report
        os.close(sock_fd)
        self._control.send(PID.pack(pid))

    def _become_worker(self, request: dict[str, Any], sock_fd: int) -> None:
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for end in (self._control, self._wake_read, self._wake_write):
                end.close()
            for report in self._children.values():
                os.close(report)
            multiprocessing.current_process().name = request["name"]
            worker_main(socket.socket(fileno=sock_fd), request["worker_id"])
            code = 0
        except SystemExit as leave:
            code = leave.code if isinstance(leave.code, int) else int(leave.code is not None)
        except BaseException:  # nothing may return into the server's loop
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)


def _adopt(request: dict[str, Any]) -> None:
    """Take on the program's surroundings: what a fork of it would have."""
    sys.path[:] = request["sys_path"]
    sys.argv[:] = request["argv"]
    restore_names(request["as_torch"])
    if dict(os.environ) != request["environ"]:
        os.environ.clear()
        os.environ.update(request["environ"])
    try:
        os.chdir(request["cwd"])
    except OSError:
        pass  # the directory is gone; the worker may not need it
