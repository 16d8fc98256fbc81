"""Pooling in NumPy, a window position at a time; data-loader workers compute with these."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from math import prod

import numpy as np

from engine.graph.library.pool import PoolProblem


def _windows(p: PoolProblem) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each axis: positions [out, most] of its windows, -1 where there is none, and their sizes with padding."""
    axes = []
    for i, (n, o) in enumerate(zip(p.in_size, p.out_size, strict=True)):
        at = np.arange(o)[:, None]
        if p.adaptive_out:
            begin, end = at * n // o, -(-(at + 1) * n // o)
            positions = begin + np.arange((end - begin).max(initial=0))
            full = end - begin
            positions = np.where(positions < end, positions, -1)
        else:
            k, s, pad, d = p.kernel[i], p.stride[i], p.padding[i], p.dilation[i]
            positions = at * s - pad + np.arange(k) * d
            full = np.minimum(at * s - pad + (k - 1) * d + 1, n + pad) - (at * s - pad)
            positions = np.where((positions >= 0) & (positions < n), positions, -1)
        axes.append((positions, full[:, 0]))
    return axes


def _taps(p: PoolProblem) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each window position: indices into the flat input plane and where they count, both of the output's shape."""
    axes = [positions for positions, _ in _windows(p)]
    for tap in itertools.product(*(range(a.shape[1]) for a in axes)):
        grid = np.meshgrid(*(a[:, t] for a, t in zip(axes, tap)), indexing="ij")
        valid = np.logical_and.reduce([g >= 0 for g in grid])
        flat = np.ravel_multi_index([np.maximum(g, 0) for g in grid], p.in_size)
        yield flat, valid


def _divisor(p: PoolProblem) -> np.ndarray | int:
    if p.divisor:
        return p.divisor
    padded = p.count_include_pad and not p.adaptive_out
    counts = [full if padded else (positions >= 0).sum(1) for positions, full in _windows(p)]
    out = counts[0]
    for c in counts[1:]:
        out = np.multiply.outer(out, c)
    return out


def max_forward(p: PoolProblem, x: np.ndarray) -> list[np.ndarray]:
    """Maximum of each window, NaN first, and its position in the plane."""
    planes = x.reshape((p.planes, prod(p.in_size)))
    shape = (p.planes, *p.out_size)
    best = np.full(shape, -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min, x.dtype)
    index = np.full(shape, -1, np.int64)
    for flat, valid in _taps(p):
        value = planes[:, flat]
        take = valid & ((value > best) | (value != value) | (index < 0))
        best = np.where(take, value, best)
        index = np.where(take, flat, index)
    return [best, index]


def max_backward(p: PoolProblem, dy: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Each output's gradient added where its maximum was."""
    out = np.zeros((p.planes, prod(p.in_size)), dy.dtype)
    np.add.at(out, (np.arange(p.planes)[:, None], index.reshape(p.planes, -1)), dy.reshape(p.planes, -1))
    return out


def average_forward(p: PoolProblem, x: np.ndarray) -> np.ndarray:
    """Mean of each window."""
    planes = x.reshape((p.planes, prod(p.in_size)))
    out = np.zeros((p.planes, *p.out_size), x.dtype)
    for flat, valid in _taps(p):
        out += np.where(valid, planes[:, flat], 0)
    return (out / _divisor(p)).astype(x.dtype)


def average_backward(p: PoolProblem, dy: np.ndarray) -> np.ndarray:
    """Each output's gradient spread over its window."""
    share = dy.reshape((p.planes, *p.out_size)) / _divisor(p)
    out = np.zeros((p.planes, prod(p.in_size)), dy.dtype)
    for flat, valid in _taps(p):
        np.add.at(out, (slice(None), flat[valid]), share[:, valid])
    return out
