"""Linear systems, inverses, determinants and least squares. Computed on the host by LAPACK."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.variable import Tensor
from . import host_linalg, linalg_eigen, linalg_factor
from .complex_numbers import make_complex
from .creation import FULL
from .join import cat
from .linalg_eigen import _svd, linalg_pinv
from .linalg_factor import (
    INT,
    check_float,
    check_matrix,
    conj,
    dagger,
    eye_like,
    host_op,
    linalg_cholesky,
    lu_unpack,
    or_zeros,
    raise_info,
    real_of,
)
from .matmul import matmul
from .publish import function
from .reduce import named


def _broadcast(name: str, a: Any, b: Any) -> tuple[int, ...]:
    try:
        return tuple(np.broadcast_shapes(tuple(a.shape[:-2]), tuple(b.shape[:-2])))
    except ValueError:
        raise RuntimeError(
            f"{name}: The batch dimensions of the operands {list(a.shape)} and {list(b.shape)} do not broadcast"
        ) from None


def _same_dtype(name: str, a: Any, b: Any) -> None:
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type {_c(a.dtype)} and B "
            f"of type {_c(b.dtype)} "
            f"instead"
        )


def _c(dtype: dtypes.dtype) -> str:
    return {"float32": "Float", "float64": "Double", "complex64": "ComplexFloat", "complex128": "ComplexDouble"}.get(
        dtype.name, dtype.name
    )


# -- triangular systems -----------------------------------------------------------------------------------------------
def _triangular_rule(a: Any, b: Any, upper: bool, unit: bool) -> Any:
    return (*_broadcast("linalg.solve_triangular", a, b), *b.shape[-2:]), b.dtype


def _triangular_grad(ctx: Any, g: Tensor) -> tuple:
    a, x = ctx.inputs[0], ctx.outputs[0]
    upper, unit = ctx.static
    gb = _triangular((dagger(a), g), (not upper, unit))
    ga = None
    if ctx.needs[0]:
        ga = -matmul(gb, dagger(x))
        ga = ga.triu(int(unit)) if upper else ga.tril(-int(unit))
    return ga, gb if ctx.needs[1] else None


_triangular = host_op(
    "linalg_solve_triangular", _triangular_rule, host_linalg.triangular, _triangular_grad, saves=(0,), saves_out=(0,)
)


@function(name="linalg_solve_triangular", torch=False, method=False, out=True)
def solve_triangular(A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Tensor:
    """X of A X = B (or X A = B) for triangular A; a zero on the diagonal gives inf or NaN."""
    a, b = A._spec, B._spec
    check_matrix("linalg.solve_triangular", a, True)
    if b.ndim < 2:
        raise RuntimeError("linalg.solve_triangular: The input tensor B must have at least 2 dimensions.")
    _same_dtype("linalg.solve_triangular", a, b)
    if a.shape[-1] != b.shape[-2 if left else -1]:
        way = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"linalg.solve_triangular: Incompatible shapes of A and B for the equation {way} "
            f"({a.shape[-2]}x{a.shape[-1]} "
            f"and {b.shape[-2]}x{b.shape[-1]})"
        )
    if left:
        return _triangular((A, B), (bool(upper), bool(unitriangular)))
    out = _triangular((A.transpose(-2, -1), B.transpose(-2, -1)), (not upper, bool(unitriangular)))
    return out.transpose(-2, -1)


for _module in (linalg_factor, linalg_eigen):
    _module.TRIANGULAR = solve_triangular
linalg_factor.CAT = cat
linalg_eigen.CHOLESKY = linalg_cholesky
TriangularSolve = named("triangular_solve", "solution cloned_coefficient")


@function(out=True)
def triangular_solve(
    input: Tensor, A: Tensor, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Any:
    """(solution, copy of A) of A X = input (transposed: A^H X = input)."""
    a = dagger(A) if transpose else A
    x = solve_triangular(a, input, upper=upper != transpose, unitriangular=unitriangular)
    return TriangularSolve(x, A.clone())


# -- general systems --------------------------------------------------------------------------------------------------
def _each(run: Any, a: np.ndarray, *more: np.ndarray) -> np.ndarray:
    """``run`` on each matrix of a batch, NaN for singular ones."""
    try:
        return run(a, *more)
    except np.linalg.LinAlgError:
        pass
    batch = np.broadcast_shapes(a.shape[:-2], *(m.shape[:-2] for m in more))
    items = [host_linalg.flat_batch(np.broadcast_to(x, batch + x.shape[-2:])) for x in (a, *more)]
    out = np.full_like(items[-1], np.nan)
    for i, parts in enumerate(zip(*items)):
        try:
            out[i] = run(*parts)
        except np.linalg.LinAlgError:
            continue
    return out.reshape(batch + out.shape[-2:])


def _zero_pivots(a: np.ndarray) -> np.ndarray:
    """For each matrix the number of its first zero pivot, 0 where it is regular."""
    sign = np.linalg.slogdet(a)[0]
    if sign.all():
        return np.zeros(a.shape[:-2], np.int32)
    return host_linalg.lu(a, True)[2]


def _solve_grad(ctx: Any, g: Tensor, _: Any = None) -> tuple:
    a, x = ctx.inputs[0], ctx.outputs[0]
    gb = linalg_solve(dagger(a), g)
    return -matmul(gb, dagger(x)) if ctx.needs[0] else None, gb if ctx.needs[1] else None


_solve = host_op(
    "linalg_solve_ex",
    lambda a, b: [((*_broadcast("linalg.solve", a, b), *b.shape[-2:]), b.dtype), (tuple(a.shape[:-2]), INT)],
    lambda a, b: (_each(np.linalg.solve, a, b), _zero_pivots(a)),
    _solve_grad,
    saves=(0,),
    saves_out=(0,),
    differentiable=(0,),
)
SolveEx, InvEx = named("linalg_solve_ex", "result info"), named("linalg_inv_ex", "inverse info")


def _singular(k: int) -> str:
    return "The solver failed because the input matrix is singular."


@function(name="linalg_solve_ex", torch=False, method=False, out=True)
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    """(X, info) of A X = B (or X A = B); info is the first zero pivot or 0."""
    a, b = A._spec, B._spec
    check_matrix("linalg.solve", a, True)
    _same_dtype("linalg.solve", a, b)
    vector = b.ndim == 1 or (a.ndim - 1 == b.ndim and tuple(b.shape) == tuple(a.shape[:-1]))
    right = B.unsqueeze(-1) if vector else B
    side = -2 if left or vector else -1
    if right._spec.ndim < 2 or a.shape[-1] != right._spec.shape[side]:
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation {'AX = B' if left else 'XA = B'} "
            f"({a.shape[-2]}x{a.shape[-1]} and {right._spec.shape[-2]}x{right._spec.shape[-1]})"
        )
    if left:
        x, info = _solve((A, right))
    else:
        x, info = _solve((A.transpose(-2, -1), right.transpose(-2, -1)))
        x = x.transpose(-2, -1)
    if check_errors:
        raise_info("torch.linalg.solve", info, _singular)
    return SolveEx(x.squeeze(-1) if vector else x, info)


@function(name="linalg_solve", torch=False, method=False, out=True)
def linalg_solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """X of A X = B (or X A = B). Raises LinAlgError for singular A."""
    return solve_ex(A, B, left=left, check_errors=True).result


linalg_eigen.SOLVE = linalg_solve
_inv = host_op(
    "linalg_inv_ex",
    lambda a: [(tuple(a.shape), a.dtype), (tuple(a.shape[:-2]), INT)],
    lambda a: (_each(np.linalg.inv, a), _zero_pivots(a)),
    lambda ctx, g, _=None: (-matmul(dagger(ctx.outputs[0]), matmul(g, dagger(ctx.outputs[0]))),),
    saves_out=(0,),
    differentiable=(0,),
)


def _no_inverse(k: int) -> str:
    return (
        f"The diagonal element {k} is zero, the inversion could not be completed because the input matrix is singular."
    )


@function(name="linalg_inv_ex", torch=False, method=False, out=True)
def inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    """(inverse, info); info is the first zero pivot or 0."""
    check_matrix("linalg.inv", A._spec, True)
    out = InvEx(*_inv((A,)))
    if check_errors:
        raise_info("linalg.inv_ex", out.info, _no_inverse)
    return out


@function(name="linalg_inv", torch=False, method=False, out=True)
def linalg_inv(A: Tensor) -> Tensor:
    """Inverse. Raises LinAlgError for singular matrices."""
    check_matrix("linalg.inv", A._spec, True)
    out, info = _inv((A,))
    raise_info("linalg.inv", info, _no_inverse)
    return out


@function(out=True)
def inverse(input: Tensor) -> Tensor:
    """Inverse. Raises LinAlgError for singular matrices."""
    return linalg_inv(input)


# -- from factors -----------------------------------------------------------------------------------------------------
@function(name="linalg_lu_solve", torch=False, method=False, out=True)
def linalg_lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False) -> Tensor:
    """X of A X = B (X A = B, or with A^H) from lu_factor's result."""
    check_matrix("torch.linalg.lu_solve", LU._spec, True, "LU")
    _same_dtype("linalg.lu_solve", LU._spec, B._spec)
    if not left:
        x = linalg_lu_solve(LU, pivots, dagger(B), adjoint=not adjoint)
        return dagger(x)
    perm = lu_unpack(LU, pivots, False).P
    if adjoint:
        y = solve_triangular(dagger(LU), B, upper=False)
        return matmul(perm, solve_triangular(dagger(LU), y, upper=True, unitriangular=True))
    y = solve_triangular(LU, matmul(perm.transpose(-2, -1), B), upper=False, unitriangular=True)
    return solve_triangular(LU, y, upper=True)


