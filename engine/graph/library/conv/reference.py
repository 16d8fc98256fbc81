"""The three maps of a convolution in NumPy, a kernel position at a time; data-loader workers compute with these."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from engine.graph.library.conv.problem import ConvProblem


def _taps(p: ConvProblem) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """(kernel position, slices of the padded input it reads), for every kernel position."""
    for tap in itertools.product(*map(range, p.kernel)):
        cut = tuple(
            slice(k * d, k * d + (o - 1) * s + 1, s)
            for k, d, s, o in zip(tap, p.dilation, p.stride, p.out_size, strict=True)
        )
        yield tap, cut


def _padded(p: ConvProblem, x: np.ndarray | None, dtype: Any) -> tuple[np.ndarray, tuple[slice, ...]]:
    """Zeros of the padded input's size holding ``x``, and where the input lies in it."""
    size = [n + lo + max(hi, 0) for n, (lo, hi) in zip(p.in_size, p.padding, strict=True)]
    out = np.zeros((p.batch, p.groups, p.group_in, *size), dtype)
    inner = (..., *(slice(lo, lo + n) for n, (lo, _) in zip(p.in_size, p.padding, strict=True)))
    if x is not None:
        out[inner] = x.reshape((p.batch, p.groups, p.group_in, *p.in_size))
    return out, inner


def forward(p: ConvProblem, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """[N, O, *out] from x [N, C, *in] and w [O, C/groups, *kernel]."""
    padded, _ = _padded(p, x, x.dtype)
    w = w.reshape((p.groups, p.group_out, p.group_in, *p.kernel))
    out = np.zeros((p.batch, p.groups, p.group_out, *p.out_size), x.dtype)
    for tap, cut in _taps(p):
        out += np.einsum("goi,ngi...->ngo...", w[(..., *tap)], padded[(..., *cut)], optimize=True)
    return out


def grad_input(p: ConvProblem, dy: np.ndarray, w: np.ndarray) -> np.ndarray:
    """[N, C, *in] from dy [N, O, *out] and w."""
    padded, inner = _padded(p, None, dy.dtype)
    w = w.reshape((p.groups, p.group_out, p.group_in, *p.kernel))
    dy = dy.reshape((p.batch, p.groups, p.group_out, *p.out_size))
    for tap, cut in _taps(p):
        padded[(..., *cut)] += np.einsum("goi,ngo...->ngi...", w[(..., *tap)], dy, optimize=True)
    return np.ascontiguousarray(padded[inner])


def grad_weight(p: ConvProblem, x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """[O, C/groups, *kernel] from x and dy."""
    padded, _ = _padded(p, x, x.dtype)
    dy = dy.reshape((p.batch, p.groups, p.group_out, -1))
    out = np.zeros((p.groups, p.group_out, p.group_in, *p.kernel), x.dtype)
    for tap, cut in _taps(p):
        seen = padded[(..., *cut)].reshape((p.batch, p.groups, p.group_in, -1))
        out[(..., *tap)] = np.einsum("ngip,ngop->goi", seen, dy, optimize=True)
    return out
