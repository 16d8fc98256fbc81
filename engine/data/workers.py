"""What runs in a worker process: fetch the batches asked for and send them back.

A worker runs Python and NumPy only and never touches OpenCL. It ends when it is told to, and at once when the process
it works for is gone (the connection reads EOF), even in the middle of a sample.
"""

from __future__ import annotations

import os
import pickle
import queue
import random
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..as_torch import Names
from ..graph import host
from ..random import manual_seed
from .channel import Channel, close_parent_ends
from .exceptions import ExceptionWrapper
from .fetch import _DatasetKind
from .segments import SegmentRing
from .transport import Payload, encode
from .worker_info import WorkerInfo, set_worker_info

TASK, RESET, STOP = b"T", b"R", b"S"  # the first byte of a request
DATA, ERROR, END = 0, 1, 2  # the kind of an answer


@dataclass(frozen=True)
class Job:
    """What all workers of one iterator have in common."""

    dataset_kind: int
    dataset: Any
    auto_collation: bool
    collate_fn: Callable
    drop_last: bool
    base_seed: int
    init_fn: Callable[[int], None] | None
    num_workers: int


def _enter_worker() -> None:
    """Make this process compute tensors on the host, with NumPy."""
    host.enable_worker_mode()


def seed_everything(base_seed: int, worker_id: int) -> int:
    """Seed the tensor library and ``random`` with ``base_seed + worker_id``; return that.

    NumPy's global generator gets a state hashed from both (NumPy's SeedSequence), so that workers of loaders with
    neighbouring seeds do not share streams.
    """
    seed = base_seed + worker_id
    random.seed(seed)
    manual_seed(seed)
    entropy = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    np.random.seed(np.random.SeedSequence(entropy).generate_state(4))
    return seed


class _Inbox:
    """Requests, read by a thread of their own so that the sender never waits and its end is noticed at once."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._requests: queue.SimpleQueue = queue.SimpleQueue()
        self.epoch = 0
        self.stopping = False
        threading.Thread(target=self._read, daemon=True).start()

    def get(self) -> tuple[bytearray, list[int]]:
        """The next request; waits for one."""
        return self._requests.get()

    def _read(self) -> None:
        while True:
            try:
                message, fds = self._channel.recv()
            except (EOFError, OSError):
                os._exit(0)  # nobody is left to work for
            if message[:1] == STOP:
                self.stopping = True
            elif message[:1] == RESET:
                self.epoch = int(message[1:])  # requests of earlier epochs still queued are void
            self._requests.put((message, fds))


class _Worker:
    def __init__(self, channel: Channel, worker_id: int, job: Job | None) -> None:
        self.channel = channel
        self.inbox = _Inbox(channel)
        self.ring = SegmentRing()
        self.job = job
        self.fetcher: Any = None
        self.failure: ExceptionWrapper | None = None
        self.ended = False
        self.id = worker_id
        self.where = f"in DataLoader worker process {worker_id}"

    def run(self) -> None:
        self._attempt(self._prepare)
        while not self.inbox.stopping:
            message, _ = self.inbox.get()
            if message[:1] == RESET:
                self.ended = False
                if self.job is not None:
                    self._attempt(self._start_fetching)
            elif message[:1] == TASK:
                epoch, number, index, returned = pickle.loads(memoryview(message)[1:])
                self.ring.release(returned)
                if epoch == self.inbox.epoch and not self.ended:
                    self._answer(epoch, number, index)

    def _attempt(self, step: Callable[[], None]) -> None:
        self.failure = None
        try:
            step()
        except Exception:  # the user's code: reported where the first batch is asked for
            self.failure = ExceptionWrapper(where=self.where)

    def _prepare(self) -> None:
        if self.job is None:
            self.job = Payload.load(*self.inbox.get())
        job = self.job
        seed = seed_everything(job.base_seed, self.id)
        set_worker_info(WorkerInfo(id=self.id, num_workers=job.num_workers, seed=seed, dataset=job.dataset))
        if job.init_fn is not None:
            job.init_fn(self.id)
        self._start_fetching()

    def _start_fetching(self) -> None:
        job = self.job
        self.fetcher = _DatasetKind.create_fetcher(
            job.dataset_kind, job.dataset, job.auto_collation, job.collate_fn, job.drop_last
        )

    def _answer(self, epoch: int, number: int, index: Any) -> None:
        kind, result = DATA, None
        if self.failure is not None:
            kind, result = ERROR, self.failure
        else:
            try:
                result = self.fetcher.fetch(index)
                self._send(DATA, epoch, number, result)
                return
            except Exception as error:  # the user's code, or a result that cannot be pickled
                if isinstance(error, StopIteration) and self.job.dataset_kind == _DatasetKind.Iterable:
                    self.ended = True
                    kind = END
                else:
                    kind, result = ERROR, ExceptionWrapper(where=self.where)
        try:
            self._send(kind, epoch, number, result)
        except (pickle.PicklingError, TypeError, AttributeError):  # an exception type that cannot be sent
            result.exc_type = RuntimeError
            self._send(kind, epoch, number, result)

    def _send(self, kind: int, epoch: int, number: int, result: Any) -> None:
        parts, fds = encode(result, self.ring)
        try:
            self.channel.send(pickle.dumps((kind, epoch, number, parts)), fds)
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)  # nobody is left to work for
        finally:
            for fd in fds:
                os.close(fd)


def worker_main(sock: socket.socket, worker_id: int, job: Job | None = None) -> None:
    """Serve the loader at the other end of ``sock`` until it says stop; without ``job``, that is the first message.

    Ctrl-C is left to the parent, which closes the connection if it ends.
    """
    close_parent_ends()
    signal.signal(signal.SIGINT, lambda *_: None)
    _enter_worker()
    _Worker(Channel(sock), worker_id, job).run()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def named_worker_main(names: Names, sock: socket.socket, worker_id: int, job: Job | None = None) -> None:
    """``worker_main`` in a new process; ``names`` comes first, as ``job`` may need "torch" to be found."""
    worker_main(sock, worker_id, job)
