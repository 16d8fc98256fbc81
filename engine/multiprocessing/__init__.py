"""torch.multiprocessing: Python's multiprocessing, whose processes receive tensors as copies.

Processes should be started by "spawn": a process forked while OpenCL is in use cannot use it.
"""

from __future__ import annotations

import multiprocessing
from multiprocessing import *  # noqa: F403
from typing import Any

from .spawn import (
    ProcessContext,
    ProcessException,
    ProcessExitedException,
    ProcessRaisedException,
    SpawnContext,
    spawn,
    start_processes,
)

__all__ = [
    *multiprocessing.__all__,
    "ProcessContext",
    "ProcessException",
    "ProcessExitedException",
    "ProcessRaisedException",
    "SpawnContext",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]


class _Sharing:
    strategy = "file_system"


def get_all_sharing_strategies() -> set[str]:
    """Names that ``set_sharing_strategy`` takes."""
    return {"file_descriptor", "file_system"}


def get_sharing_strategy() -> str:
    """The name set last."""
    return _Sharing.strategy


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepted and remembered; tensors travel as copies either way."""
    if new_strategy not in get_all_sharing_strategies():
        raise AssertionError(f"invalid sharing strategy {new_strategy!r}")
    _Sharing.strategy = new_strategy


def __getattr__(name: str) -> Any:
    """Submodules and private names of the standard package."""
    return getattr(multiprocessing, name)
