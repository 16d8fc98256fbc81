"""Norms, powers and exponentials of matrices, chains of products, systems of tensor equations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import prod
from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from . import host_linalg
from .contraction import chain_matmul, vander
from .distance import vector_norm
from .join import cat
from .linalg_eigen import svdvals
from .linalg_factor import check_matrix, conj, dagger, eye_like, host_op
from .linalg_solve import inv_ex, linalg_inv, linalg_solve
from .matmul import matmul
from .publish import function
from .views import diagonal, wrap_dim


# -- norms ------------------------------------------------------------------------------------------------------------
@function(name="linalg_matrix_norm", torch=False, method=False, out=True)
def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Sequence[int] = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """Norm of matrices: "fro", "nuc", 1, -1, inf, -inf (sums of magnitudes), 2, -2 (singular values)."""
    check_matrix("linalg.matrix_norm", A._spec)
    x = A if dtype is None else A.to(dtype)
    ndim = x._spec.ndim
    if len(dim) != 2:
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {list(dim)}")
    a, c = wrap_dim(dim[0], ndim), wrap_dim(dim[1], ndim)
    if a == c:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    if ord == "fro":
        return vector_norm(x, 2, (a, c), keepdim)
    if isinstance(ord, str) and ord != "nuc":
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    x = x.permute(*(d for d in range(ndim) if d not in (a, c)), a, c)
    if ord == "nuc":
        out = svdvals(x).sum(-1)
    elif abs(ord) == 2:
        values = svdvals(x)
        if ord > 0 and not values._spec.shape[-1]:  # of an empty matrix
            out = values.sum(-1)
        else:
            out = values.amax(-1) if ord > 0 else values.amin(-1)
    elif abs(ord) in (1, math.inf):
        sums = vector_norm(x, 1, -2 if abs(ord) == 1 else -1)
        out = sums.amax(-1) if ord > 0 else sums.amin(-1)
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if keepdim:
        for d in sorted((a, c)):
            out = out.unsqueeze(d)
    return out


@function(name="linalg_norm", torch=False, method=False, out=True)
def linalg_norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """Vector norm, or matrix norm where ``ord`` is given with two dimensions."""
    if dtype is not None:
        A = A.to(dtype)
    dims = (dim,) if isinstance(dim, int) else dim
    if ord is None:
        return vector_norm(A, 2, dims, keepdim)
    if dims is None:
        if A._spec.ndim not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A._spec.ndim}D."
            )
        dims = (0,) if A._spec.ndim == 1 else (0, 1)
    if len(dims) == 1:
        if isinstance(ord, str):
            raise RuntimeError(f"linalg.norm: If dim is 1-D, ord must be a number. Got {ord}")
        return vector_norm(A, ord, dims, keepdim)
    return matrix_norm(A, ord, dims, keepdim)


@function(name="linalg_cond", torch=False, method=False, out=True)
def cond(A: Tensor, p: Any = None) -> Tensor:
    """Condition number in a norm (2 by default); inf for singular matrices in the norms that invert."""
    check_matrix("linalg.cond", A._spec)
    if p is None or p in (2, -2):
        values = svdvals(A)
        if not values._spec.shape[-1]:
            return values.sum(-1)
        top, low = values[..., 0], values[..., -1]
        return low / top if p == -2 else top / low
    check_matrix("linalg.cond", A._spec, True)
    inverse = linalg_solve_or_inf(A)
    return matrix_norm(A, p) * matrix_norm(inverse, p)


def linalg_solve_or_inf(A: Tensor) -> Tensor:
    """Inverse, inf everywhere for singular matrices."""
    out, info = inv_ex(A)
    return out.masked_fill((info != 0).unsqueeze(-1).unsqueeze(-1), float("inf"))


# -- functions of matrices --------------------------------------------------------------------------------------------
def _exp_grad(ctx: Any, g: Tensor) -> tuple:
    """The upper right block of exp([[A^H, G], [0, A^H]]) (Mathias 1996)."""
    a = dagger(ctx.inputs[0])
    n = a._spec.shape[-1]
    block = cat([cat([a, g], -1), cat([a * 0, a], -1)], -2)
    return (_exp((block,))[..., :n, n:],)


_exp = host_op("linalg_matrix_exp", lambda a: (tuple(a.shape), a.dtype), host_linalg.expm, _exp_grad, saves=(0,))


@function(aliases=("linalg_matrix_exp",))
def matrix_exp(input: Tensor) -> Tensor:
    """Matrix exponential of square matrices."""
    seen = input._spec
    if seen.dtype in (dtypes.float16, dtypes.bfloat16):
        return matrix_exp(input.to(dtypes.float32)).to(seen.dtype)
    check_matrix("linalg.matrix_exp", seen, True)
    return _exp((input,))


@function(aliases=("linalg_matrix_power",), out=True)
def matrix_power(input: Tensor, n: int) -> Tensor:
    """Product of n copies (inverses for negative n) by repeated squaring."""
    seen = input._spec
    if seen.ndim < 2:
        raise RuntimeError("linalg.matrix_power: The input tensor A must have at least 2 dimensions.")
    if seen.shape[-1] != seen.shape[-2]:
        raise RuntimeError(
            f"linalg.matrix_power: A must be batches of square matrices, but they are {seen.shape[-2]} "
            f"by {seen.shape[-1]} "
            f"matrices"
        )
    if n == 0:
        return eye_like(input, seen.shape[-1]).expand(*seen.shape).clone()
    square = linalg_inv(input) if n < 0 else input
    out, left = None, abs(n)
    while left:
        if left & 1:
            out = square if out is None else matmul(out, square)
        left >>= 1
        if left:
            square = matmul(square, square)
    return out.clone() if out is input else out


# -- products ---------------------------------------------------------------------------------------------------------
@function(name="linalg_multi_dot", torch=False, method=False, out=True)
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """Product of matrices in the cheapest order; the first and last may be vectors."""
    items = list(tensors)
    if len(items) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(items)}")
    first, last = items[0]._spec.ndim == 1, items[-1]._spec.ndim == 1
    if first:
        items[0] = items[0].unsqueeze(0)
    if last:
        items[-1] = items[-1].unsqueeze(1)
    for i, t in enumerate(items):
        if t._spec.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {t._spec.ndim}D")
    out = chain_matmul(*items)
    out = out.squeeze(-1) if last else out
    return out.squeeze(0) if first else out


@function(name="linalg_vecdot", torch=False, method=False, out=True)
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """Inner product along a dimension, the first operand conjugated."""
    return (conj(x) * y).sum(dim)


@function(name="linalg_vander", torch=False, method=False)
def linalg_vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Matrix of ascending powers of the last dimension's elements."""
    seen = x._spec
    if not seen.ndim:
        raise RuntimeError("linalg.vander: Expected dim of x to be at least 1")
    columns = seen.shape[-1] if N is None else N
    if columns <= 1 and N is not None:
        raise RuntimeError("linalg.vander: N must be greater than 1.")
    rows = vander(x.reshape(-1), columns, True)
    return rows.reshape(*seen.shape, columns)


