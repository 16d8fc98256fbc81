"""Matrix factorisations: Cholesky, LU, LDL, QR, eigenvalues, singular values. Computed on the host by LAPACK.

Derivatives: Giles 2008, "Collected matrix derivative results"; Walter and Lehmann 2018 for QR and LU; Wan and
Zhang 2019
for the complex SVD.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from ..errors import LinAlgError
from ..graph.spec import Spec
from . import host_linalg
from .creation import zeros_of
from .matmul import matmul
from .op import Op
from .publish import function
from .reduce import named

INT = dtypes.int32


# -- checks and shapes ------------------------------------------------------------------------------------------------
def check_matrix(name: str, x: Spec, square: bool = False, argument: str = "A") -> None:
    """Raise torch's RuntimeError unless ``x`` is a batch of (square) float or complex matrices."""
    if x.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")
    if square and x.shape[-1] != x.shape[-2]:
        raise RuntimeError(
            f"{name}: {argument} must be batches of square matrices, but they are {x.shape[-2]} by "
            f"{x.shape[-1]} matrices"
        )
    check_float(name, x, argument)


def check_float(name: str, x: Spec, argument: str = "A") -> None:
    """Raise torch's RuntimeError for dtypes LAPACK has no routines for."""
    if not x.floating:
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {_short_name(x.dtype)}")
    if x.dtype not in (dtypes.float32, dtypes.float64, dtypes.complex64, dtypes.complex128):
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {_short_name(x.dtype)}")


def _short_name(dtype: dtypes.dtype) -> str:
    return scalar_type_name(dtype)


def batch_of(x: Spec) -> tuple[int, ...]:
    """Leading dimensions."""
    return tuple(x.shape[:-2])


def real_of(dtype: dtypes.dtype) -> dtypes.dtype:
    """dtype of magnitudes."""
    return dtype.to_real() if dtype.is_complex else dtype


def host_op(name: str, rule: Callable, run: Callable, grad: Callable | None = None, **more: Any) -> Op:
    """An op computed by ``run(*arrays, *static) -> array or tuple`` on the host."""

    def lower(b: Any, *args: Any) -> Any:
        count = next((i for i, a in enumerate(args) if not hasattr(a, "view") or not hasattr(a, "val")), len(args))
        refs, static = args[:count], args[count:]
        shapes = rule(*(_Seen(r) for r in refs), *static)
        outs = shapes if isinstance(shapes, list) else [shapes]

        def call(*arrays: np.ndarray) -> tuple:
            with np.errstate(all="ignore"):
                got = run(*arrays, *static)
            got = got if isinstance(got, tuple) else (got,)
            return tuple(np.ascontiguousarray(g, dtype=d.numpy).reshape(s) for g, (s, d) in zip(got, outs))

        found = b.host(call, refs, outs, name)
        return found if isinstance(shapes, list) else found[0]

    return Op(name, rule, lower, grad, **more)


class _Seen:
    """What a rule reads of an operand, while lowering."""

    def __init__(self, ref: Any) -> None:
        self.shape, self.dtype, self.ndim = tuple(ref.shape), ref.dtype, len(ref.shape)
        self.floating = self.dtype.is_floating_point or self.dtype.is_complex


def dagger(x: Tensor) -> Tensor:
    """Conjugate transpose."""
    out = x.transpose(-2, -1)
    return out.conj() if x._spec.dtype.is_complex else out


def conj(x: Tensor) -> Tensor:
    """Conjugate, or a real tensor itself."""
    return x.conj() if x._spec.dtype.is_complex else x


def or_zeros(g: Tensor | None, like: Spec | Tensor) -> Tensor:
    """A gradient, or zeros where none arrived."""
    seen = like._spec if isinstance(like, Tensor) else like
    return zeros_of(tuple(seen.shape), seen.dtype, seen.device) if g is None else g


def eye_like(x: Tensor, n: int) -> Tensor:
    """Identity matrix of x's dtype and device."""
    return zeros_of((n,), x._spec.dtype, x._spec.device).add(1).diag_embed()


