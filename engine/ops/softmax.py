"""softmax, log_softmax and logsumexp."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from ..graph.spec import Spec
from .op import Op
from .pointwise import check_kind, compute, float_of, wide
from .publish import function
from .reduce import dims_of, reduced_shape, restore
from .views import wrap_dim


def _softmax_lower(b: Any, x: Any, dim: int, dtype: dtypes.dtype) -> Any:
    x = x.cast(wide(dtype))
    if not x.ndim:
        return b.exp(x - x).cast(dtype)
    e = b.exp(x - b.max(x, [dim], True))
    return (e / b.sum(e, [dim], True)).cast(dtype)


def _softmax_back_lower(b: Any, g: Any, y: Any, dim: int) -> Any:
    g, out = compute(g), compute(y)
    if not g.ndim:
        return (g - g).cast(y.dtype)
    gy = g * out
    return (gy - out * b.sum(gy, [dim], True)).cast(y.dtype)


_softmax_back = Op(
    "softmax_backward",
    lambda g, y, dim: y,
    _softmax_back_lower,
    lambda ctx, h: _softmax_back_grad(ctx, h),
    saves=(0, 1),
)


def _softmax_back_grad(ctx: Any, h: Tensor) -> tuple:
    g, y = ctx.inputs
    (dim,) = ctx.static
    hy = (h * y).sum(dim, True) if h._spec.ndim else h * y
    gy = (g * y).sum(dim, True) if h._spec.ndim else g * y
    return y * (h - hy), h * (g - gy) - g * hy


_softmax = Op(
    "_softmax",
    lambda x, dim, dtype: (tuple(x.shape), dtype),
    _softmax_lower,
    lambda ctx, g: (_softmax_back((g, ctx.outputs[0]), (ctx.static[0],)),),
    saves_out=(0,),
    grad_name="SoftmaxBackward0",
)


def _log_softmax_lower(b: Any, x: Any, dim: int, dtype: dtypes.dtype) -> Any:
    x = x.cast(wide(dtype))
    if not x.ndim:
        return (x - x).cast(dtype)
    shifted = x - b.max(x, [dim], True)
    return (shifted - b.log(b.sum(b.exp(shifted), [dim], True))).cast(dtype)


def _log_back_lower(b: Any, g: Any, y: Any, dim: int) -> Any:
    g, out = compute(g), compute(y)
    if not g.ndim:
        return (g - g).cast(y.dtype)
    return (g - b.exp(out) * b.sum(g, [dim], True)).cast(y.dtype)


def _log_back_grad(ctx: Any, h: Tensor) -> tuple:
    g, y = ctx.inputs
    (dim,) = ctx.static
    if not h._spec.ndim:
        return h * 0, h * 0
    p = y.exp()
    total = g.sum(dim, True)
    return h - (h * p).sum(dim, True), -(h * p) * total


_log_back = Op("log_softmax_backward", lambda g, y, dim: y, _log_back_lower, _log_back_grad, saves=(0, 1))
_log_softmax = Op(
    "_log_softmax",
    lambda x, dim, dtype: (tuple(x.shape), dtype),
    _log_softmax_lower,
    lambda ctx, g: (_log_back((g, ctx.outputs[0]), (ctx.static[0],)),),
    saves_out=(0,),
    grad_name="LogSoftmaxBackward0",
)


def _float_dtype(x: Spec, dtype: Any, name: str) -> dtypes.dtype:
    if dtype is None:
        check_kind(name, x.dtype, "f")
    return dtype or x.dtype


@function(special=True, out=True)
def softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """exp(x) normalised to sum 1 along ``dim``."""
    seen = input._spec
    return _softmax((input,), (wrap_dim(dim, seen.ndim), _float_dtype(seen, dtype, "softmax_lastdim_kernel_impl")))


@function(special=True, out=True)
def log_softmax(input: Tensor, dim: int, dtype: Any = None) -> Tensor:
    """log(softmax(x)) along ``dim``."""
    seen = input._spec
    return _log_softmax(
        (input,), (wrap_dim(dim, seen.ndim), _float_dtype(seen, dtype, "log_softmax_lastdim_kernel_impl"))
    )


def _lse_lower(b: Any, x: Any, dims: tuple, keepdim: bool, dtype: dtypes.dtype) -> Any:
    x = x.cast(wide(dtype))
    size = b.pw("real", x, dtype=x.dtype.to_real()) if x.dtype.is_complex else x
    top = b.max(size, dims, True)
    inf = b.const(math.inf, size.dtype)
    top = b.where(b.eq(b.abs(top), inf), 0.0, top).cast(x.dtype)
    total = b.log(b.sum(b.exp(x - top), dims, True)) + top
    if not keepdim:
        for d in sorted(dims, reverse=True):
            total = total.squeeze(d)
    return total.cast(dtype)


def _lse_grad(ctx: Any, g: Tensor) -> tuple:
    dims, keepdim, _ = ctx.static
    seen = ctx.specs[0]
    out = restore(ctx.outputs[0], seen, dims, keepdim)
    x = ctx.inputs[0]
    share = (x - out).exp()
    return (restore(g, seen, dims, keepdim) * (share.conj() if share._spec.dtype.is_complex else share),)


_logsumexp = Op(
    "logsumexp",
    lambda x, dims, keepdim, dtype: (reduced_shape(x, dims, keepdim), dtype),
    _lse_lower,
    _lse_grad,
    saves=(0,),
    saves_out=(0,),
)


@function(special=True, out=True)
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """log(sum(exp(x))) along ``dim``, without overflow."""
    seen = input._spec
    return _logsumexp((input,), (dims_of(dim, seen.ndim), keepdim, float_of(seen.dtype)))
