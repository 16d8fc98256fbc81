"""Pooling kernels against a direct NumPy oracle."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from launching import device_caps, run_calls

from engine import dtypes
from engine.graph.library import pool_reference
from engine.graph.library.pool import (
    PoolProblem,
    avg_pool_backward,
    avg_pool_forward,
    max_pool_backward,
    max_pool_forward,
)

TOLERANCE = {"float32": 1e-6, "float64": 1e-14, "float16": 2e-3, "bfloat16": 1.6e-2}


def _window(p: PoolProblem, axis: int, o: int) -> tuple[range, int]:
    """(input positions, number of positions with padding) of one output position along an axis."""
    n = p.in_size[axis]
    if p.adaptive_out:
        m = p.adaptive_out[axis]
        positions = range(o * n // m, -((-(o + 1) * n) // m))
        return positions, len(positions)
    k, s, pad, d = p.kernel[axis], p.stride[axis], p.padding[axis], p.dilation[axis]
    start = o * s - pad
    full = min(start + k, n + pad) - start
    return range(start, start + (k - 1) * d + 1, d), full


def _cells(p: PoolProblem):
    """(output index, input positions in the plane, divisor) for every output."""
    for o in itertools.product(*map(range, p.out_size)):
        windows = [_window(p, axis, i) for axis, i in enumerate(o)]
        inside = [[i for i in w if 0 <= i < n] for (w, _), n in zip(windows, p.in_size, strict=True)]
        flat = [int(np.ravel_multi_index(at, p.in_size)) for at in itertools.product(*inside)]
        padded = int(np.prod([full for _, full in windows]))
        yield o, flat, p.divisor or (padded if p.count_include_pad else len(flat))


def oracle_max(p: PoolProblem, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maxima and their first positions; the last NaN of a window wins."""
    planes = x.reshape(p.planes, -1)
    out = np.empty((p.planes, *p.out_size))
    index = np.empty(out.shape, np.int64)
    for o, flat, _ in _cells(p):
        for plane in range(p.planes):
            v = planes[plane, flat]
            nan = np.flatnonzero(np.isnan(v))
            best = nan[-1] if nan.size else int(np.argmax(v))
            out[(plane, *o)] = v[best]
            index[(plane, *o)] = flat[best]
    return out, index


