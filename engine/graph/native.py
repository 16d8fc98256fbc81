"""Hand-written kernels as primitives of the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import dtypes
from .library.call import KernelCall


@dataclass(eq=False, slots=True)
class Native:
    """A use of the kernel library.

    ``calls(caps)`` gives the launches; their operands are named in ``operands`` (in the order of the primitive's
    arguments, whose views' offsets are added to the element offsets) and ``outs`` (in the order of its outputs).
    ``outputs``: (shape, dtype) of each result. ``inplace``: the single result starts as the first operand's content,
    which is overwritten if nobody else needs it. ``include``: text put before the kernels' source. ``reference``: the
    same in NumPy. ``epilogue``: the single result as a contiguous space of three dimensions, where the launches marked
    with ``epilogue`` offer the EPILOGUE hook over it (see graph/epilogue.py).
    """

    name: str
    operands: tuple[str, ...]
    outs: tuple[str, ...]
    outputs: tuple[tuple[tuple[int, ...], dtypes.dtype], ...]
    calls: Callable[[Any], list[KernelCall]]
    inplace: bool = False
    include: tuple[str, ...] = ()
    reference: Callable[..., Any] | None = None
    epilogue: tuple[int, int, int] | None = None
