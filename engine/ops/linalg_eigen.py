"""Eigenvalues and singular values, and what follows from them: pseudo-inverse, ranks, low-rank approximations."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.variable import Tensor
from ..errors import LinAlgError
from .complex_numbers import make_complex
from .creation import FULL
from .linalg_factor import check_matrix, conj, dagger, eye_like, host_op, linalg_qr, or_zeros, real_of
from .matmul import matmul
from .op import Op
from .publish import function
from .reduce import named


# -- Hermitian --------------------------------------------------------------------------------------------------------
def _gaps(values: Tensor) -> Tensor:
    """values_j - values_i, with ones on the diagonal."""
    return values.unsqueeze(-2) - values.unsqueeze(-1) + eye_like(values, values._spec.shape[-1])


def _eigh_grad(ctx: Any, g_values: Tensor | None, g_vectors: Tensor | None) -> tuple:
    """V (diag(gw) + (V^H gV) / (w_j - w_i)) V^H."""
    values, vectors = ctx.outputs
    inner = or_zeros(g_values, values).to(vectors._spec.dtype).diag_embed()
    if g_vectors is not None:
        turned = matmul(dagger(vectors), g_vectors)
        turned = turned - turned.diagonal(0, -2, -1).diag_embed()
        inner = inner + turned / _gaps(values)
    return (matmul(vectors, matmul(inner, dagger(vectors))),)


def _finite(name: str, a: np.ndarray) -> None:
    if not np.isfinite(a).all():
        raise LinAlgError(
            f"{name}: The algorithm failed to converge because the input matrix contained non-finite values."
        )


def _run_eigh(a: np.ndarray, uplo: str) -> tuple:
    _finite("linalg.eigh", a)
    return tuple(np.linalg.eigh(a, uplo))


_eigh = host_op(
    "linalg_eigh",
    lambda x, uplo: [(tuple(x.shape[:-1]), real_of(x.dtype)), (tuple(x.shape), x.dtype)],
    _run_eigh,
    _eigh_grad,
    saves_out=(0, 1),
)
Eigh, Eig = named("linalg_eigh", "eigenvalues eigenvectors"), named("linalg_eig", "eigenvalues eigenvectors")
Svd, LinalgSvd = named("svd", "U S V"), named("linalg_svd", "U S Vh")


def _uplo(name: str, uplo: str) -> str:
    if uplo.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {uplo}")
    return uplo.upper()


@function(name="linalg_eigh", torch=False, method=False, out=True)
def eigh(A: Tensor, UPLO: str = "L") -> Any:
    """(eigenvalues, eigenvectors) of Hermitian matrices, ascending, from one triangle."""
    check_matrix("linalg.eigh", A._spec, True)
    return Eigh(*_eigh((A,), (_uplo("linalg.eigh", UPLO),)))


@function(name="linalg_eigvalsh", torch=False, method=False, out=True)
def eigvalsh(A: Tensor, UPLO: str = "L") -> Tensor:
    """Eigenvalues of Hermitian matrices, ascending."""
    check_matrix("linalg.eigvalsh", A._spec, True)
    return _eigh((A,), (_uplo("linalg.eigvalsh", UPLO),))[0]


# -- general ----------------------------------------------------------------------------------------------------------
def _eig_grad(ctx: Any, g_values: Tensor | None, g_vectors: Tensor | None) -> tuple:
    """V^-H (diag(gw) + (V^H gV - V^H V diag(Re(V^H gV))) / conj(w_j - w_i)) V^H."""
    values, vectors = ctx.outputs
    inner = or_zeros(g_values, values).diag_embed()
    if g_vectors is not None:
        turned = matmul(dagger(vectors), g_vectors)
        diagonal = turned.diagonal(0, -2, -1).real.unsqueeze(-2)
        part = turned - matmul(dagger(vectors), vectors) * diagonal
        part = part / conj(_gaps(values))
        inner = inner + part - part.diagonal(0, -2, -1).diag_embed()
    return (SOLVE(dagger(vectors), matmul(inner, dagger(vectors))),)


SOLVE: Any = None  # set by linalg_solve


def _run_eig(a: np.ndarray) -> tuple:
    _finite("linalg.eig", a)
    values, vectors = np.linalg.eig(a)
    return values, vectors


_eig = host_op(
    "linalg_eig",
    lambda x: [(tuple(x.shape[:-1]), x.dtype.to_complex() if not x.dtype.is_complex else x.dtype),
               (tuple(x.shape), x.dtype.to_complex() if not x.dtype.is_complex else x.dtype)],
    _run_eig,
    _eig_grad,
    saves_out=(0, 1),
)  # fmt: skip


@function(name="linalg_eig", torch=False, method=False, out=True)
def eig(A: Tensor) -> Any:
    """(eigenvalues, eigenvectors), complex, of square matrices."""
    check_matrix("linalg.eig", A._spec, True)
    return Eig(*_eig((A,)))


@function(name="linalg_eigvals", torch=False, method=False, out=True)
def eigvals(A: Tensor) -> Tensor:
    """Eigenvalues, complex, of square matrices."""
    check_matrix("linalg.eigvals", A._spec, True)
    return _eig((A,))[0]


# -- singular values --------------------------------------------------------------------------------------------------
def _svd_rule(x: Any, full: bool) -> list:
    batch, (m, n) = tuple(x.shape[:-2]), x.shape[-2:]
    k = min(m, n)
    return [
        ((*batch, m, m if full else k), x.dtype),
        ((*batch, k), real_of(x.dtype)),
        ((*batch, n if full else k, n), x.dtype),
    ]  # fmt: skip


def _run_svd(a: np.ndarray, full: bool) -> tuple:
    _finite("linalg.svd", a)
    return tuple(np.linalg.svd(a, full_matrices=full))


def _skew_over(turned: Tensor, gaps: Tensor) -> Tensor:
    return (turned - dagger(turned)) / gaps


def _svd_grad(ctx: Any, gu: Tensor | None, gs: Tensor | None, gvh: Tensor | None) -> tuple:
    """U ((skew(U^H gU) / E) S + S (skew(V^H gV) / E) + gS) V^H and the parts outside of the spaces of U and V."""
    u, s, vh = ctx.outputs
    k = s._spec.shape[-1]
    if ctx.static[0]:
        u, vh = u[..., :, :k], vh[..., :k, :]
        gu = None if gu is None else gu[..., :, :k]
        gvh = None if gvh is None else gvh[..., :k, :]
    square = s * s
    gaps = _gaps(square)
    columns, rows = s.unsqueeze(-2), s.unsqueeze(-1)
    inner = or_zeros(gs, s).to(u._spec.dtype).diag_embed()
    outside: list[Tensor] = []
    if gu is not None:
        turned = matmul(dagger(u), gu)
        inner = inner + _skew_over(turned, gaps) * columns
        if u._spec.dtype.is_complex:
            phase = turned.diagonal(0, -2, -1).imag / s
            inner = inner - (_skew_over(turned, gaps) * columns).diagonal(0, -2, -1).diag_embed()
            inner = inner + make_complex(phase * 0, phase).diag_embed()
        if u._spec.shape[-2] > k:
            outside.append(matmul((gu - matmul(u, turned)) / columns, vh))
    if gvh is not None:
        gv = dagger(gvh)
        turned = matmul(vh, gv)
        part = rows * _skew_over(turned, gaps)
        if u._spec.dtype.is_complex:
            part = part - part.diagonal(0, -2, -1).diag_embed()
        inner = inner + part
        if vh._spec.shape[-1] > k:
            outside.append(matmul(u, (gvh - matmul(dagger(turned), vh)) / rows))
    out = matmul(u, matmul(inner, vh))
    for more in outside:
        out = out + more
    return (out,)


_svd = host_op("linalg_svd", _svd_rule, _run_svd, _svd_grad, saves_out=(0, 1, 2))


@function(name="linalg_svd", torch=False, method=False, out=True)
def linalg_svd(A: Tensor, full_matrices: bool = True, *, driver: str | None = None) -> Any:
    """(U, S, Vh) with A = U diag(S) Vh, singular values descending."""
    check_matrix("linalg.svd", A._spec)
    return LinalgSvd(*_svd((A,), (bool(full_matrices),)))


@function(name="linalg_svdvals", torch=False, method=False, out=True)
def svdvals(A: Tensor, *, driver: str | None = None) -> Tensor:
    """Singular values, descending."""
    check_matrix("linalg.svdvals", A._spec)
    return _svd((A,), (False,))[1]


@function(out=True)
def svd(input: Tensor, some: bool = True, compute_uv: bool = True) -> Any:
    """(U, S, V) with input = U diag(S) V^H."""
    check_matrix("linalg.svd", input._spec)
    u, s, vh = _svd((input,), (not some,))
    if not compute_uv:
        m, n = input._spec.shape[-2:]
        batch = tuple(input._spec.shape[:-2])
        return Svd(*(FULL((*batch, d, d), 0, input._spec.dtype, input._spec.device) if t is None else t
                     for d, t in ((m, None), (0, s), (n, None))))  # fmt: skip
    return Svd(u, s, dagger(vh))


# -- pseudo-inverse, rank ---------------------------------------------------------------------------------------------
def _tolerances(s: Tensor, atol: Any, rtol: Any, m: int, n: int) -> Tensor:
    """Largest of atol and rtol times the largest singular value (default rtol: eps times the longer side, if
    atol is 0)."""
    top = s.abs().amax(-1, True)
    if rtol is None:
        rtol = dtypes.finfo(s._spec.dtype).eps * max(m, n)
        if atol is not None:
            none = atol == 0 if not isinstance(atol, Tensor) else None
            rtol = (rtol if none else 0.0) if none is not None else (atol == 0).to(s._spec.dtype) * rtol
    scaled = top * (rtol.unsqueeze(-1) if isinstance(rtol, Tensor) else rtol)
    if atol is None:
        return scaled
    floor = atol.unsqueeze(-1).to(s._spec.dtype) if isinstance(atol, Tensor) else scaled * 0 + float(atol)
    return scaled.maximum(floor)


@function(name="linalg_pinv", torch=False, method=False, out=True)
def linalg_pinv(A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """Moore-Penrose inverse: singular values at most max(atol, rtol * largest) count as zero."""
    check_matrix("linalg.pinv", A._spec, hermitian)
    rtol = rcond if rtol is None else rtol
    m, n = A._spec.shape[-2:]
    if not A._spec.numel:
        return FULL((*A._spec.shape[:-2], n, m), 0, A._spec.dtype, A._spec.device)
    held = A.detach()
    if hermitian:
        s, u = _eigh((held,), ("L",))
        v = u
    else:
        u, s, vh = _svd((held,), (False,))
        v = dagger(vh)
    keep = s.abs() > _tolerances(s, atol, rtol, m, n)
    inverse = (1 / s.masked_fill(~keep, 1)).masked_fill(~keep, 0)
    value = matmul(v * inverse.unsqueeze(-2), dagger(u))
    return _pinv((A, value)) if A._rg else value


def _pinv_grad(ctx: Any, g: Tensor) -> tuple:
    """Golub and Pereyra 1973: -P^H g P^H + (I - A P) g^H P P^H + P^H P g^H (I - P A), each factor as it stands."""
    a, p = ctx.inputs[0], ctx.outputs[0]
    turned, gh = dagger(p), dagger(g)
    first = -matmul(turned, matmul(g, turned))
    left = matmul(matmul(gh, p), turned)
    right = matmul(matmul(turned, p), gh)
    return first + left - matmul(a, matmul(p, left)) + right - matmul(matmul(right, p), a), None


_pinv = Op(
    "linalg_pinv",
    lambda a, p: (tuple(p.shape), p.dtype),
    lambda b, a, p: p,
    _pinv_grad,
    saves={0: (0,)},
    saves_out=(0,),
)


@function(out=True)
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """Moore-Penrose inverse."""
    return linalg_pinv(input, rtol=rcond)


@function(name="linalg_matrix_rank", torch=False, method=False, out=True)
def matrix_rank(A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Tensor:
    """Number of singular values above max(atol, rtol * largest)."""
    check_matrix("linalg.matrix_rank", A._spec, hermitian)
    m, n = A._spec.shape[-2:]
    if tol is not None:
        atol, rtol = tol, 0.0
    if not A._spec.numel:
        return FULL(tuple(A._spec.shape[:-2]), 0, dtypes.int64, A._spec.device)
    held = A.detach()
    s = _eigh((held,), ("L",))[0].abs() if hermitian else _svd((held,), (False,))[1]
    return (s > _tolerances(s, atol, rtol, m, n)).sum(-1)


# -- low-rank approximations ------------------------------------------------------------------------------------------
def _range_basis(a: Tensor, q: int, niter: int) -> Tensor:
    """Orthonormal basis of about the leading q left directions (Halko et al. 2009, algorithm 4.4)."""
    shape = (a._spec.shape[-1], q)
    start = FULL(shape, 0, real_of(a._spec.dtype), a._spec.device).normal_().to(a._spec.dtype)
    basis = linalg_qr(matmul(a, start)).Q
    for _ in range(niter):
        basis = linalg_qr(matmul(dagger(a), basis)).Q
        basis = linalg_qr(matmul(a, basis)).Q
    return basis


@function(method=False)
def svd_lowrank(A: Tensor, q: int | None = 6, niter: int = 2, M: Tensor | None = None) -> tuple:
    """(U, S, V): approximate singular value decomposition of rank q of A (less M, if given)."""
    q = 6 if q is None else q
    m, n = A._spec.shape[-2:]
    if not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    a = A if M is None else A - M.broadcast_to(tuple(A._spec.shape))
    wide = m < n
    a = dagger(a) if wide else a
    basis = _range_basis(a, q, niter)
    u, s, vh = _svd((matmul(dagger(basis), a),), (False,))
    u, v = matmul(basis, u), dagger(vh)
    return (v, s, u) if wide else (u, s, v)


@function(method=False)
def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> tuple:
    """(U, S, V): principal components V of the rows of A, at most q of them."""
    m, n = A._spec.shape[-2:]
    q = min(6, m, n) if q is None else q
    if not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, True) if center else A, q, niter)


@function(method=False)
def lobpcg(
    A: Tensor,
    k: int | None = None,
    B: Tensor | None = None,
    X: Tensor | None = None,
    n: int | None = None,
    iK: Tensor | None = None,
    niter: int | None = None,
    tol: float | None = None,
    largest: bool | None = None,
    method: str | None = None,
    tracker: Any = None,
    ortho_iparams: dict | None = None,
    ortho_fparams: dict | None = None,
    ortho_bparams: dict | None = None,
) -> tuple[Tensor, Tensor]:
    """The k largest (or smallest) eigenvalues and eigenvectors of A x = w B x for Hermitian A, positive-definite B.

    Solved densely, so the starting block X, the preconditioner iK and the iteration limits have no influence.
    """
    size = A._spec.shape[-1]
    count = k if k is not None else (X._spec.shape[-1] if X is not None else 1)
    if size < 3 * count:
        raise ValueError(
            f"LPBPCG algorithm is not applicable when the number of A rows (={size}) is smaller than 3 x the number of "
            f"requested eigenpairs (={count})"
        )
    if B is not None:
        low = CHOLESKY(B)
        inner = TRIANGULAR(low, A, upper=False)
        inner = dagger(TRIANGULAR(low, dagger(inner), upper=False))
        values, vectors = eigh((inner + dagger(inner)) * 0.5)
        vectors = TRIANGULAR(dagger(low), vectors, upper=True)
    else:
        values, vectors = eigh(A)
    if largest is None or largest:
        return values[..., size - count :].flip(-1), vectors[..., size - count :].flip(-1)
    return values[..., :count], vectors[..., :count]


TRIANGULAR: Any = None  # set by linalg_solve
CHOLESKY: Any = None