@function(out=True)
def lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
    """X of A X = input from lu_factor's result."""
    return linalg_lu_solve(LU_data, LU_pivots, input)


@function(out=True)
def cholesky_solve(input: Tensor, L: Tensor, upper: bool = False) -> Tensor:
    """X of A X = input from the Cholesky factor of A."""
    low = dagger(L) if upper else L
    return solve_triangular(dagger(low), solve_triangular(low, input, upper=False), upper=True)


@function(out=True)
def cholesky_inverse(L: Tensor, upper: bool = False) -> Tensor:
    """Inverse of A from its Cholesky factor."""
    check_matrix("cholesky_inverse", L._spec, True)
    return cholesky_solve(eye_like(L, L._spec.shape[-1]).expand(*L._spec.shape), L, upper)


# -- determinants -----------------------------------------------------------------------------------------------------
def _others(s: Tensor) -> Tensor:
    """Product of the other elements of the last dimension, exact where some are zero."""
    ones = s.new_ones((*s._spec.shape[:-1], 1))
    left = cat([ones, s[..., :-1]], -1).cumprod(-1)
    right = cat([ones, s.flip(-1)[..., :-1]], -1).cumprod(-1).flip(-1)
    return left * right


def _det_grad(ctx: Any, g: Tensor) -> tuple:
    """g conj(det) A^-H; for singular matrices the cofactors by way of singular values."""
    a, det = ctx.inputs[0], ctx.outputs[0]
    scale = g.unsqueeze(-1).unsqueeze(-1)
    if (det.detach().abs() > 0).all().item():
        return (scale * conj(det).unsqueeze(-1).unsqueeze(-1) * dagger(_inv((a,))[0]),)
    u, s, vh = _svd((a,), (False,))
    phase = conj(_det((u,)) * _det((vh,))).unsqueeze(-1).unsqueeze(-1)
    return (scale * phase * matmul(u * _others(s).unsqueeze(-2), vh),)