def raise_info(name: str, info: Tensor, message: Callable[[int], str]) -> None:
    """Raise LinAlgError for the first matrix whose factorisation failed (waits for the values)."""
    values = info.detach().cpu().numpy()
    if values.any():
        flat = values.reshape(-1)
        at = int(np.flatnonzero(flat)[0])
        batch = f" (Batch element {at}):" if values.ndim else ""
        raise LinAlgError(f"{name}:{batch} {message(int(flat[at]))}")


# -- Cholesky ---------------------------------------------------------------------------------------------------------
def _cholesky_grad(ctx: Any, g: Tensor | None, _: Any = None) -> tuple:
    """L^-H Phi(L^H gL) L^-1, made Hermitian; Phi takes the lower triangle with half of the diagonal."""
    upper = ctx.static[0]
    low = ctx.outputs[0]
    if upper:
        low, g = dagger(low), dagger(g)
    phi = matmul(dagger(low), g).tril()
    phi = phi - (phi.diagonal(0, -2, -1) * 0.5).diag_embed()
    phi = (phi + dagger(phi)) * 0.5
    turned = dagger(low)
    out = TRIANGULAR(turned, phi, upper=True)
    return (dagger(TRIANGULAR(turned, dagger(out), upper=True)),)


TRIANGULAR: Any = None  # set by linalg_solve
_cholesky = host_op(
    "linalg_cholesky_ex",
    lambda x, upper: [(tuple(x.shape), x.dtype), (tuple(x.shape[:-2]), INT)],
    host_linalg.cholesky,
    _cholesky_grad,
    saves_out=(0,),
    differentiable=(0,),
)
CholeskyEx = named("linalg_cholesky_ex", "L info")


def _cholesky_message(k: int) -> str:
    return (
        f"The factorization could not be completed because the input is not positive-definite (the "
        f"leading minor of order "
        f"{k} is not positive-definite)."
    )


