"""What a dataset can learn about the worker it runs in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["WorkerInfo", "get_worker_info"]


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker's number, the number of workers, its random seed and its copy of the dataset."""

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: Any = None
    worker_method: str | None = "multiprocessing"


class _Current:
    """Holds this process's WorkerInfo; None in the main process."""

    info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """The :class:`WorkerInfo` of this worker process; None in the main process."""
    return _Current.info


def set_worker_info(info: WorkerInfo | None) -> None:
    """Make this process a worker."""
    _Current.info = info
