"""The iterators behind a DataLoader: in this process, or reading from worker processes."""

from __future__ import annotations

import atexit
import time
import warnings
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..graph.log import flush_if_over
from ..opencl import discover
from .exceptions import ExceptionWrapper
from .fetch import _DatasetKind
from .pin_memory import pin_memory
from .pool import WorkerPool
from .sampler import draw_seed
from .workers import DATA, END, Job

if TYPE_CHECKING:
    from .loader import DataLoader

_SPARE_LEASES = 4  # batches that the program may hold without a copy, beyond those in flight
_WAITING = object()


def _has_accelerator() -> bool:
    return any(record.kind != "cpu" for record in discover())


class _BaseDataLoaderIter:
    """What both iterators share: the sampler's iterator, the epoch's seed, counting, pinning."""

    def __init__(self, loader: DataLoader) -> None:
        self._dataset = loader.dataset
        self._dataset_kind = loader._dataset_kind
        self._IterableDataset_len_called = loader._IterableDataset_len_called
        self._auto_collation = loader._auto_collation
        self._drop_last = loader.drop_last
        self._index_sampler = loader._index_sampler
        self._num_workers = loader.num_workers
        self._timeout = loader.timeout
        self._collate_fn = loader.collate_fn
        self._persistent_workers = loader.persistent_workers
        self._pin_memory = loader.pin_memory and _has_accelerator()
        if loader.pin_memory and loader.pin_memory_device:
            warnings.warn(
                "pin_memory_device is deprecated, the current accelerator will be used; "
                f"ignored pin_memory_device='{loader.pin_memory_device}'.",
                stacklevel=3,
            )
        if loader.pin_memory and not self._pin_memory:
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, so memory won't be pinned.",
                stacklevel=3,
            )
        self._sampler_iter = iter(self._index_sampler)
        self._base_seed = draw_seed(loader.generator)
        self._num_yielded = 0

    def __iter__(self) -> _BaseDataLoaderIter:
        return self

    def _reset(self, loader: DataLoader) -> None:
        self._sampler_iter = iter(self._index_sampler)
        self._num_yielded = 0
        self._IterableDataset_len_called = loader._IterableDataset_len_called

    def _next_index(self) -> Any:
        return next(self._sampler_iter)

    def _next_data(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} should define _next_data.")

    def __next__(self) -> Any:
        data = self._next_data()
        self._num_yielded += 1
        said = self._IterableDataset_len_called
        if self._dataset_kind == _DatasetKind.Iterable and said is not None and self._num_yielded > said:
            message = (
                f"Length of IterableDataset {self._dataset} was reported to be {said} (when accessing "
                f"len(dataloader)), but {self._num_yielded} samples have been fetched. "
            )
            if self._num_workers > 0:
                message += "Each worker may be yielding the whole stream: share it out with get_worker_info()."
            warnings.warn(message, stacklevel=2)
        return data

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __getstate__(self) -> None:
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """Fetches each batch when it is asked for."""

    def __init__(self, loader: DataLoader) -> None:
        super().__init__(loader)
        if self._timeout != 0:
            raise AssertionError("timeout must be 0 without workers (num_workers=0)")
        self._dataset_fetcher = _DatasetKind.create_fetcher(
            self._dataset_kind, self._dataset, self._auto_collation, self._collate_fn, self._drop_last
        )

    def _next_data(self) -> Any:
        data = self._dataset_fetcher.fetch(self._next_index())
        flush_if_over(_FEW_OPS)  # ops on samples differ from batch to batch: kept out of the training step's plan
        return pin_memory(data) if self._pin_memory else data


_FEW_OPS = 8  # pending ops that a batch may leave to be fused with the program's own