@function(name="linalg_cholesky_ex", torch=False, method=False, out=True)
def cholesky_ex(A: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """(L, info): A = L L^H (upper: U^H U); info > 0 is the order of the first minor that is not positive."""
    check_matrix("linalg.cholesky", A._spec, True)
    low, info = _cholesky((A,), (bool(upper),))
    if check_errors:
        raise_info("linalg.cholesky_ex", info, _cholesky_message)
    return CholeskyEx(low, info)


def _checked_cholesky(name: str, A: Tensor, upper: bool) -> Tensor:
    check_matrix(name, A._spec, True)
    low, info = _cholesky((A,), (bool(upper),))
    raise_info(name, info, _cholesky_message)
    return low


@function(name="linalg_cholesky", torch=False, method=False, out=True)
def linalg_cholesky(A: Tensor, *, upper: bool = False) -> Tensor:
    """Cholesky factor of Hermitian positive-definite matrices. Raises LinAlgError for others."""
    return _checked_cholesky("linalg.cholesky", A, upper)


@function(out=True)
def cholesky(input: Tensor, upper: bool = False) -> Tensor:
    """Cholesky factor of Hermitian positive-definite matrices. Raises LinAlgError for others."""
    return _checked_cholesky("cholesky", input, upper)


# -- LU ---------------------------------------------------------------------------------------------------------------
def _lu_rule(x: Any, pivot: bool) -> list:
    batch, (m, n) = tuple(x.shape[:-2]), x.shape[-2:]
    return [(tuple(x.shape), x.dtype), ((*batch, min(m, n)), INT), (batch, INT)]


def unit_lower(packed: Tensor, m: int, k: int) -> Tensor:
    """L of packed factors: (..., m, k) with ones on the diagonal."""
    return packed[..., :, :k].tril(-1) + eye_like(packed, m)[:, :k]


def _lu_grad(ctx: Any, g: Tensor, *_: Any) -> tuple:
    """For PA = LU with square L, U: P^T L^-H (tril(L^H gL, -1) + triu(gU U^H)) U^-H; other rows and columns first."""
    packed, pivots = ctx.outputs[:2]
    m, n = packed._spec.shape[-2:]
    k = min(m, n)
    low, up = unit_lower(packed, m, k), packed[..., :k, :].triu()
    g_low, g_up = g[..., :, :k].tril(-1), g[..., :k, :].triu()
    low1, up1 = low[..., :k, :], up[..., :, :k]
    parts = []
    if m > n:
        extra = dagger(TRIANGULAR(up1, dagger(g_low[..., k:, :]), upper=True))
        g_up = g_up - matmul(dagger(low[..., k:, :]), extra)
        parts = [extra]
        g_low = g_low[..., :k, :]
    elif n > m:
        extra = TRIANGULAR(dagger(low1), g_up[..., :, k:], upper=True, unitriangular=True)
        g_low = g_low - matmul(extra, dagger(up[..., :, k:]))
        parts = [extra]
        g_up = g_up[..., :, :k]
    inner = matmul(dagger(low1), g_low).tril(-1) + matmul(g_up, dagger(up1)).triu()
    inner = TRIANGULAR(dagger(low1), inner, upper=True, unitriangular=True)
    inner = dagger(TRIANGULAR(up1, dagger(inner), upper=True))
    if parts:
        inner = CAT([inner, *parts], -2 if m > n else -1)
    if ctx.static[0]:
        inner = matmul(permutation_matrix(pivots, m, inner), inner)
    return (inner,)


CAT: Any = None  # set by linalg_solve
_lu = host_op("lu_factor_ex", _lu_rule, host_linalg.lu, _lu_grad, saves_out=(0, 1), differentiable=(0,))
_permutation = host_op("lu_permutation", lambda p, m: ((*p.shape[:-1], m), dtypes.int64), host_linalg.permutation)


def permutation_matrix(pivots: Tensor, m: int, like: Tensor) -> Tensor:
    """P of A = P L U, from the exchanges."""
    order = _permutation((pivots,), (m,))
    rows = zeros_of((m,), dtypes.int64, order._spec.device).add(1).cumsum(0) - 1
    return (rows.unsqueeze(-1) == order.unsqueeze(-2)).to(like._spec.dtype)


LuFactor = named("linalg_lu_factor", "LU pivots")
LuFactorEx = named("linalg_lu_factor_ex", "LU pivots info")
Lu = named("linalg_lu", "P L U")
LuUnpack = named("lu_unpack", "P L U")


@function(name="linalg_lu_factor_ex", torch=False, method=False, out=True)
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """(LU, pivots, info): packed factors of PA = LU by partial pivoting, exchanges from 1, first zero pivot."""
    check_matrix("torch.linalg.lu_factor_ex", A._spec)
    out = LuFactorEx(*_lu((A,), (bool(pivot),)))
    if check_errors:
        raise_info("torch.linalg.lu_factor_ex", out.info, _lu_message)
    return out


def _lu_message(k: int) -> str:
    return (
        f"U[{k},{k}] is zero and using it on lu_solve would result in a division by zero. If you "
        f"still want to perform the "
        f"factorization, consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
    )


@function(name="linalg_lu_factor", torch=False, method=False, out=True)
def lu_factor(A: Tensor, *, pivot: bool = True) -> Any:
    """(LU, pivots). Raises RuntimeError for a zero pivot."""
    check_matrix("torch.linalg.lu_factor", A._spec)
    packed, pivots, info = _lu((A,), (bool(pivot),))
    raise_info("torch.linalg.lu_factor", info, _lu_message)
    return LuFactor(packed, pivots)


@function(method=False, out=True)
def lu_unpack(LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True) -> Any:
    """(P, L, U) of packed factors; parts not asked for are empty."""
    seen = LU_data._spec
    if unpack_pivots and LU_pivots._spec.dtype is not INT:
        raise RuntimeError("torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.")
    m, n = seen.shape[-2:]
    k = min(m, n)
    empty = zeros_of((0,), seen.dtype, seen.device)
    low = unit_lower(LU_data, m, k) if unpack_data else empty
    up = LU_data[..., :k, :].triu() if unpack_data else empty
    perm = permutation_matrix(LU_pivots, m, LU_data) if unpack_pivots else empty
    return LuUnpack(perm, low, up)


@function(name="linalg_lu", torch=False, method=False, out=True)
def linalg_lu(A: Tensor, *, pivot: bool = True) -> Any:
    """(P, L, U) with A = P L U; P is empty without pivoting."""
    check_matrix("linalg.lu", A._spec)
    packed, pivots, _ = _lu((A,), (bool(pivot),))
    return Lu(*lu_unpack(packed, pivots, True, bool(pivot)))


@function(out=True)
def lu(self: Tensor, pivot: bool = True, get_infos: bool = False) -> tuple:
    """(LU, pivots) or (LU, pivots, infos)."""
    out = lu_factor_ex(self, pivot=pivot)
    if not get_infos:
        raise_info("lu", out.info, _lu_message)
    return tuple(out) if get_infos else (out.LU, out.pivots)


# -- LDL --------------------------------------------------------------------------------------------------------------
_ldl = host_op(
    "linalg_ldl_factor_ex",
    lambda x, hermitian: [(tuple(x.shape), x.dtype), (tuple(x.shape[:-1]), INT), (tuple(x.shape[:-2]), INT)],
    host_linalg.ldl,
)
_ldl_solve = host_op(
    "linalg_ldl_solve",
    lambda m, p, b, hermitian: (
        (*np.broadcast_shapes(tuple(m.shape[:-2]), tuple(b.shape[:-2])), *b.shape[-2:]), b.dtype
    ),
    host_linalg.ldl_solve,
)  # fmt: skip
LdlFactor = named("linalg_ldl_factor", "LD pivots")
LdlFactorEx = named("linalg_ldl_factor_ex", "LD pivots info")


@function(name="linalg_ldl_factor_ex", torch=False, method=False, out=True)
def ldl_factor_ex(A: Tensor, *, hermitian: bool = False, check_errors: bool = False) -> Any:
    """(LD, pivots, info) of symmetric (or Hermitian) matrices, read from the lower triangle."""
    check_matrix("torch.linalg.ldl_factor_ex", A._spec, True)
    out = LdlFactorEx(*_ldl((A,), (bool(hermitian and A._spec.dtype.is_complex),)))
    if check_errors:
        raise_info("torch.linalg.ldl_factor_ex", out.info, _ldl_message)
    return out


def _ldl_message(k: int) -> str:
    return f"The diagonal block {k} is zero: the factors are exactly singular."


@function(name="linalg_ldl_factor", torch=False, method=False, out=True)
def ldl_factor(A: Tensor, *, hermitian: bool = False) -> Any:
    """(LD, pivots). Raises RuntimeError for singular matrices."""
    out = ldl_factor_ex(A, hermitian=hermitian, check_errors=True)
    return LdlFactor(out.LD, out.pivots)


@function(name="linalg_ldl_solve", torch=False, method=False, out=True)
def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:
    """X of A X = B from ldl_factor's result."""
    check_matrix("torch.linalg.ldl_solve", LD._spec, True)
    if B._spec.ndim < 2:
        raise RuntimeError("torch.linalg.ldl_solve: Expected B to have at least 2 dimensions")
    return _ldl_solve((LD, pivots, B), (bool(hermitian and LD._spec.dtype.is_complex),))


# -- QR ---------------------------------------------------------------------------------------------------------------
def _qr_rule(x: Any, mode: str) -> list:
    batch, (m, n) = tuple(x.shape[:-2]), x.shape[-2:]
    k = m if mode == "complete" else min(m, n)
    return [((*batch, m, k) if mode != "r" else (0,), x.dtype), ((*batch, k, n), x.dtype)]


def _qr(a: np.ndarray, mode: str) -> tuple:
    if mode == "r":
        return np.empty(0, a.dtype), np.linalg.qr(a, "r")
    q, r = np.linalg.qr(a, mode)
    return q, r


def _qr_grad(ctx: Any, gq: Tensor | None, gr: Tensor | None) -> tuple:
    """(gQ + Q sym(M)) R^-H with M = R gR^H - gQ^H Q, sym the lower triangle mirrored; wide matrices by columns."""
    mode = ctx.static[0]
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use "
            "linalg.qr(A, mode='reduced') if you are going to differentiate through linalg.qr."
        )
    q, r = ctx.outputs
    m, n = q._spec.shape[-2], r._spec.shape[-1]
    if mode == "complete" and m > n:
        raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and nrows > ncols.")
    gq, gr = or_zeros(gq, q), or_zeros(gr, r)
    rest = None
    if n > m:
        x2 = matmul(q, r[..., m:])
        gq = gq + matmul(x2, dagger(gr[..., m:]))
        rest = matmul(q, gr[..., m:])
        r, gr = r[..., :m], gr[..., :m]
    inner = matmul(r, dagger(gr)) - matmul(dagger(gq), q)
    diag = inner.diagonal(0, -2, -1)
    diag = diag.real.to(diag._spec.dtype) if diag._spec.dtype.is_complex else diag
    sym = inner.tril(-1)
    sym = sym + dagger(sym) + diag.diag_embed()
    right = gq + matmul(q, sym)
    out = dagger(TRIANGULAR(r, dagger(right), upper=True))
    return (out if rest is None else CAT([out, rest], -1),)


