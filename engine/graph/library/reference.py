"""What the hand-written kernels of scans, scatters, searches, sorts and recurrent layers mean, in NumPy.

Data-loader workers compute with these, and tests compare the kernels with them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_COMBINE = {"set": None, "add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}
_SCANS = {"sum": np.add, "prod": np.multiply, "logsumexp": np.logaddexp}


def _in_range(index: np.ndarray, n: int, wrap: bool | None) -> np.ndarray:
    at = index.reshape(-1).astype(np.int64)
    at = np.where(at < 0, at + n, at) if wrap else at
    bad = (at < 0) | (at >= n)
    if bad.any():
        raise IndexError(f"index {int(at[bad][0])} is out of bounds for dimension with size {n}")
    return at


def _start(operands: tuple, fill: object, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    return np.full(shape, fill, dtype) if fill is not None else operands[0].reshape(shape).copy()


def scatter_along(shape: tuple[int, ...], dim: int, how: str, fill: object) -> Callable[..., np.ndarray]:
    """(base,) index, src: elements of ``src`` combined into the places along ``dim`` that ``index`` names."""

    def run(*operands: np.ndarray) -> np.ndarray:
        index, src = operands[-2:]
        out = _start(operands, fill, src.dtype, shape)
        places = list(np.indices(index.shape))
        places[dim] = _in_range(index, shape[dim], False).reshape(index.shape)
        if _COMBINE[how] is None:
            out[tuple(places)] = src
        else:
            _COMBINE[how].at(out, tuple(places), src)
        return out

    return run


def scatter_rows(
    count: int, width: int, how: str, fill: object = None, wrap: bool | None = None
) -> Callable[..., np.ndarray]:
    """(base,) index, src: rows of ``src`` combined in order into those of ``base`` that ``index`` names. ``fill``: what
    the base is everywhere, if it is no operand.
    """

    def run(*operands: np.ndarray) -> np.ndarray:
        index, src = operands[-2:]
        out = _start(operands, fill, src.dtype, (count, width))
        rows = src.reshape(-1, width)
        at = _in_range(index, count, wrap)
        combine = _COMBINE[how]
        if combine is None:
            for row, value in zip(at, rows):
                out[row] = value
        else:
            combine.at(out, at, rows)
        return out

    return run


def scan(dim: int, how: str, reverse: bool) -> Callable[..., np.ndarray]:
    """Running sum, product or log of a sum of exponentials along ``dim``."""

    def run(x: np.ndarray) -> np.ndarray:
        order = np.flip(x, dim) if reverse else x
        wide = order.astype(np.float64) if x.dtype == np.float32 else order
        out = _SCANS[how].accumulate(wide, axis=dim).astype(x.dtype)
        return np.flip(out, dim) if reverse else out

    return run


def recurrence(dim: int, reverse: bool) -> Callable[..., np.ndarray]:
    """``y_k = a_k y_{k-1} + b_k`` along ``dim`` (from the end if ``reverse``), starting from 0."""

    def run(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        factors, terms = (np.moveaxis(np.flip(v, dim) if reverse else v, dim, 0) for v in (a, b))
        out = np.empty(terms.shape, np.float64)
        last = np.zeros(terms.shape[1:])
        for k in range(len(terms)):
            last = out[k] = factors[k] * last + terms[k]
        made = np.moveaxis(out, 0, dim).astype(b.dtype)
        return np.flip(made, dim) if reverse else made

    return run


def running_extreme(dim: int, how: str) -> Callable[..., list[np.ndarray]]:
    """Running maximum or minimum along ``dim`` and its index; NaN wins, of equal elements the last."""

    def run(x: np.ndarray) -> list[np.ndarray]:
        moved = np.moveaxis(x, dim, 0)
        values, index = moved.copy(), np.zeros(moved.shape, np.int64)
        for k in range(1, len(moved)):
            new, old = moved[k], values[k - 1]
            better = (new >= old) if how == "max" else (new <= old)
            if x.dtype.kind == "f":
                better = np.isnan(new) | (~np.isnan(old) & better)
            values[k] = np.where(better, new, old)
            index[k] = np.where(better, k, index[k - 1])
        return [np.moveaxis(values, 0, dim), np.moveaxis(index, 0, dim)]

    return run


def search(right: bool, sort: bool) -> Callable[..., np.ndarray]:
    """Where values belong in sorted rows (one row for all, or a row each); ``sort``: by the order of a sorter."""

    def run(seq: np.ndarray, values: np.ndarray, sorter: np.ndarray) -> np.ndarray:
        ordered = np.take_along_axis(seq, sorter.reshape(seq.shape), -1) if sort else seq
        side = "right" if right else "left"
        if seq.ndim == 1:
            return np.searchsorted(ordered, values, side)
        rows = zip(ordered.reshape(-1, ordered.shape[-1]), values.reshape(-1, values.shape[-1]))
        return np.stack([np.searchsorted(row, wanted, side) for row, wanted in rows]).reshape(values.shape)

    return run


def sort_rows(count: int | None, descending: bool) -> Callable[..., list[np.ndarray]]:
    """Rows in stable order and the indices that sort them (the first ``count`` of each); NaN above all numbers."""

    def run(x: np.ndarray) -> list[np.ndarray]:
        if not descending:
            index = np.argsort(x, axis=-1, kind="stable")
        else:  # the stable descending order is the reverse of the ascending order of the reversed row
            index = x.shape[-1] - 1 - np.argsort(np.flip(x, -1), axis=-1, kind="stable")[..., ::-1]
        index = index[..., :count].astype(np.int64)
        return [np.take_along_axis(x, index, -1), index]

    return run


def rank_rows(rank: int, mode: int) -> Callable[..., list[np.ndarray]]:
    """The element of ``rank`` of each row (mode 0), its lower median with NaN winning (1) or left out (2)."""

    def run(x: np.ndarray) -> list[np.ndarray]:
        n = x.shape[-1]
        order = np.argsort(x, axis=-1, kind="stable")
        nans = np.isnan(x).sum(-1) if x.dtype.kind == "f" else np.zeros(x.shape[:-1], np.int64)
        at = np.full(x.shape[:-1], rank)
        if mode:
            at = np.where(nans == (n if mode == 2 else 0), (n - 1) // 2, (n - nans - 1) // 2)
            at = np.where(nans > (0 if mode == 1 else n - 1), n - nans, at)  # the first NaN
        index = np.take_along_axis(order, at[..., None], -1)
        return [np.take_along_axis(x, index, -1)[..., 0], index[..., 0].astype(np.int64)]

    return run


def recurrent(n: Any, names: tuple[str, ...], strides: tuple[int, int], keep: bool, given: bool) -> Callable[..., list]:
    """A recurrent layer over all steps: arguments and results as those of ``rnn.forward`` for the layer ``n``."""

    def run(*arrays: np.ndarray) -> list[np.ndarray]:
        a = dict(zip(names, arrays, strict=True))
        dtype = a["x0"].dtype
        starts = a["off"].reshape(-1) if n.packed else np.arange(n.steps + 1) * n.batch
        y = np.empty((n.rows, n.directions * n.width), dtype)
        kept = np.empty((n.directions, n.rows, n.kept), dtype)
        m = np.empty((n.directions, n.rows, n.hidden), dtype)
        finals: list[list[np.ndarray]] = [[], []]
        for d in range(n.directions):
            h = a["h0"][d].copy() if n.state else np.zeros((n.batch, n.width), dtype)
            c = a["c0"][d].copy() if "c0" in a else np.zeros((n.batch, n.hidden), dtype)
            bias_x, bias_h = (a[f"b_ih{d}"], a[f"b_hh{d}"]) if n.bias and not given else (0, 0)
            for t in reversed(range(n.steps)) if d else range(n.steps):
                lines = slice(starts[t], starts[t + 1])
                size = starts[t + 1] - starts[t]
                at = ((starts[t] if n.packed else t) * strides[0] + np.arange(size) * strides[1]) // n.gates
                from_h = a[f"s{d}"][:size] if given else h[:size] @ a[f"w_hh{d}"].T + bias_h
                out, c[:size], parts = _cell(n.kind, a[f"x{d}"][at] + bias_x, from_h, h[:size], c[:size])
                m[d, lines] = out
                h[:size] = out @ a[f"w_hr{d}"].T if n.projected else out
                y[lines, d * n.width : (d + 1) * n.width] = h[:size]
                kept[d, lines] = parts
            finals[0].append(h)
            finals[1].append(c)
        results = [y, np.stack(finals[0])] + [np.stack(finals[1])] * (n.kind == "LSTM")
        return results + [kept] * (keep and n.kept > 0) + [m] * (keep and n.projected)

    return run


def _cell(kind: str, x: np.ndarray, from_h: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple:
    """(output, cell state, what is kept) of one step."""
    if kind == "LSTM":
        i, f, g, o = np.split(x + from_h, 4, 1)
        i, f, g, o = _sigmoid(i), _sigmoid(f), np.tanh(g), _sigmoid(o)
        c = f * c + i * g
        return o * np.tanh(c), c, np.concatenate([i, f, g, o, c], 1)
    if kind == "GRU":
        (xr, xz, xn), (hr, hz, hn) = np.split(x, 3, 1), np.split(from_h, 3, 1)
        r, z = _sigmoid(xr + hr), _sigmoid(xz + hz)
        new = np.tanh(xn + r * hn)
        return new + z * (h - new), c, np.concatenate([r, z, new, hn], 1)
    total = x + from_h
    return (np.tanh(total) if kind == "TANH" else np.maximum(total, 0)), c, np.empty((len(x), 0), x.dtype)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))
