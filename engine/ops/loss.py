"""Losses that are ops of their own: one fused kernel forward and one backward."""

from __future__ import annotations

import warnings
from typing import Any

from ..autograd.variable import Tensor
from ..graph.spec import Spec
from .op import Op, function
from .pointwise import broadcast_shapes, compute, pointwise_spec


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"{reduction} is not a valid value for reduction")


def legacy_reduction(size_average: Any, reduce: Any, reduction: str) -> str:
    """The reduction that the old ``size_average`` and ``reduce`` arguments mean."""
    if size_average is None and reduce is None:
        return reduction
    size_average = True if size_average is None else size_average
    reduce = True if reduce is None else reduce
    found = "mean" if size_average and reduce else "sum" if reduce else "none"
    warnings.warn(f"size_average and reduce args will be deprecated, please use reduction='{found}' instead.", stacklevel=3)
    return found


def _bce_rule(x: Spec, y: Spec) -> Spec:
    return pointwise_spec(x.dtype, x, y)


def _bce_lower(b: Any, x: Any, y: Any) -> Any:
    """-(y log x + (1 - y) log(1 - x)) with logarithms bounded below by -100."""
    p, t = compute(x), compute(y)
    low = b.const(-100.0, p.dtype)
    out = (t - 1.0) * b.pw("max", b.log1p(-p), low) - t * b.pw("max", b.log(p), low)
    return out.cast(x.dtype)


def _bce_grad(ctx: Any, g: Tensor) -> tuple:
    x, y = ctx.inputs
    dx = _bce_back((g, x, y)) if ctx.needs[0] else None
    dy = g * ((-x).log1p() - x.log()) if ctx.needs[1] else None
    return dx, dy


def _bce_back_lower(b: Any, g: Any, x: Any, y: Any) -> Any:
    g, p, t = compute(g), compute(x), compute(y)
    return (g * (p - t) / b.pw("max", (1.0 - p) * p, 1e-12)).cast(x.dtype)


def _bce_back_grad(ctx: Any, h: Tensor) -> tuple:
    g, x, y = ctx.inputs
    d = ((1 - x) * x).clamp(min=1e-12)
    return (
        h * (x - y) / d,
        h * g * (1 / d - (x - y) * (1 - 2 * x) / (d * d)),
        -h * g / d,
    )


_bce = Op("binary_cross_entropy", _bce_rule, _bce_lower, _bce_grad, saves=(0, 1))
_bce_back = Op(
    "binary_cross_entropy_backward",
    lambda g, x, y: pointwise_spec(x.dtype, g, x, y),
    _bce_back_lower,
    _bce_back_grad,
    saves=(0, 1, 2),
)


@function(torch=False, method=False, functional=True)
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """-w (y log x + (1 - y) log(1 - x)); logarithms are bounded below by -100. Shapes of input and target are equal."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    if target._spec.shape != input._spec.shape:
        raise ValueError(
            f"Using a target size ({target._spec.shape}) that is different to the input size ({input._spec.shape}) is "
            f"deprecated. Please ensure they have the same size."
        )
    loss = _bce((input, target))
    if weight is not None:
        broadcast_shapes(weight._spec.shape, target._spec.shape)
        loss = loss * weight
    return _reduce(loss, reduction)


def _mse_lower(b: Any, x: Any, y: Any) -> Any:
    d = compute(x) - compute(y)
    return (d * d).cast(x.dtype)


_mse = Op(
    "mse_loss",
    lambda x, y: pointwise_spec(x.dtype, x, y),
    _mse_lower,
    lambda ctx, g: _mse_grad(ctx, g),
    saves=(0, 1),
)


def _mse_grad(ctx: Any, g: Tensor) -> tuple:
    x, y = ctx.inputs
    d = g * ((x - y) * 2)
    return d if ctx.needs[0] else None, -d if ctx.needs[1] else None


@function(torch=False, method=False, functional=True)
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """Mean (or sum) of squared differences."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    if target._spec.shape != input._spec.shape:
        warnings.warn(
            f"Using a target size ({target._spec.shape}) that is different to the input size ({input._spec.shape}). This will "
            f"likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=2,
        )
    x, y = input, target
    if x._spec.dtype is not y._spec.dtype:
        dtype = (x[..., :0] + y[..., :0])._spec.dtype if x._spec.ndim and y._spec.ndim else x._spec.dtype
        x, y = x.to(dtype), y.to(dtype)
    loss = _mse((x, y))
    return _reduce(loss * weight if weight is not None else loss, reduction)