_qr_op = host_op("linalg_qr", _qr_rule, _qr, _qr_grad, saves_out=(0, 1))
LinalgQr, Qr = named("linalg_qr", "Q R"), named("qr", "Q R")


@function(name="linalg_qr", torch=False, method=False, out=True)
def linalg_qr(A: Tensor, mode: str = "reduced") -> Any:
    """(Q, R) with orthonormal Q and upper triangular R; mode "reduced", "complete" or "r" (Q empty)."""
    check_matrix("linalg.qr", A._spec)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    return LinalgQr(*_qr_op((A,), (mode,)))


@function(out=True)
def qr(input: Tensor, some: bool = True) -> Any:
    """(Q, R), see linalg.qr."""
    return Qr(*linalg_qr(input, "reduced" if some else "complete"))


def _raw_qr(a: np.ndarray) -> tuple:
    h, tau = np.linalg.qr(a, "raw")
    return np.swapaxes(h, -1, -2), tau


_geqrf = host_op(
    "geqrf",
    lambda x: [(tuple(x.shape), x.dtype), ((*x.shape[:-2], min(x.shape[-2:])), x.dtype)],
    _raw_qr,
)
Geqrf = named("geqrf", "a tau")


@function(out=True)
def geqrf(input: Tensor) -> Any:
    """(a, tau): R above the diagonal, Householder vectors below (LAPACK's geqrf)."""
    check_matrix("geqrf", input._spec)
    return Geqrf(*_geqrf((input,)))


