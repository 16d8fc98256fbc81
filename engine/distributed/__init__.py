"""torch.distributed's names for programs that ask whether they run alone: they do.

A group of one process works (``init_process_group(world_size=1, rank=0)``), so that programs written for several
processes run as one of them; more processes raise RuntimeError.
"""

from __future__ import annotations

import datetime
import enum
from typing import Any

default_pg_timeout = datetime.timedelta(minutes=30)


class ReduceOp(enum.Enum):
    """How values of processes are combined."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7
    PREMUL_SUM = 8


class DistError(RuntimeError):
    """An error of communication."""


DistBackendError = DistNetworkError = DistStoreError = DistError


class Backend(str):
    """The name of a backend."""

    UNDEFINED = "undefined"
    GLOO = "gloo"
    NCCL = "nccl"
    MPI = "mpi"
    UCC = "ucc"


class ProcessGroup:
    """A group of processes: this one."""

    def size(self) -> int:
        """1."""
        return 1

    def rank(self) -> int:
        """0."""
        return 0


class Store:
    """A store of keys that processes share."""


class group:
    """Names of the group of all processes and of no group."""

    WORLD: ProcessGroup | None = None
    NON_GROUP_MEMBER = object()


GroupMember = group


class Work:
    """A communication under way: it is done."""

    def wait(self, timeout: Any = None) -> bool:
        """True."""
        return True

    def is_completed(self) -> bool:
        """True."""
        return True


def is_available() -> bool:
    """False: there are no processes to talk to."""
    return False


is_nccl_available = is_gloo_available = is_mpi_available = is_ucc_available = is_xccl_available = is_available
is_torchelastic_launched = is_available


def is_initialized() -> bool:
    """Whether ``init_process_group`` was called."""
    return group.WORLD is not None


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: Any = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Make the group of this one process. RuntimeError for more than one."""
    if world_size > 1 or rank > 0:
        raise RuntimeError(f"only a group of one process is supported, not world_size={world_size}, rank={rank}")
    if is_initialized():
        raise ValueError("trying to initialize the default process group twice!")
    group.WORLD = ProcessGroup()


def destroy_process_group(group_: Any = None) -> None:
    """Forget the group."""
    group.WORLD = None


def get_rank(group: Any = None) -> int:
    """0."""
    return 0


def get_world_size(group: Any = None) -> int:
    """1."""
    return 1


def get_backend(group: Any = None) -> str:
    """The name of the backend."""
    return Backend(Backend.GLOO)


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """0."""
    return 0


def new_group(ranks: Any = None, *args: Any, **kwargs: Any) -> ProcessGroup:
    """A group of this process."""
    return ProcessGroup()


def get_process_group_ranks(group: Any = None) -> list[int]:
    """[0]."""
    return [0]


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Nobody to wait for."""
    return Work() if async_op else None


monitored_barrier = barrier


def all_reduce(tensor: Any, op: ReduceOp = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """The tensor stays: it is the only one."""
    return Work() if async_op else None


def reduce(
    tensor: Any,
    dst: int = 0,
    op: ReduceOp = ReduceOp.SUM,
    group: Any = None,
    async_op: bool = False,
    group_dst: Any = None,
) -> Work | None:
    """The tensor stays: it is the only one."""
    return Work() if async_op else None


def broadcast(
    tensor: Any, src: int = 0, group: Any = None, async_op: bool = False, group_src: Any = None
) -> Work | None:
    """The tensor stays: it is the source."""
    return Work() if async_op else None


def all_gather(tensor_list: list, tensor: Any, group: Any = None, async_op: bool = False) -> Work | None:
    """Copies the tensor into the list's only one."""
    tensor_list[0].copy_(tensor)
    return Work() if async_op else None


def all_gather_into_tensor(output: Any, input: Any, group: Any = None, async_op: bool = False) -> Work | None:
    """Copies the input."""
    output.copy_(input.reshape(output.shape))
    return Work() if async_op else None


def reduce_scatter(
    output: Any, input_list: list, op: ReduceOp = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Copies the list's only tensor."""
    output.copy_(input_list[0])
    return Work() if async_op else None


def gather(
    tensor: Any, gather_list: Any = None, dst: int = 0, group: Any = None, async_op: bool = False, group_dst: Any = None
) -> Work | None:
    """Copies the tensor into the list's only one."""
    if gather_list:
        gather_list[0].copy_(tensor)
    return Work() if async_op else None


def scatter(
    tensor: Any,
    scatter_list: Any = None,
    src: int = 0,
    group: Any = None,
    async_op: bool = False,
    group_src: Any = None,
) -> Work | None:
    """Copies the list's only tensor."""
    if scatter_list:
        tensor.copy_(scatter_list[0])
    return Work() if async_op else None


def all_gather_object(object_list: list, obj: Any, group: Any = None) -> None:
    """Puts the object into the list."""
    object_list[0] = obj


def gather_object(
    obj: Any, object_gather_list: Any = None, dst: int = 0, group: Any = None, group_dst: Any = None
) -> None:
    """Puts the object into the list."""
    if object_gather_list:
        object_gather_list[0] = obj


def broadcast_object_list(
    object_list: list, src: int = 0, group: Any = None, device: Any = None, group_src: Any = None
) -> None:
    """The list stays: it is the source."""