@dataclass(slots=True)
class _Task:
    worker: int
    data: Any = _WAITING


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """Keeps ``prefetch_factor`` batches a worker on the way, and yields them in the order they were asked for.

    With ``in_order=False`` a batch is yielded as soon as it is there. Whatever has arrived is made into tensors before
    a batch is returned, so that transfers to a device overlap with what the program computes next.
    """

    def __init__(self, loader: DataLoader) -> None:
        super().__init__(loader)
        self._in_order = loader.in_order
        self._max_tasks = max(1, loader.prefetch_factor * self._num_workers)
        self._context = loader.multiprocessing_context
        self._worker_init_fn = loader.worker_init_fn
        self._epoch = 0
        self._pool = self._start_pool()
        _live.add(self)
        self._begin_epoch()

    def _start_pool(self) -> WorkerPool:
        job = Job(
            self._dataset_kind,
            self._dataset,
            self._auto_collation,
            self._collate_fn,
            self._drop_last,
            self._base_seed,
            self._worker_init_fn,
            self._num_workers,
        )
        return WorkerPool(job, self._context, self._max_tasks + _SPARE_LEASES)

    @property
    def _workers(self) -> list:
        """The worker processes, each with ``pid``, ``is_alive()``, ``exitcode`` and so on."""
        return [member.process for member in self._pool.members]

    def _reset(self, loader: DataLoader) -> None:
        super()._reset(loader)
        if self._pool.closed:  # a worker had died
            self._pool = self._start_pool()
            self._epoch = 0
        else:
            self._epoch += 1
            self._pool.reset(self._epoch)
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self._tasks: dict[int, _Task] = {}  # in the order asked for
        self._arrived: list[int] = []  # in the order they came
        self._next_task = 0
        self._next_worker = 0
        self._active = [True] * self._num_workers
        self._load = [0] * self._num_workers
        self._top_up()

    def _next_data(self) -> Any:
        deadline = time.monotonic() + self._timeout if self._timeout > 0 else None
        while True:
            number = self._ready_task()
            if number is not None:
                return self._deliver(number)
            if not self._tasks:
                if not self._persistent_workers:
                    self._shutdown_workers()
                raise StopIteration
            wait = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not self._collect(wait) and deadline is not None and time.monotonic() >= deadline:
                raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")

    def _ready_task(self) -> int | None:
        if not self._in_order:
            return self._arrived[0] if self._arrived else None
        first = next(iter(self._tasks), None)
        return first if first is not None and self._tasks[first].data is not _WAITING else None

    def _deliver(self, number: int) -> Any:
        data = self._tasks.pop(number).data
        self._arrived.remove(number)
        self._top_up()
        self._collect(0)
        if isinstance(data, ExceptionWrapper):
            data.reraise()
        return data

    def _collect(self, timeout: float | None) -> bool:
        """Take in what the workers have sent; whether anything came."""
        answers = self._pool.receive(timeout)
        for answer in answers:
            if answer.epoch != self._epoch or answer.task not in self._tasks:
                continue  # left over from a pass that was given up
            self._load[answer.worker] -= 1
            if answer.kind == END:
                self._end_worker(answer.worker)
                continue
            data = answer.data
            if answer.kind == DATA and self._pin_memory:
                data = pin_memory(data)
            self._tasks[answer.task].data = data
            self._arrived.append(answer.task)
        return bool(answers)

    def _end_worker(self, worker: int) -> None:
        """The worker's stream is at its end: what it was still asked for will not come."""
        self._active[worker] = False
        void = [n for n, task in self._tasks.items() if task.worker == worker and task.data is _WAITING]
        for number in void:
            del self._tasks[number]
        if not self._persistent_workers:
            self._pool.stop(worker)
        self._top_up()

    def _top_up(self) -> None:
        while len(self._tasks) < self._max_tasks:
            worker = self._pick_worker()
            if worker is None:
                return
            try:
                index = self._next_index()
            except StopIteration:
                return
            self._tasks[self._next_task] = _Task(worker)
            self._load[worker] += 1
            self._next_worker = (worker + 1) % self._num_workers
            self._pool.submit(worker, self._epoch, self._next_task, index)
            self._next_task += 1

    def _pick_worker(self) -> int | None:
        active = sum(self._active)
        for step in range(self._num_workers):
            worker = (self._next_worker + step) % self._num_workers
            if self._active[worker] and (self._in_order or self._load[worker] < max(1, self._max_tasks // active)):
                return worker
        return None

    def _shutdown_workers(self) -> None:
        self._tasks = {}
        self._arrived = []
        self._pool.close()

    def __del__(self) -> None:
        pool = getattr(self, "_pool", None)  # absent where starting it failed
        if pool is not None:
            pool.close()


_live: weakref.WeakSet[_MultiProcessingDataLoaderIter] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    for iterator in list(_live):
        iterator._pool.close(1.0)