@function(name="linalg_diagonal", torch=False, method=False)
def linalg_diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """View of a diagonal of the last two dimensions."""
    return diagonal(A, offset, dim1, dim2)


# -- tensor equations -------------------------------------------------------------------------------------------------
@function(name="linalg_tensorinv", torch=False, method=False, out=True)
def tensorinv(A: Tensor, ind: int = 2) -> Tensor:
    """Inverse of A seen as a map from its last dimensions to its first ``ind``."""
    shape = tuple(A._spec.shape)
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    rows, columns = shape[:ind], shape[ind:]
    if prod(rows) != prod(columns):
        raise RuntimeError(
            f"Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
            f"{prod(columns)} != {prod(rows)}"
        )
    return linalg_inv(A.reshape(prod(rows), prod(columns))).reshape(*columns, *rows)


@function(name="linalg_tensorsolve", torch=False, method=False, out=True)
def tensorsolve(A: Tensor, B: Tensor, dims: Sequence[int] | None = None) -> Tensor:
    """X with tensordot(A, X, X.ndim) = B; ``dims`` of A are first moved to the end."""
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(-len(dims), 0)))
    shape = tuple(A._spec.shape[B._spec.ndim :])
    size = prod(shape)
    if size != B._spec.numel:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            "prod(self.shape[:other.ndim]), but "
            f"got {size} != {B._spec.numel}"
        )
    return linalg_solve(A.reshape(size, size), B.reshape(-1)).reshape(shape)


def _removed(name: str, instead: str) -> Any:
    def call(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"This function was deprecated since version 1.9 and is now removed. `torch.{name}` is "
            f"deprecated in favor of "
            f"`torch.linalg.{instead}`."
        )

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"Removed: raises RuntimeError that names linalg.{instead}."
    return function(torch=False)(call)


for _name in ("solve", "lstsq", "eig"):
    _removed(_name, _name)
