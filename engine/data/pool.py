"""The worker processes of one iterator: starting them, talking to them, noticing that one died, ending them."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import selectors
import signal
from dataclasses import dataclass, field
from multiprocessing.context import BaseContext
from typing import Any

from ..as_torch import Names
from ..opencl import open_runtimes
from .channel import Channel
from .launch import HAS_SERVER, ServerProcess, join_all
from .segments import SegmentTable
from .transport import Payload, decode, dumps
from .workers import DATA, ERROR, RESET, STOP, TASK, Job, named_worker_main

STOP_SECONDS = 5.0  # how long a worker may take to finish the sample it is at when it is told to stop
_PICKLE_ERRORS = (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError)


@dataclass
class _Member:
    process: Any
    channel: Channel
    table: SegmentTable = field(default_factory=SegmentTable)
    stopped: bool = False


@dataclass(frozen=True)
class Answer:
    """What came back for one task."""

    worker: int
    kind: int
    epoch: int
    task: int
    data: Any


class WorkerPool:
    """``job.num_workers`` processes. ``context=None`` starts them safely beside an OpenCL context.

    Raises PicklingError when the job cannot be sent to them.
    """

    def __init__(self, job: Job, context: BaseContext | None, lease_limit: int) -> None:
        self._pid = os.getpid()
        self._lease_limit = lease_limit
        self._selector = selectors.DefaultSelector()
        self.members: list[_Member] = []
        self.closed = False
        payload, context = _prepare(job, context)
        try:
            for worker_id in range(job.num_workers):
                self._start(worker_id, job, payload, context)
        except BaseException:
            self.close(0.0)
            raise
        finally:
            if payload is not None:
                payload.close()

    def _start(self, worker_id: int, job: Job, payload: Payload | None, context: BaseContext | None) -> None:
        channel, theirs = Channel.pair()
        with theirs:
            if context is not None:
                args = (Names(), theirs, worker_id, job if payload is None else None)
                process: Any = context.Process(target=named_worker_main, args=args, daemon=True)
            else:
                process = ServerProcess(worker_id, theirs, payload.modules)
            process.start()
        self.members.append(_Member(process, channel))
        self._selector.register(channel, selectors.EVENT_READ, worker_id)
        if payload is not None:
            self._send(worker_id, payload.message, payload.fds)

    def submit(self, worker: int, epoch: int, task: int, index: Any) -> None:
        """Ask ``worker`` for the batch at ``index``."""
        returned = self.members[worker].table.returned()
        self._send(worker, TASK + dumps((epoch, task, index, returned)))

    def reset(self, epoch: int) -> None:
        """Begin a new pass over the dataset in every worker; what was asked for before is void."""
        for worker in range(len(self.members)):
            self._send(worker, RESET + str(epoch).encode())

    def stop(self, worker: int) -> None:
        """Let one worker end; the others go on."""
        member = self.members[worker]
        if not member.stopped:
            member.stopped = True
            try:
                member.channel.send(STOP)
            except OSError:
                pass  # it has ended already

    def receive(self, timeout: float | None) -> list[Answer]:
        """The answers that are there, after waiting up to ``timeout`` seconds (None: for ever) for the first.

        Raises RuntimeError when a worker has died.
        """
        if self.closed:
            raise RuntimeError("the DataLoader's worker processes have ended; begin a new iteration")
        answers = []
        for key, _ in self._selector.select(timeout):
            member = self.members[key.data]
            try:
                message, fds = member.channel.recv()
            except (EOFError, ConnectionResetError):
                self._selector.unregister(member.channel)
                if not member.stopped:
                    self._report_death(member)
                continue
            except BaseException:  # interrupted inside a message: the connection cannot be used any more
                self.close(0.0)
                raise
            kind, epoch, task, parts = pickle.loads(message)
            data = decode(parts, fds, member.table, self._lease_limit)
            answers.append(Answer(key.data, kind, epoch, task, data))
        return answers

    def close(self, seconds: float = STOP_SECONDS) -> None:
        """End all workers; those that take longer than ``seconds`` are terminated."""
        if self.closed or self._pid != os.getpid():
            return
        self.closed = True
        for worker in range(len(self.members)):
            self.stop(worker)
        join_all([member.process for member in self.members], seconds)
        for member in self.members:
            member.channel.close()
        self._selector.close()

    def _send(self, worker: int, message: bytes, fds: tuple[int, ...] = ()) -> None:
        member = self.members[worker]
        try:
            member.channel.send(message, fds)
        except (BrokenPipeError, ConnectionResetError):
            self._report_death(member)

    def _report_death(self, dead: _Member) -> None:
        dead.process.join(1)
        died = [m.process for m in self.members if not m.stopped and (m is dead or not m.process.is_alive())]
        pids = ", ".join(str(process.pid) for process in died)
        details = " ".join(_obituary(process.pid, process.exitcode) for process in died)
        self.close(1.0)
        raise RuntimeError(f"DataLoader worker (pid(s) {pids}) exited unexpectedly. {details}")


def _prepare(job: Job, context: BaseContext | None) -> tuple[Payload | None, BaseContext | None]:
    """How to start the workers: the pickled job (None: they inherit it by fork), and the context (None: our server)."""
    if context is None and not HAS_SERVER:
        context = multiprocessing.get_context("spawn")
    if context is not None and context.get_start_method() == "fork":
        return None, context
    try:
        return Payload(job), context
    except _PICKLE_ERRORS as error:
        if context is None and not open_runtimes():
            return None, multiprocessing.get_context("fork")  # nothing to lose yet: as safe as in any program
        raise pickle.PicklingError(_explain(job, error)) from error


def _explain(job: Job, error: BaseException) -> str:
    where = "the loader's arguments"
    for name in ("dataset", "collate_fn", "init_fn"):
        value = getattr(job, name)
        if not _can_send(value):
            where = "worker_init_fn" if name == "init_fn" else name
            bad = [key for key, item in getattr(value, "__dict__", {}).items() if not _can_send(item)]
            where += f" (attribute {', '.join(bad)})" if bad and not isinstance(value, type) else ""
            break
    return (
        f"cannot send {where} to the DataLoader's worker processes: {error}. Open such things (files, locks, "
        "connections, generators) inside the worker instead, in worker_init_fn or when the first sample is read, or "
        "define __getstate__ to leave them out. multiprocessing_context='fork' needs no pickling; use it only in a "
        "program that has not used an OpenCL device yet."
    )


def _can_send(value: Any) -> bool:
    try:
        Payload(value).close()
    except _PICKLE_ERRORS:
        return False
    return True


def _obituary(pid: int, code: int | None) -> str:
    if code is None or code >= 0:
        return f"DataLoader worker (pid {pid}) ended by itself (exit code {code}); num_workers=0 may show why."
    hint = ""
    if -code == signal.SIGKILL:
        hint = " The system may have run out of memory."
    name = signal.strsignal(-code) or f"signal {-code}"
    return f"DataLoader worker (pid {pid}) is killed by signal: {name}. (exit code {code}){hint}"


__all__ = ["DATA", "ERROR", "Answer", "WorkerPool"]
