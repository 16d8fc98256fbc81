"""Matrix algorithms on the host that NumPy lacks. Arrays are batches (..., m, n); LAPACK's conventions."""

from __future__ import annotations

from math import prod

import numpy as np


def flat_batch(a: np.ndarray) -> np.ndarray:
    """(..., m, n) as (batch, m, n)."""
    return a.reshape(prod(a.shape[:-2]), *a.shape[-2:])


def dagger(a: np.ndarray) -> np.ndarray:
    """Conjugate transpose."""
    return np.conj(np.swapaxes(a, -1, -2))


def cholesky(a: np.ndarray, upper: bool) -> tuple[np.ndarray, np.ndarray]:
    """Factor (lower, or upper read from the upper triangle) and the order of the first minor that is not
    positive (0)."""
    rows = flat_batch(dagger(a) if upper else a)
    out, info = np.zeros_like(rows), np.zeros(len(rows), np.int32)
    for i, m in enumerate(rows):
        m = np.tril(m) + dagger(np.tril(m, -1))
        try:
            out[i] = np.linalg.cholesky(m)
        except np.linalg.LinAlgError:
            out[i], info[i] = _partial_cholesky(m)
        if not info[i] and not np.isfinite(out[i]).all():
            out[i], info[i] = _partial_cholesky(m)
    out = out.reshape(a.shape)
    return np.ascontiguousarray(dagger(out) if upper else out), info.reshape(a.shape[:-2])


def _partial_cholesky(m: np.ndarray) -> tuple[np.ndarray, int]:
    low = np.tril(m)
    for k in range(len(low)):
        pivot = low[k, k].real
        if not pivot > 0:
            return low, k + 1
        low[k:, k] /= np.sqrt(pivot)
        low[k + 1 :, k + 1 :] -= np.tril(np.outer(low[k + 1 :, k], low[k + 1 :, k].conj()))
    return low, 0


def _size(a: np.ndarray) -> np.ndarray:
    """What LAPACK chooses pivots by: the sum of the parts' magnitudes of a complex number."""
    return np.abs(a.real) + np.abs(a.imag) if np.iscomplexobj(a) else np.abs(a)