_det = host_op(
    "linalg_det", lambda a: (tuple(a.shape[:-2]), a.dtype), np.linalg.det, _det_grad, saves=(0,), saves_out=(0,)
)


@function(name="linalg_det", torch=False, method=False, out=True)
def linalg_det(A: Tensor) -> Tensor:
    """Determinant of square matrices."""
    check_matrix("linalg.det", A._spec, True)
    return _det((A,))


@function()
def det(input: Tensor) -> Tensor:
    """Determinant of square matrices."""
    return linalg_det(input)


def _slogdet_grad(ctx: Any, g_sign: Tensor | None, g_log: Tensor | None) -> tuple:
    """d log|det| + i d phase = tr(A^-1 dA)."""
    a, sign = ctx.inputs[0], ctx.outputs[0]
    weight = None if g_log is None else g_log
    if sign._spec.dtype.is_complex:
        turn = -(conj(or_zeros(g_sign, sign)) * sign).imag
        weight = make_complex(or_zeros(g_log, ctx.outs[1]), turn)
    if weight is None:
        return (a * 0,)
    return (weight.unsqueeze(-1).unsqueeze(-1) * dagger(linalg_inv(a)),)


_slogdet = host_op(
    "linalg_slogdet",
    lambda a: [(tuple(a.shape[:-2]), a.dtype), (tuple(a.shape[:-2]), real_of(a.dtype))],
    lambda a: tuple(np.linalg.slogdet(a)),
    _slogdet_grad,
    saves=(0,),
    saves_out=(0,),
)
LinalgSlogdet, Slogdet = named("linalg_slogdet", "sign logabsdet"), named("slogdet", "sign logabsdet")


