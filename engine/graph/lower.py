"""From a canonical log of calls to values of the array IR."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import dtypes, opencl
from ..settings import settings
from .ir import Builder, Ref, Val
from .node import Call
from .spec import Spec
from .view import View

_ROWS_A_UNIT = 4  # independent rows of a reduction that keep a compute unit busy and even the load out


def lower_log(calls: list[tuple[Call, tuple[int, ...]]], leaves: list[Spec], runtime: opencl.Runtime) -> tuple:
    """Lower a canonical log: returns the builder and the value of each call (None for groups of several results).

    ``calls``: (call, positions of inputs); position p >= 0 is an earlier call, p < 0 is leaf ``-1 - p``.
    """
    b = Builder()
    if settings.fusion:
        b.parallel = _ROWS_A_UNIT * runtime.caps.compute_units
        b.longest = runtime.caps.longest_loop
    values: list[Any] = []
    number = 0
    for position, (call, inputs) in enumerate(calls):
        with _Attributed(position):
            if call.lower is None:  # one of several results
                values.append(values[inputs[0]][call.static])
                continue
            refs = []
            for at, seen in zip(inputs, call.specs):
                refs.append(see(b, values[at] if at >= 0 else _leaf(b, leaves, -1 - at), seen))
            scalars = [b.scalar(number + i, dtype) for i, dtype in enumerate(call.scalars)]
            number += len(call.scalars)
            first = len(b.vals)
            result = call.lower(b, refs, scalars, call)
            if not runtime.caps.fp64:
                refuse_double(call.name, [v.dtype for v in (*(r.val for r in refs), *b.vals[first:])], runtime.caps)
            if type(call.out) is tuple:
                values.append([_whole(b, r, o) for r, o in zip(result, call.out)])
            else:
                values.append(_whole(b, result, call.out))
            origin = (position, call.name)
            for val in b.vals[first:]:
                val.origin = origin
    return b, values


def refuse_double(name: str, used: Iterable[dtypes.dtype], caps: opencl.Capabilities) -> None:
    """Raise RuntimeError where an op needs float64 and the device has none."""
    for dtype in used:
        if (dtype is dtypes.float64 or dtype is dtypes.complex128) and not caps.fp64:
            raise RuntimeError(f"{name}: {dtype} is not supported on the device '{caps.name}', which has no fp64")


class _Attributed:
    """Tells which call of a log an error came from: ``failed_call`` on the exception."""

    def __init__(self, position: int) -> None:
        self.position = position

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            error.failed_call = self.position


def see(b: Builder, val: Val, seen: Spec) -> Ref:
    """A value as an operand of description ``seen``."""
    view = View(tuple(seen.shape), seen.stride, seen.offset)
    if val.dtype is not seen.dtype:
        return b.bitcast(b.ref(val, View((val.size,), (1,), 0)), seen.dtype).as_strided(*view)
    return b.ref(val, view)


def _leaf(b: Builder, leaves: list[Spec], number: int) -> Val:
    return b.input(number, leaves[number].numel, leaves[number].dtype)


def _whole(b: Builder, ref: Ref, out: Spec) -> Val:
    """The value behind a result as it will lie in memory: flat, in the order of the storage."""
    if ref.dtype is not out.dtype:
        raise TypeError(f"a lowering returned {ref.dtype} where {out.dtype} was declared")
    if ref.size != out.numel:
        raise ValueError(f"a lowering returned shape {ref.shape} where {tuple(out.shape)} was declared")
    return ref.contiguous().val