def lu(a: np.ndarray, pivot: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """L and U packed in one matrix, row exchanges (from 1), and the number of the first zero pivot (0: none)."""
    out = flat_batch(a).copy()
    batch, m, n = out.shape
    size = min(m, n)
    pivots = np.tile(np.arange(1, size + 1, dtype=np.int32), (batch, 1))
    info = np.zeros(batch, np.int32)
    every = np.arange(batch)
    with np.errstate(all="ignore"):
        for k in range(size):
            if pivot:
                column = _size(out[:, k:, k])
                best = k + np.argmax(np.where(np.isnan(column), np.inf, column), axis=1)
                pivots[:, k] = best + 1
                held = out[every, best]
                out[every, best] = out[:, k]
                out[:, k] = held
            zero = out[:, k, k] == 0
            info = np.where((info == 0) & zero, k + 1, info)
            divisor = np.where(zero, 1 if pivot else out[:, k, k], out[:, k, k])
            out[:, k + 1 :, k] /= divisor[:, None]
            out[:, k + 1 :, k + 1 :] -= out[:, k + 1 :, k, None] * out[:, k, None, k + 1 :]
    return (
        out.reshape(a.shape), pivots.reshape(*a.shape[:-2], size), info.astype(np.int32).reshape(a.shape[:-2])
    )  # fmt: skip


def permutation(pivots: np.ndarray, m: int) -> np.ndarray:
    """Row order (..., m) after the exchanges ``pivots`` (from 1): row i of PA is row order[i] of A."""
    flat = pivots.reshape(prod(pivots.shape[:-1]), pivots.shape[-1])
    order = np.tile(np.arange(m), (len(flat), 1))
    for row, swaps in zip(order, flat):
        for k, p in enumerate(swaps):
            row[k], row[p - 1] = row[p - 1], row[k]
    return order.reshape(*pivots.shape[:-1], m)


def triangular(a: np.ndarray, b: np.ndarray, upper: bool, unit: bool) -> np.ndarray:
    """X of A X = B by substitution; a zero on the diagonal gives inf or NaN."""
    x = np.array(np.broadcast_to(b, np.broadcast_shapes(a.shape[:-2], b.shape[:-2]) + b.shape[-2:]))
    n = a.shape[-1]
    with np.errstate(all="ignore"):
        for k in reversed(range(n)) if upper else range(n):
            rest = slice(k + 1, n) if upper else slice(0, k)
            row = x[..., k, :] - (a[..., k, None, rest] @ x[..., rest, :])[..., 0, :]
            x[..., k, :] = row if unit else row / a[..., k, k, None]
    return x


def expm(a: np.ndarray) -> np.ndarray:
    """Matrix exponential: Pade approximant of degree 13 with scaling and squaring (Higham 2005), in double
    precision."""
    wide = np.complex128 if np.iscomplexobj(a) else np.float64
    m = flat_batch(a).astype(wide)
    n = m.shape[-1]
    if not m.size:
        return a.copy()
    norm = np.abs(m).sum(-2).max(-1)
    finite = np.isfinite(norm)
    steps = np.zeros(len(m), int)
    large = finite & (norm > 5.371920351148152)
    steps[large] = np.ceil(np.log2(norm[large] / 5.371920351148152)).astype(int)
    m = m / (2.0**steps)[:, None, None]
    m[~finite] = 0
    b = [
        64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0, 129060195264000.0,
        10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0, 960960.0, 16380.0, 182.0, 1.0,
    ]  # fmt: skip
    eye = np.eye(n)
    m2 = m @ m
    m4 = m2 @ m2
    m6 = m4 @ m2
    u = m @ (m6 @ (b[13] * m6 + b[11] * m4 + b[9] * m2) + b[7] * m6 + b[5] * m4 + b[3] * m2 + b[1] * eye)
    v = m6 @ (b[12] * m6 + b[10] * m4 + b[8] * m2) + b[6] * m6 + b[4] * m4 + b[2] * m2 + b[0] * eye
    out = np.linalg.solve(v - u, v + u)
    for i, count in enumerate(steps):
        for _ in range(count):
            out[i] = out[i] @ out[i]
    out[~finite] = np.nan
    return out.reshape(a.shape).astype(a.dtype)


# -- Bunch and Kaufman 1977, lower triangle, LAPACK's packing
# ------------------------------------------------------------
_GROWTH = (1 + 17**0.5) / 8


def ldl(a: np.ndarray, hermitian: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """L and block-diagonal D packed in the lower triangle, pivots (negative pairs mark 2x2 blocks), first zero
    pivot."""
    out = flat_batch(a).copy()
    pivots = np.zeros(out.shape[:2], np.int32)
    info = np.zeros(len(out), np.int32)
    for i in range(len(out)):
        info[i] = _ldl_one(out[i], pivots[i], hermitian)
    return np.tril(out).reshape(a.shape), pivots.reshape(a.shape[:-1]), info.reshape(a.shape[:-2])


def _exchange(m: np.ndarray, k: int, p: int, hermitian: bool) -> None:
    """Swap rows and columns k < p of the trailing symmetric matrix, lower triangle only."""
    m[p + 1 :, [k, p]] = m[p + 1 :, [p, k]]
    middle = m[k + 1 : p, k].copy()
    m[k + 1 : p, k] = m[p, k + 1 : p].conj() if hermitian else m[p, k + 1 : p]
    m[p, k + 1 : p] = middle.conj() if hermitian else middle
    if hermitian:
        m[p, k] = m[p, k].conj()
    m[k, k], m[p, p] = m[p, p], m[k, k]


def _ldl_one(m: np.ndarray, pivots: np.ndarray, hermitian: bool) -> int:
    n, k, info = len(m), 0, 0
    turn = np.conj if hermitian else np.asarray
    while k < n:
        step, p = 1, k
        here = abs(m[k, k].real if hermitian else m[k, k])
        below = np.abs(m[k + 1 :, k])
        top = below.max() if below.size else 0.0
        if max(here, top) == 0 or np.isnan(here):
            info = info or k + 1
            pivots[k] = k + 1
            k += 1
            continue
        if here < _GROWTH * top:
            r = k + 1 + int(below.argmax())
            row = np.concatenate([np.abs(m[r, k:r]), np.abs(m[r + 1 :, r])])
            if here < _GROWTH * top * (top / row.max()):
                p = r
                step = 1 if abs(m[r, r].real if hermitian else m[r, r]) >= _GROWTH * row.max() else 2
        kk = k + step - 1
        if p != kk:
            if step == 2:
                m[[k + 1, p], k] = m[[p, k + 1], k]
            _exchange(m, kk, p, hermitian)
        rest = slice(k + step, n)
        if step == 1:
            pivots[k] = p + 1
            column = m[rest, k] / m[k, k]
            m[rest, rest] -= np.tril(np.outer(column, turn(m[rest, k])))
            m[rest, k] = column
        else:
            pivots[k] = pivots[k + 1] = -(p + 1)
            d = np.array([[m[k, k], turn(m[k + 1, k])], [m[k + 1, k], m[k + 1, k + 1]]])
            both = m[rest, k : k + 2]
            factors = np.linalg.solve(d.T, both.T).T
            m[rest, rest] -= np.tril(factors @ turn(both).T)
            m[rest, k : k + 2] = factors
        k += step
    return info


def ldl_solve(packed: np.ndarray, pivots: np.ndarray, b: np.ndarray, hermitian: bool) -> np.ndarray:
    """X of A X = B from ``ldl``'s factors."""
    batch = np.broadcast_shapes(packed.shape[:-2], b.shape[:-2])
    ms = flat_batch(np.broadcast_to(packed, batch + packed.shape[-2:]))
    ps = np.broadcast_to(pivots, batch + pivots.shape[-1:]).reshape(len(ms), -1)
    xs = flat_batch(np.broadcast_to(b, batch + b.shape[-2:])).copy()
    for m, p, x in zip(ms, ps, xs):
        _ldl_solve_one(m, p, x, hermitian)
    return xs.reshape(batch + b.shape[-2:])


def _ldl_solve_one(m: np.ndarray, pivots: np.ndarray, x: np.ndarray, hermitian: bool) -> None:
    n, k = len(m), 0
    turn = np.conj if hermitian else np.asarray
    blocks = []
    while k < n:  # x = D^-1 L^-1 P x
        step = 1 if pivots[k] > 0 else 2
        last, p = k + step - 1, abs(int(pivots[k])) - 1
        x[[last, p]] = x[[p, last]]
        x[k + step :] -= m[k + step :, k : k + step] @ x[k : k + step]
        if step == 1:
            x[k] /= m[k, k]
        else:
            d = np.array([[m[k, k], turn(m[k + 1, k])], [m[k + 1, k], m[k + 1, k + 1]]])
            x[k : k + 2] = np.linalg.solve(d, x[k : k + 2])
        blocks.append((k, step, last, p))
        k += step
    for k, step, last, p in reversed(blocks):  # x = P^T L^-H x
        x[k : k + step] -= turn(m[k + step :, k : k + step]).T @ x[k + step :]
        x[[last, p]] = x[[p, last]]
