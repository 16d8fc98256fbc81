"""Triangular parts, diagonals into matrices, and their index lists."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.inplace import check_inplace
from ..autograd.variable import Tensor
from ..device import resolve
from ..graph.spec import Spec
from .creation import from_array, zeros_of
from .op import Op
from .publish import function
from .storing import put
from .views import wrap_dim


# -- tril, triu -------------------------------------------------------------------------------------------------------
def _part(name: str, keep: Any) -> Any:
    def rule(x: Spec, diagonal: int) -> Any:
        if x.ndim < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
        return tuple(x.shape), x.dtype

    def lower(b: Any, x: Any, diagonal: int) -> Any:
        rows, columns = b.iota(x.shape, x.ndim - 2), b.iota(x.shape, x.ndim - 1)
        return b.where(keep(b, columns - rows, diagonal), x, b.const(0, x.dtype))

    op = Op(name, rule, lower, lambda ctx, g: (op((g,), ctx.static),))

    def call(input: Tensor, diagonal: int = 0) -> Tensor:
        return op((input,), (int(diagonal),))

    call.__name__ = call.__qualname__ = name
    side = "lower" if name == "tril" else "upper"
    call.__doc__ = f"The {side} triangle of the last two dimensions, from the given diagonal; zero elsewhere."
    return function(inplace=True, out=True)(call)


tril = _part("tril", lambda b, gap, k: b.le(gap, k))
triu = _part("triu", lambda b, gap, k: b.ge(gap, k))


def _indices(name: str, find: Any) -> Any:
    def call(
        row: int, col: int, offset: int = 0, *, dtype: Any = dtypes.int64, device: Any = None, layout: Any = None
    ) -> Tensor:
        for what, n in (("row", row), ("col", col)):
            if n < 0:
                raise RuntimeError(f"{what} must be non-negative, got{n}")
        pairs = np.stack(find(row, offset, col)) if row and col else np.zeros((2, 0), np.int64)
        return from_array(pairs.astype(dtype.numpy), dtype, resolve(device))

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"(2, n) rows and columns of the {name[:4]} part of a (row, col) matrix, in row-major order."
    return function(method=False)(call)


tril_indices = _indices("tril_indices", lambda n, k, m: np.tril_indices(n, k, m))
triu_indices = _indices("triu_indices", lambda n, k, m: np.triu_indices(n, k, m))


# -- diagonals --------------------------------------------------------------------------------------------------------
@function()
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices whose diagonal is the last dimension, zero elsewhere."""
    seen = input._spec
    ndim = seen.ndim + 1
    if not seen.ndim:
        input, ndim = input.reshape(1), 2
    d1, d2 = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    if d1 == d2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    n = input._spec.shape[-1] + abs(offset)
    shape = list(input._spec.shape[:-1])
    for d in sorted((d1, d2)):
        shape.insert(d, n)
    base = zeros_of(tuple(shape), seen.dtype, seen.device)
    return diagonal_scatter(base, input, offset, d1, d2)


@function(out=True)
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or the matrix with that diagonal."""
    ndim = input._spec.ndim
    if ndim == 1:
        return diag_embed(input, diagonal)
    if ndim == 2:
        return input.diagonal(diagonal).clone()
    raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {ndim}D")


@function()
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """The matrix whose diagonal is the flattened input."""
    return diag_embed(input.reshape(-1), offset)


@function()
def trace(input: Tensor) -> Tensor:
    """Sum of the main diagonal of a matrix."""
    if input._spec.ndim != 2:
        raise RuntimeError("trace: expected a matrix")
    return input.diagonal().sum()


# -- copies with a part replaced --------------------------------------------------------------------------------------
def _replaced(input: Tensor, src: Tensor, part: Any, name: str) -> Tensor:
    out = input.clone()
    place = part(out)
    if place._spec.shape != src._spec.shape:
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = {list(src._spec.shape)}, slice size = "
            f"{list(place._spec.shape)}"
        )
    place.copy_(src)
    return out


@function(out=True)
def diagonal_scatter(input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A copy of ``input`` with ``src`` on a diagonal."""
    return _replaced(input, src, lambda t: t.diagonal(offset, dim1, dim2), "diagonal_scatter")


@function(out=True)
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy of ``input`` with ``src`` at one position of a dimension."""
    return _replaced(input, src, lambda t: t.select(dim, index), "select_scatter")


@function(out=True)
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor:
    """A copy of ``input`` with ``src`` at ``start:end:step`` of a dimension."""
    d = wrap_dim(dim, input._spec.ndim)
    key = (slice(None),) * d + (slice(start, end, step),)
    return _replaced(input, src, lambda t: t[key], "slice_scatter")


@function(out=True)
def as_strided_scatter(input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A copy of ``input`` with ``src`` written through a strided view."""
    out = input.clone()
    out.as_strided(size, stride, storage_offset).copy_(src)
    return out


@function(torch=False)
def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Set the main diagonal in place; ``wrap`` starts it anew in tall matrices."""
    seen = self._spec
    check_inplace(self, "fill_diagonal_")
    if seen.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    if seen.ndim > 2 and len(set(seen.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    value = fill_value.item() if isinstance(fill_value, Tensor) else fill_value
    rows, columns = seen.shape[0], seen.shape[1]
    if seen.ndim > 2 or not wrap or rows <= columns:
        place = self.as_strided((min(seen.shape),), (sum(seen.stride),), seen.offset)
        place.fill_(value)
        return self
    hit = np.zeros((rows, columns), bool)
    np.fill_diagonal(hit, True, wrap=True)
    put(self, self.masked_fill(from_array(hit, dtypes.bool, seen.device), value))
    return self
