"""``spawn(fn, args, nprocs)``: several processes that run one function, with their errors brought back."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from ..as_torch import Names


class ProcessException(Exception):
    """A process failed. Attributes: its index, its pid."""

    def __init__(self, msg: str, error_index: int, pid: int) -> None:
        super().__init__(msg)
        self.msg = msg
        self.error_index = error_index
        self.pid = pid

    def __reduce__(self) -> tuple:
        return type(self), (self.msg, self.error_index, self.pid)


class ProcessRaisedException(ProcessException):
    """The function raised an exception; the message is its traceback."""

    def __init__(self, msg: str, error_index: int, error_pid: int) -> None:
        super().__init__(msg, error_index, error_pid)


class ProcessExitedException(ProcessException):
    """The process ended by a signal or with a non-zero exit code."""

    def __init__(
        self, msg: str, error_index: int, error_pid: int, exit_code: int, signal_name: str | None = None
    ) -> None:
        super().__init__(msg, error_index, error_pid)
        self.exit_code = exit_code
        self.signal_name = signal_name

    def __reduce__(self) -> tuple:
        return type(self), (self.msg, self.error_index, self.pid, self.exit_code, self.signal_name)


def _run(names: Names, fn: Callable[..., Any], index: int, args: tuple, errors: Any) -> None:
    try:
        fn(index, *args)
    except KeyboardInterrupt:
        pass
    except Exception:  # the user's function; its traceback goes to the parent
        errors.put(traceback.format_exc())
        sys.exit(1)


class ProcessContext:
    """The processes started by ``spawn(..., join=False)``."""

    def __init__(self, processes: list[Any], errors: list[Any]) -> None:
        self.processes = processes
        self.error_queues = errors
        self._running = dict(enumerate(processes))

    def pids(self) -> list[int]:
        """Process ids."""
        return [process.pid for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait until a process ends; True when all have. Ends the others and raises if one failed."""
        if not self._running:
            return True
        sentinels = {process.sentinel: index for index, process in self._running.items()}
        failed = None
        for sentinel in multiprocessing.connection.wait(list(sentinels), timeout):
            index = sentinels[sentinel]
            process = self._running.pop(index)
            process.join()
            if process.exitcode and failed is None:
                failed = index
        if failed is None:
            return not self._running
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.join(grace_period or 30)
        raise self._failure(failed)

    def _failure(self, index: int) -> ProcessException:
        process, errors = self.processes[index], self.error_queues[index]
        if not errors.empty():
            text = f"\n\n-- Process {index} terminated with the following error:\n{errors.get()}"
            return ProcessRaisedException(text, index, process.pid)
        code = process.exitcode
        if code < 0:
            name = signal.Signals(-code).name
            return ProcessExitedException(
                f"process {index} terminated with signal {name}", index, process.pid, code, name
            )
        return ProcessExitedException(f"process {index} terminated with exit code {code}", index, process.pid, code)


SpawnContext = ProcessContext


def start_processes(
    fn: Callable[..., Any],
    args: tuple = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Run ``fn(i, *args)`` in ``nprocs`` processes; see ``spawn``."""
    context = multiprocessing.get_context(start_method)
    processes, errors = [], []
    for index in range(nprocs):
        queue = context.SimpleQueue()
        process = context.Process(target=_run, args=(Names(), fn, index, args, queue), daemon=daemon)
        process.start()
        errors.append(queue)
        processes.append(process)
    started = ProcessContext(processes, errors)
    if not join:
        return started
    while not started.join():
        pass
    return None


def spawn(
    fn: Callable[..., Any],
    args: tuple = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Run ``fn(i, *args)`` in ``nprocs`` new processes and wait for them.

    Raises ProcessRaisedException with the traceback, or ProcessExitedException, when one fails; the others are ended.
    With ``join=False`` returns a ProcessContext at once.
    """
    if start_method != "spawn":
        raise ValueError("spawn() starts processes by 'spawn'; for other methods use start_processes()")
    return start_processes(fn, args, nprocs, join, daemon, start_method)