@function(name="linalg_slogdet", torch=False, method=False, out=True)
def linalg_slogdet(A: Tensor) -> Any:
    """(sign, log of the absolute value) of the determinant."""
    check_matrix("linalg.slogdet", A._spec, True)
    return LinalgSlogdet(*_slogdet((A,)))


@function(out=True)
def slogdet(input: Tensor) -> Any:
    """(sign, log of the absolute value) of the determinant."""
    return Slogdet(*linalg_slogdet(input))


@function()
def logdet(input: Tensor) -> Tensor:
    """Logarithm of the determinant; NaN where it is negative."""
    sign, value = linalg_slogdet(input)
    if sign._spec.dtype.is_complex:
        return sign.log() + value
    return value.masked_fill(sign < 0, float("nan"))


# -- least squares ----------------------------------------------------------------------------------------------------
def _lstsq_rule(a: Any, b: Any, rcond: Any) -> list:
    batch = _broadcast("torch.linalg.lstsq", a, b)
    m, n = a.shape[-2:]
    return [
        ((*batch, n, b.shape[-1]), b.dtype), (batch, dtypes.int64), ((*batch, min(m, n)), real_of(a.dtype))
    ]  # fmt: skip


def _run_lstsq(a: np.ndarray, b: np.ndarray, rcond: float | None) -> tuple:
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    pairs = [host_linalg.flat_batch(np.broadcast_to(x, batch + x.shape[-2:])) for x in (a, b)]
    found = [np.linalg.lstsq(x, y, rcond) for x, y in zip(*pairs)]
    m, n = a.shape[-2:]
    return (
        np.array([f[0] for f in found]).reshape(*batch, n, b.shape[-1]),
        np.array([f[2] for f in found]).reshape(batch),
        np.array([f[3] for f in found]).reshape(*batch, min(m, n)),
    )


_lstsq = host_op("linalg_lstsq", _lstsq_rule, _run_lstsq)
Lstsq = named("linalg_lstsq", "solution residuals rank singular_values")


@function(name="linalg_lstsq", torch=False, method=False, out=True)
def lstsq(A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None) -> Any:
    """(solution, residuals, rank, singular_values) of min |A X - B|; fields that the driver does not give are empty."""
    a, b = A._spec, B._spec
    check_matrix("torch.linalg.lstsq", a)
    check_float("torch.linalg.lstsq", b, "B")
    _same_dtype("torch.linalg.lstsq", a, b)
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError("torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)")
    driver = driver or "gelsy"
    vector = a.ndim - 1 == b.ndim
    right = B.unsqueeze(-1) if vector else B
    m, n = a.shape[-2:]
    if right._spec.shape[-2] != m:
        raise RuntimeError("torch.linalg.lstsq: input.size(-2) should match other.size(-2)")
    x, rank, values = _lstsq((A.detach(), right.detach()), (rcond,))
    if A._rg or B._rg:
        x = matmul(linalg_pinv(A), right)
    empty = FULL((0,), 0, real_of(a.dtype), a.device)
    residuals = empty
    if m > n and driver != "gelsy" and bool((rank == n).all().item()):
        gap = matmul(A, x) - right
        residuals = (gap * conj(gap)).sum(-2)
        residuals = residuals.real if residuals._spec.dtype.is_complex else residuals
    if driver == "gels":
        rank = FULL((0,), 0, dtypes.int64, a.device)
    return Lstsq(x.squeeze(-1) if vector else x, residuals, rank, values if driver in ("gelsd", "gelss") else empty)
