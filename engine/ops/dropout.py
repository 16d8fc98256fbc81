"""Dropout: the mask is a function of the position in the random stream and is drawn again in the backward pass."""

from __future__ import annotations

from typing import Any

from .. import dtypes, random
from ..autograd.variable import Tensor
from ..graph.spec import Spec
from .activation import zeros_like
from .creation import leading_bits
from .op import Op
from .pointwise import compute, pointwise_spec, wide
from .publish import function


def _scalars(x: Spec) -> tuple:
    return dtypes.int64, dtypes.int64, dtypes.int64, wide(x.dtype)


def _lower(b: Any, x: Any, seed: Any, offset: Any, bound: Any, scale: Any) -> Any:
    """x * scale where 31 random bits are at or above the bound, else 0."""
    drop = leading_bits(b, x.shape, seed, offset, 31) < bound.cast(dtypes.int32)
    return b.where(drop, 0, compute(x) * scale).cast(x.dtype)


# Linear in x, so its derivative is the same op with the same mask.
_dropout = Op(
    "native_dropout",
    lambda x: pointwise_spec(x.dtype, x),
    _lower,
    lambda ctx, g: (_dropout((g,), (), ctx.scalars),),
    scalars=_scalars,
    grad_name="MulBackward0",
)
_dropout.shown = lambda edges, static: [*edges, None]


def _fused(input: Tensor, p: float) -> Tensor:
    seed, offset = random.default_generator.take(input._spec.numel)
    return _dropout((input,), (), (seed, offset, min(round(p * 2**31), 2**31 - 1), 1.0 / (1.0 - p)))


@function(method=False, inplace=True)
def dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Zero each element with probability ``p`` and divide the rest by 1 - p (Hinton et al. 2012).

    The identity outside training. Raises RuntimeError for p outside [0, 1].
    """
    if p < 0 or p > 1:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")
    if not train or p == 0 or not input._spec.numel:
        return input
    if p == 1:
        return input * 0
    return _fused(input, p)


@function(method=False)
def native_dropout(input: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """(dropout of the input, the mask of elements kept)."""
    if train is False or p == 0:
        return input.clone(), zeros_like(input) == 0
    mask = dropout(zeros_like(input) + 1, p, True) != 0
    return input * mask.to(input._spec.dtype) * (1.0 / (1.0 - p) if p < 1 else 0.0), mask
