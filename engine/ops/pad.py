"""Padding with a constant."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from ..graph.view import View, row_major
from .op import Op
from .pointwise import wide
from .publish import function


def _padded(shape: Sequence[int], pad: tuple[int, ...]) -> tuple[int, ...]:
    """Shape with (before, after) pairs, last dimension first, added."""
    out = list(shape)
    for i in range(len(pad) // 2):
        d = len(shape) - 1 - i
        out[d] += pad[2 * i] + pad[2 * i + 1]
        if out[d] < 0:
            raise RuntimeError(
                f"The input size {shape[d]}, plus negative padding {pad[2 * i]} and {pad[2 * i + 1]}, resulted in a "
                f"negative output size, which is invalid. Check dimension {d} of your input."
            )
    return tuple(out)


def _pad_lower(b: Any, x: Any, value: Any, pad: tuple[int, ...]) -> Any:
    shape = _padded(x.shape, pad)
    starts = [0] * x.ndim
    for i in range(len(pad) // 2):
        before, after = pad[2 * i], pad[2 * i + 1]
        d = x.ndim - 1 - i
        starts[d] = max(before, 0)
        first = max(-before, 0)
        x = x.slice(d, first, max(x.shape[d] - first - max(-after, 0), 0))
    if x.shape == shape:
        return x
    base = value.cast(x.dtype).expand((prod(shape),)).contiguous()
    if x.size == 0:
        return base.reshape(shape)
    steps = row_major(shape)
    at = sum(s * n for s, n in zip(starts, steps))
    return b.write(base, x, View(x.shape, steps, at)).reshape(shape)


_pad = Op(
    "constant_pad_nd",
    lambda x, pad: (_padded(x.shape, pad), x.dtype),
    _pad_lower,
    lambda ctx, g: (_pad((g,), (tuple(-p for p in ctx.static[0]),), (0,)),),
    scalars=lambda x, pad: (wide(x.dtype) if x.dtype is not dtypes.bool else dtypes.int64,),
)


@function(method=False)
def constant_pad_nd(input: Tensor, pad: Sequence[int], value: Any = 0) -> Tensor:
    """Pad with ``value``: ``pad`` = (before, after) of the last dimension, then of the one before it, and so on.

    Negative amounts crop. Raises RuntimeError for an odd or too long ``pad`` and for a negative resulting size.
    """
    pad = tuple(int(p) for p in pad)
    seen = input._spec
    if len(pad) % 2:
        raise RuntimeError(f"Length of pad must be even but instead it equals {len(pad)}")
    if len(pad) > 2 * seen.ndim:
        raise RuntimeError(
            f"Length of pad should be no more than twice the number of dimensions of the input. Pad length is "
            f"{len(pad)} while the input has {seen.ndim} dimensions."
        )
    if not seen.dtype.is_floating_point and not seen.dtype.is_complex:
        value = int(value)
    return _pad((input,), (pad,), (value,))
