"""Statistics: covariance, sums and means without NaN, counts, extremes of both kinds."""

from __future__ import annotations

import warnings
from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from ..graph.spec import Spec
from .op import Op
from .pointwise import check_kind, compute
from .publish import function
from .reduce import dims_of, named, reduced_shape, restore

# -- counts -----------------------------------------------------------------------------------------------------------
_count = Op(
    "count_nonzero",
    lambda x, dims: (reduced_shape(x, dims, False), dtypes.int64),
    lambda b, x, dims: b.sum(b.ne(x, 0).cast(dtypes.int64), dims) if x.ndim else b.ne(x, 0).cast(dtypes.int64),
)


@function()
def count_nonzero(input: Tensor, dim: Any = None) -> Tensor:
    """Number of elements that are not zero, along ``dim`` (all by default)."""
    return _count((input,), (dims_of(dim, input._spec.ndim),))


# -- without NaN ------------------------------------------------------------------------------------------------------
@function(out=True)
def nansum(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Sum that takes NaN as zero."""
    if input._spec.dtype.is_complex:
        raise RuntimeError("nansum does not support complex inputs")
    if not input._spec.dtype.is_floating_point:
        return input.sum(dim, keepdim, dtype=dtype)
    return input.masked_fill(input.isnan(), 0).sum(dim, keepdim, dtype=dtype)


@function(out=True)
def nanmean(input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Mean of the elements that are not NaN."""
    if not input._spec.floating:
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{_scalar_name(input._spec.dtype)}"
        )
    count = input.isnan().logical_not().sum(dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / count


def _scalar_name(dtype: dtypes.dtype) -> str:
    return {"int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte", "bool": "Bool"}.get(
        dtype.name, dtype.name
    )


# -- both extremes ----------------------------------------------------------------------------------------------------
def _aminmax_rule(x: Spec, dims: tuple, keepdim: bool) -> list:
    check_kind("aminmax_cpu", x.dtype, "biuf")
    return [(reduced_shape(x, dims, keepdim), x.dtype)] * 2


def _aminmax_grad(ctx: Any, low: Tensor | None, high: Tensor | None) -> tuple:
    x = ctx.inputs[0]
    dims, keepdim = ctx.static
    total = None
    for g, out in zip((low, high), ctx.outputs):
        if g is None:
            continue
        hit = (x == restore(out, ctx.specs[0], dims, keepdim)).to(g._spec.dtype)
        share = restore(g, ctx.specs[0], dims, keepdim)
        part = hit * (share / hit.sum(dims, True)) if x._spec.ndim else hit * share
        total = part if total is None else total + part
    return (total,)


_aminmax = Op(
    "aminmax",
    _aminmax_rule,
    lambda b, x, dims, keepdim: [b.reduce(fn, compute(x), dims, keepdim).cast(x.dtype) for fn in ("min", "max")],
    _aminmax_grad,
    saves=(0,),
    saves_out=(0, 1),
)
AminmaxResult = named("aminmax", "min max")


@function(out=True)
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """(smallest, largest) of all elements or along ``dim``."""
    seen = input._spec
    dims = dims_of(dim, seen.ndim)
    if not seen.numel:
        if dim is None:
            raise RuntimeError(
                "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity."
            )
        if seen.shape[dims[0]] == 0:
            raise IndexError(f"aminmax: Expected reduction dim {dims[0]} to have non-zero size.")
    low, high = _aminmax((input,), (dims, keepdim))
    return AminmaxResult(low, high)


# -- covariance -------------------------------------------------------------------------------------------------------
@function()
def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """Covariance matrix of variables in rows (observations in columns), with optional weights an observation."""
    seen = input._spec
    if seen.ndim > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {seen.ndim} dimensions"
        )
    if seen.dtype is dtypes.bool:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = input if seen.ndim == 2 else input.reshape(1, -1)
    count = x._spec.shape[1]
    weights = None
    if fweights is not None:
        _check_weights("fweights", fweights, count, "iu")
        weights = fweights
    if aweights is not None:
        _check_weights("aweights", aweights, count, "f")
        weights = aweights if weights is None else weights * aweights
    if not x._spec.floating:
        x = x.to(dtypes.default.get())
    if weights is None:
        total: Any = count
        mean = x.sum(1, True) / count
    else:
        total = weights.sum()
        mean = (x * weights).sum(1, True) / total
    if weights is not None and aweights is not None and correction != 0:
        factor = total - correction * (weights * aweights).sum() / total
    else:
        factor = total - correction
    if not isinstance(factor, Tensor) and factor <= 0:
        warnings.warn("cov(): degrees of freedom is <= 0. Correction should be strictly less than the number of "
                      "observations.", stacklevel=2)  # fmt: skip
        factor = 0
    elif isinstance(factor, Tensor):
        factor = factor.clamp(min=0)
    centred = x - mean
    other = centred if weights is None else (centred * weights).to(centred._spec.dtype)
    second = other.conj() if seen.dtype.is_complex else other
    product = centred @ second.t()
    out = product / (float(factor) if not isinstance(factor, Tensor) else factor)
    return out.squeeze() if seen.ndim < 2 else out if x._spec.shape[0] != 1 else out.squeeze()


def _check_weights(name: str, w: Tensor, count: int, allow: str) -> None:
    seen = w._spec
    if seen.ndim > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with {seen.ndim} dimensions"
        )
    kind = "f" if seen.floating else "iu"
    if kind != allow or seen.dtype is dtypes.bool:
        what = "integral" if allow == "iu" else "floating point"
        raise RuntimeError(
            f"cov(): expected {name} to have {what} dtype but got {name} with {_scalar_name(seen.dtype)} dtype"
        )
    if seen.numel and bool((w < 0).any().item()):
        raise RuntimeError(f"cov(): {name} cannot be negative")
    if seen.numel != count:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the input but got "
            f"{seen.numel} != {count}"
        )


@function()
def corrcoef(input: Tensor) -> Tensor:
    """Correlation matrix of variables in rows."""
    if input._spec.ndim > 2:
        raise RuntimeError(
            f"corrcoef(): expected input to have two or fewer dimensions but got an input with {input._spec.ndim} "
            "dimensions"
        )
    c = cov(input)
    if not c._spec.ndim:
        return c / c
    d = c.diag()
    root = (d.real if c._spec.dtype.is_complex else d).sqrt()
    out = c / root.unsqueeze(1) / root
    return out if c._spec.dtype.is_complex else out.clamp(-1, 1)