def oracle_avg(p: PoolProblem, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and the gradient of x."""
    planes = x.reshape(p.planes, -1)
    out = np.empty((p.planes, *p.out_size))
    dx = np.zeros(planes.shape)
    for o, flat, divisor in _cells(p):
        out[(slice(None), *o)] = planes[:, flat].sum(1) / divisor
        dx[:, flat] += dy[(slice(None), *o)][:, None] / divisor
    return out, dx.reshape(x.shape)


PROBLEMS = {
    "2x2": PoolProblem(3, (8, 10), (2, 2), (2, 2), (0, 0), (1, 1)),
    "3x3 stride": PoolProblem(5, (13, 12), (3, 3), (2, 2), (1, 1), (1, 1)),
    "ceil": PoolProblem(2, (11, 14), (3, 2), (2, 3), (1, 1), (1, 1), True),
    "exclude pad": PoolProblem(2, (7, 9), (3, 3), (1, 2), (1, 1), (1, 1), True, False),
    "divisor": PoolProblem(2, (7, 9), (3, 3), (3, 1), (1, 0), (1, 1), False, True, 5),
    "long": PoolProblem(3, (700,), (5,), (1,), (2,), (1,)),
    "3d": PoolProblem(2, (5, 6, 7), (3, 2, 3), (2, 2, 1), (1, 0, 1), (1, 1, 1), True),
    "global": PoolProblem(6, (7, 7), (7, 7), (7, 7), (0, 0), (1, 1)),
    "adaptive": PoolProblem(4, (9, 7), adaptive_out=(4, 3)),
    "adaptive even": PoolProblem(4, (8, 6), adaptive_out=(4, 3)),
    "adaptive one": PoolProblem(4, (5, 7), adaptive_out=(1, 1)),
    "adaptive grow": PoolProblem(2, (3, 4), adaptive_out=(5, 7)),
    "adaptive 1d": PoolProblem(3, (17,), adaptive_out=(5,)),
    "adaptive 3d": PoolProblem(2, (4, 5, 6), adaptive_out=(2, 3, 4)),
}
DILATED = PoolProblem(2, (12, 15), (3, 2), (2, 1), (1, 1), (2, 3))
KINDS = ["cpu", "gpu"]


def _draw(shape, name: str, seed: int):
    d = dtypes.NAMESPACE[name]
    stored = dtypes.to_storage(np.random.default_rng(seed).standard_normal(shape), d)
    return stored, np.asarray(dtypes.from_storage(stored, d), np.float64)


def _close(got: np.ndarray, want: np.ndarray, name: str) -> None:
    values = np.asarray(dtypes.from_storage(got, dtypes.NAMESPACE[name]), np.float64).reshape(want.shape)
    np.testing.assert_allclose(values, want, rtol=TOLERANCE[name], atol=TOLERANCE[name])


def check_max(p: PoolProblem, name: str, kind: str, holes: bool = False) -> None:
    """Forward with and without indices, and backward."""
    caps, d = device_caps(kind=kind), dtypes.NAMESPACE[name]
    x, exact = _draw((p.planes, *p.in_size), name, 0)
    if holes:
        exact.reshape(-1)[::5] = np.nan
        exact.reshape(-1)[1::7] = -np.inf
        x = dtypes.to_storage(exact, d)
    out, index = oracle_max(p, exact)
    blank = np.zeros(out.shape, d.numpy)
    got = run_calls(max_pool_forward(caps, d, p), {"x": x, "out": blank, "indices": np.zeros_like(index)})
    np.testing.assert_array_equal(np.asarray(dtypes.from_storage(got["out"], d), np.float64), out)
    np.testing.assert_array_equal(got["indices"], index)
    alone = run_calls(max_pool_forward(caps, d, p, indices=False), {"x": x, "out": blank})
    np.testing.assert_array_equal(alone["out"], got["out"])
    dy, exact_dy = _draw(out.shape, name, 1)
    dx = np.zeros((p.planes, int(np.prod(p.in_size))))
    np.add.at(dx, (np.arange(p.planes)[:, None], index.reshape(p.planes, -1)), exact_dy.reshape(p.planes, -1))
    operands = {"dy": dy, "indices": index, "out": np.ones(x.shape, d.numpy)}
    _close(run_calls(max_pool_backward(caps, d, p), operands)["out"], dx, name)


def check_avg(p: PoolProblem, name: str, kind: str) -> None:
    """Forward and backward."""
    caps, d = device_caps(kind=kind), dtypes.NAMESPACE[name]
    x, exact = _draw((p.planes, *p.in_size), name, 0)
    dy, exact_dy = _draw((p.planes, *p.out_size), name, 1)
    out, dx = oracle_avg(p, exact, exact_dy)
    _close(run_calls(avg_pool_forward(caps, d, p), {"x": x, "out": np.ones(out.shape, d.numpy)})["out"], out, name)
    _close(run_calls(avg_pool_backward(caps, d, p), {"dy": dy, "out": np.ones(x.shape, d.numpy)})["out"], dx, name)


@pytest.mark.parametrize("label", PROBLEMS)
def test_numpy_form(label):
    p = PROBLEMS[label]
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((p.planes, *p.in_size)), rng.standard_normal((p.planes, *p.out_size))
    mean, dx = oracle_avg(p, x, dy)
    np.testing.assert_allclose(pool_reference.average_forward(p, x), mean, atol=1e-12)
    np.testing.assert_allclose(pool_reference.average_backward(p, dy).reshape(x.shape), dx, atol=1e-12)
    x.reshape(-1)[::5] = np.nan
    best, index = oracle_max(p, x)
    got = pool_reference.max_forward(p, x)
    np.testing.assert_array_equal(got[0], best)
    np.testing.assert_array_equal(got[1], index)
    sent = np.zeros((p.planes, int(np.prod(p.in_size))))
    np.add.at(sent, (np.arange(p.planes)[:, None], index.reshape(p.planes, -1)), dy.reshape(p.planes, -1))
    np.testing.assert_allclose(pool_reference.max_backward(p, dy, index), sent)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("label", PROBLEMS)
def test_max(label, kind):
    check_max(PROBLEMS[label], "float32", kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("label", PROBLEMS)
def test_avg(label, kind):
    check_avg(PROBLEMS[label], "float32", kind)


@pytest.mark.parametrize("kind", KINDS)
def test_max_dilated(kind):
    check_max(DILATED, "float32", kind)


@pytest.mark.parametrize("kind", KINDS)
def test_max_with_nan_and_infinity(kind):
    for label in ("3x3 stride", "adaptive", "3d"):
        check_max(PROBLEMS[label], "float32", kind, holes=True)


@pytest.mark.parametrize("name", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_dtypes(name, kind):
    if name == "float64" and not device_caps().fp64:
        pytest.skip("no float64 on this device")
    for label in ("3x3 stride", "global", "adaptive"):
        check_max(PROBLEMS[label], name, kind)
        check_avg(PROBLEMS[label], name, kind)


def test_max_of_integers():
    p = PROBLEMS["3x3 stride"]
    x = np.random.default_rng(0).integers(-100, 100, (p.planes, *p.in_size)).astype(np.int32)
    out, index = oracle_max(p, x.astype(np.float64))
    operands = {"x": x, "out": np.zeros(out.shape, np.int32), "indices": np.zeros_like(index)}
    got = run_calls(max_pool_forward(device_caps(), dtypes.int32, p), operands)
    np.testing.assert_array_equal(got["out"], out)
    np.testing.assert_array_equal(got["indices"], index)


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding", "want"),
    [(5, 2, 2, 0, 3), (5, 2, 2, 1, 3), (7, 3, 3, 1, 3), (4, 2, 3, 1, 2)],
)
def test_ceil_mode_output_sizes(size, kernel, stride, padding, want):
    assert PoolProblem(1, (size,), (kernel,), (stride,), (padding,), (1,), True).out_size == (want,)
