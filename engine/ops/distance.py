"""Norms and distances."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from ..graph.spec import Spec
from .op import Op
from .pointwise import broadcast_shapes, check_kind, compute
from .publish import function
from .reduce import dims_of, reduced_shape, restore
from .views import wrap_dim


# -- vector norms -----------------------------------------------------------------------------------------------------
def _norm_rule(x: Spec, order: float, dims: tuple, keepdim: bool, dtype: dtypes.dtype) -> Any:
    if order < 0 or order == math.inf:
        for d in dims:
            if x.ndim and x.shape[d] == 0:
                raise RuntimeError(
                    f"linalg.vector_norm cannot compute the {order:g} norm on the dimension {d} because this "
                    "dimension is "
                    f"empty and the operation does not have an identity"
                )
    return reduced_shape(x, dims, keepdim), dtype


def _norm_lower(b: Any, x: Any, order: float, dims: tuple, keepdim: bool, dtype: dtypes.dtype) -> Any:
    v = b.abs(compute(x.cast(dtype)))
    if order == math.inf:
        out = b.max(v, dims, keepdim)
    elif order == -math.inf:
        out = b.min(v, dims, keepdim)
    elif order == 0:
        out = b.sum(b.ne(v, 0).cast(v.dtype), dims, keepdim)
    elif order == 1:
        out = b.sum(v, dims, keepdim)
    elif order == 2:
        out = b.sqrt(b.sum(v * v, dims, keepdim))
    else:
        out = b.pw("pow", b.sum(b.pw("pow", v, order), dims, keepdim), 1.0 / order)
    return out.cast(dtype)


def _norm_grad(ctx: Any, g: Tensor) -> tuple:
    x, out = ctx.inputs[0], ctx.outputs[0]
    order, dims, keepdim, _ = ctx.static
    g, out = restore(g, ctx.specs[0], dims, keepdim), restore(out, ctx.specs[0], dims, keepdim)
    if order == 0:
        return (x * 0,)
    if order == 1:
        return (x.sign() * g,)
    if order == 2:
        return (x * (g / out).masked_fill(out == 0, 0),)
    if math.isinf(order):
        hit = (x.abs() == out).to(g._spec.dtype)
        return (x.sign() * (hit * (g / hit.sum(dims, True)) if x._spec.ndim else hit * g),)
    if order < 1:
        scaled = x.sign() * x.abs().pow(order - 1).masked_fill(x == 0, 0)
        return (scaled * (g * out.pow(1 - order)),)
    if order < 2:
        scaled = x.sign() * x.abs().pow(order - 1)
        return (scaled * (g / out.pow(order - 1)).masked_fill(out == 0, 0),)
    return (x * x.abs().pow(order - 2) * (g / out.pow(order - 1)).masked_fill(out == 0, 0),)


_norm = Op("linalg_vector_norm", _norm_rule, _norm_lower, _norm_grad, saves=(0,), saves_out=(0,))


@function(name="vector_norm", torch=False, method=False, linalg=True, out=True)
def vector_norm(x: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """(sum |x|^ord)^(1/ord) along ``dim`` (all elements by default); inf, -inf and 0 as usual."""
    seen = x._spec
    if not seen.floating:
        raise RuntimeError(
            f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got {_name(seen)}"
        )
    if seen.dtype.is_complex:
        x = x.abs()
    return _norm((x,), (float(ord), dims_of(dim, seen.ndim), keepdim, dtype or x._spec.dtype))


def _name(seen: Spec) -> str:
    return {"int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool"}.get(
        seen.dtype.name, seen.dtype.name
    )


@function(out=True)
def norm(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Tensor:
    """Vector norm of order ``p`` ("fro": 2) along ``dim``; "nuc" sums singular values."""
    if p == "nuc":
        values = _singular_values(input, dim)
        return values.sum(-1, keepdim) if not keepdim else values.sum(-1, True).unsqueeze(-1)
    order = 2.0 if p in ("fro", None) else p
    if isinstance(order, str):
        raise RuntimeError(f"norm(): unknown order {p}")
    if dtype is not None and not input._spec.dtype.is_complex:
        input = input.to(dtype)
    check_kind("norm", input._spec.dtype, "fc")
    return vector_norm(input, order, dim, keepdim)


def _singular_values(input: Tensor, dim: Any) -> Tensor:
    """Singular values of the matrices of the two dimensions."""
    ndim = input._spec.ndim
    a, c = (-2, -1) if dim is None else dim
    a, c = wrap_dim(a, ndim), wrap_dim(c, ndim)
    order = [d for d in range(ndim) if d not in (a, c)] + [a, c]
    return input.permute(*order).svd()[1]


@function()
def dist(input: Tensor, other: Tensor, p: float = 2) -> Tensor:
    """Norm of the difference."""
    return vector_norm(input - other, p)


@function(inplace=True, out=True)
def renorm(input: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """Scale down each slice along ``dim`` whose ``p`` norm is above ``maxnorm``."""
    seen = input._spec
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    if seen.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {seen.ndim} dimensions")
    d = wrap_dim(dim, seen.ndim)
    size = vector_norm(input, p, tuple(k for k in range(seen.ndim) if k != d), True)
    return input * (maxnorm / (size + 1e-7)).masked_fill(size <= maxnorm, 1)


# -- distances of all pairs -------------------------------------------------------------------------------------------
def _pairs_rule(x: Spec, y: Spec, p: float) -> Any:
    batch = broadcast_shapes(x.shape[:-2], y.shape[:-2])
    return (*batch, x.shape[-2], y.shape[-2]), x.dtype


def _pairs_lower(b: Any, x: Any, y: Any, p: float) -> Any:
    dtype = x.dtype
    gap = b.abs(compute(x).unsqueeze(x.ndim - 1) - compute(y).unsqueeze(y.ndim - 2))
    last = [gap.ndim - 1]
    if not gap.shape[-1]:
        return b.const(0, dtype, gap.shape[:-1])
    if p == 0:
        out = b.sum(b.ne(gap, 0).cast(gap.dtype), last)
    elif p == 1:
        out = b.sum(gap, last)
    elif p == 2:
        out = b.sqrt(b.sum(gap * gap, last))
    elif p == math.inf:
        out = b.max(gap, last)
    else:
        out = b.pw("pow", b.sum(b.pw("pow", gap, p), last), 1.0 / p)
    return out.cast(dtype)


def _pairs_grad(ctx: Any, g: Tensor) -> tuple:
    x, y = ctx.inputs
    out = ctx.outputs[0]
    (p,) = ctx.static
    if p == 2:  # no (rows, rows, columns) array: the weights times the points
        w = (g / out).masked_fill(out == 0, 0)
        dx = x * w.sum(-1, True) - w @ y if ctx.needs[0] else None
        dy = y * w.sum(-2).unsqueeze(-1) - w.transpose(-2, -1) @ x if ctx.needs[1] else None
        return dx, dy
    gap = x.unsqueeze(-2) - y.unsqueeze(-3)
    w = _slope(gap, out.unsqueeze(-1), p) * g.unsqueeze(-1)
    return w.sum(-2) if ctx.needs[0] else None, -w.sum(-3) if ctx.needs[1] else None


def _slope(gap: Tensor, out: Tensor, p: float) -> Tensor:
    """Derivative of the p-norm of the last dimension."""
    if p == 0:
        return gap * 0
    if p == 1:
        return gap.sign()
    if p == math.inf:
        return gap.sign() * (gap.abs() == out)
    if p < 2:
        return (gap.sign() * gap.abs().pow(p - 1) / out.pow(p - 1)).masked_fill((out == 0) | (gap == 0), 0)
    return (gap * gap.abs().pow(p - 2) / out.pow(p - 1)).masked_fill(out == 0, 0)


_pairs = Op("cdist", _pairs_rule, _pairs_lower, _pairs_grad, saves=(0, 1), saves_out=(0,))


@function(method=False)
def cdist(x1: Tensor, x2: Tensor, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Tensor:
    """(..., n, m) distances of order ``p`` between the rows of (..., n, d) and (..., m, d)."""
    a, c = x1._spec, x2._spec
    if a.ndim < 2:
        raise RuntimeError(f"cdist only supports at least 2D tensors, X1 got: {a.ndim}D")
    if c.ndim < 2:
        raise RuntimeError(f"cdist only supports at least 2D tensors, X2 got: {c.ndim}D")
    if a.shape[-1] != c.shape[-1]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {a.shape[-1]} X2: {c.shape[-1]}")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    dtype = dtypes.promote_types(a.dtype, c.dtype)
    check_kind("cdist", dtype, "f")
    return _pairs((x1.to(dtype), x2.to(dtype)), (float(p),))