def _reflectors(a: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
    """V and T with H_1 ... H_k = I - V T V^H: T = (I + D S)^-1 D, D = diag(tau), S the part of V^H V above the
    diagonal."""
    m, k = a._spec.shape[-2], tau._spec.shape[-1]
    v = unit_lower(a, m, k)
    over = matmul(dagger(v), v).triu(1)
    unit = eye_like(a, k) + tau.unsqueeze(-1) * over
    return v, TRIANGULAR(unit, tau.diag_embed(), upper=True, unitriangular=True)


@function(name="linalg_householder_product", torch=False, method=False, out=True)
def householder_product(A: Tensor, tau: Tensor) -> Tensor:
    """First columns of the product of Householder reflections (vectors below the diagonal of A, factors tau)."""
    check_matrix("torch.linalg.householder_product", A._spec)
    m, n = A._spec.shape[-2:]
    if m < n:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    if n < tau._spec.shape[-1]:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    v, t = _reflectors(A, tau)
    return eye_like(A, m)[:, :n] - matmul(v, matmul(t, dagger(v)[..., :n]))


@function(out=True)
def orgqr(input: Tensor, input2: Tensor) -> Tensor:
    """Alias of linalg.householder_product."""
    return householder_product(input, input2)


@function(out=True)
def ormqr(input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False) -> Tensor:
    """Q @ other, other @ Q or with Q^H, for Q the full product of Householder reflections."""
    check_matrix("torch.ormqr", input._spec, argument="input")
    v, t = _reflectors(input, tau)
    t = dagger(t) if transpose else t
    if left:
        return other - matmul(v, matmul(t, matmul(dagger(v), other)))
    return other - matmul(matmul(matmul(other, v), t), dagger(v))
