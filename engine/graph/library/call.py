"""What a hand-written kernel needs to run: the vocabulary shared by the kernel library and the planner."""

from __future__ import annotations

from dataclasses import dataclass, field


def ceil_div(a: int, b: int) -> int:
    """a / b rounded up."""
    return -(-a // b)


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor argument, by the name the caller knows it under ("a", "out", ...).

    It becomes two kernel arguments: the ``__global`` pointer and a ``long`` offset in elements.
    """

    name: str


@dataclass(frozen=True, slots=True)
class Scratch:
    """A temporary of ``nbytes`` bytes; calls of one list that name the same scratch share it.

    Like an operand it becomes two kernel arguments: the pointer and a ``long`` element offset.
    ``itemsize`` is the size of the element the kernel's pointer is declared with.
    """

    name: str
    nbytes: int
    itemsize: int = 4


@dataclass(frozen=True, slots=True)
class Int:
    """A ``long`` argument."""

    value: int


@dataclass(frozen=True, slots=True)
class Float:
    """A ``float`` argument."""

    value: float


@dataclass(frozen=True, slots=True)
class Fault:
    """The device's buffer for errors found while running: one ``__global int*`` argument."""


@dataclass(frozen=True, slots=True)
class KernelCall:
    """One launch of one kernel of ``cl_kernels``.

    ``source``: file name in cl_kernels. ``options``: build options (``-DMR=6``), the only specialisation.
    ``args`` in the order of the kernel's parameters. ``epilogue``: whether the kernel offers the EPILOGUE hook
    and this call is the one that writes final values. ``flops`` and ``nbytes`` feed the profiler. ``seconds``:
    estimated time of the work on one core of a CPU, 0 for unknown.
    """

    source: str
    kernel: str
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]
    args: tuple[Operand | Scratch | Int | Float | Fault, ...]
    options: tuple[str, ...] = field(default=())
    epilogue: bool = False
    flops: int = 0
    nbytes: int = 0
    seconds: float = 0.0
