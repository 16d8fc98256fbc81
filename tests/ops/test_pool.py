"""Pooling against the definition, derivatives against central differences."""

import itertools

import numpy as np
import pytest
from numeric import check_gradients

import engine
from engine import ops

RNG = np.random.default_rng(13)


def windows(size, kernel, stride, padding, dilation=1):
    """Positions of each window along one dimension; outside ones are negative or beyond the size."""
    count = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    return [[o * stride - padding + k * dilation for k in range(kernel)] for o in range(count)]


def adaptive(size, out):
    return [list(range(i * size // out, -(-(i + 1) * size // out))) for i in range(out)]


def pool(x, per_dim, reduce):
    """``reduce(values, positions, window size)`` of each window of the trailing dimensions."""
    n = len(per_dim)
    flat = np.arange(np.prod(x.shape[-n:])).reshape(x.shape[-n:])
    out = np.zeros((*x.shape[:-n], *(len(w) for w in per_dim)))
    for lead in np.ndindex(*x.shape[:-n]):
        for at in itertools.product(*(range(len(w)) for w in per_dim)):
            full = list(itertools.product(*(per_dim[d][i] for d, i in enumerate(at))))
            inside = [p for p in full if all(0 <= v < s for v, s in zip(p, x.shape[-n:]))]
            values = np.array([x[lead][p] for p in inside])
            out[(*lead, *at)] = reduce(values, [flat[p] for p in inside], len(full))
    return out


def largest(values, positions, count):
    return values.max()


def where(values, positions, count):
    return positions[int(values.argmax())]


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("kernel, stride, padding, dilation", [(2, None, 0, 1), (3, 2, 1, 1), (2, 1, 1, 2)])
def test_max(n, kernel, stride, padding, dilation):
    x = RNG.standard_normal((2, 2, *(6, 5, 4)[:n]))
    per_dim = [windows(s, kernel, stride or kernel, padding, dilation) for s in x.shape[2:]]
    args = (engine.tensor(x), kernel, stride, padding, dilation)
    values, indices = getattr(ops, f"max_pool{n}d_with_indices")(*args)
    np.testing.assert_array_equal(values.numpy(), pool(x, per_dim, largest))
    assert indices.dtype is engine.int64
    np.testing.assert_array_equal(indices.numpy(), pool(x, per_dim, where))
    np.testing.assert_array_equal(getattr(ops, f"max_pool{n}d")(*args).numpy(), values.numpy())


@pytest.mark.parametrize("n", [1, 2, 3])
def test_average(n):
    x = RNG.standard_normal((2, *(6, 5, 4)[:n]))
    per_dim = [windows(s, 3, 2, 1) for s in x.shape[1:]]
    average = getattr(ops, f"avg_pool{n}d")
    want = pool(x, per_dim, lambda v, p, c: v.sum() / c)
    np.testing.assert_allclose(average(engine.tensor(x), 3, 2, 1).numpy(), want, rtol=1e-12)
    want = pool(x, per_dim, lambda v, p, c: v.mean())
    got = average(engine.tensor(x), 3, 2, 1, count_include_pad=False)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-12)
    if n > 1:
        want = pool(x, per_dim, lambda v, p, c: v.sum() / 5)
        got = average(engine.tensor(x), 3, 2, 1, divisor_override=5)
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-12)


@pytest.mark.parametrize("out", [1, 2, 3, 5])
def test_adaptive(out):
    x = RNG.standard_normal((2, 2, 6, 5))
    per_dim = [adaptive(6, out), adaptive(5, out)]
    want = pool(x, per_dim, lambda v, p, c: v.mean())
    np.testing.assert_allclose(ops.adaptive_avg_pool2d(engine.tensor(x), out).numpy(), want, rtol=1e-12)
    values, indices = ops.adaptive_max_pool2d(engine.tensor(x), (out, out))
    np.testing.assert_array_equal(values.numpy(), pool(x, per_dim, largest))
    np.testing.assert_array_equal(indices.numpy(), pool(x, per_dim, where))


def test_ceil_mode():
    x = engine.arange(5.0).reshape(1, 5)
    assert ops.max_pool1d(x, 2, 2).tolist() == [[1, 3]]
    assert ops.max_pool1d(x, 2, 2, ceil_mode=True).tolist() == [[1, 3, 4]]
    assert ops.avg_pool1d(x, 2, 2, ceil_mode=True).tolist() == [[0.5, 2.5, 4]]


def test_derivatives():
    x = RNG.permutation(24).reshape(1, 2, 4, 3) / 7.0
    check_gradients(lambda t: ops.max_pool2d(t, 2, 1, 1) * t.sum(), x, step=1e-4)
    check_gradients(lambda t: ops.avg_pool2d(t, 2, 1, 1) ** 2, x)
    check_gradients(lambda t: ops.adaptive_avg_pool2d(t, (3, 2)) ** 2, x)
    check_gradients(lambda t: ops.adaptive_max_pool2d(t, (3, 2))[0] ** 2, x, step=1e-4)
    check_gradients(lambda t: ops.max_pool1d(t, 2) ** 2, x[0, :, :, 0], step=1e-4)


def test_nan_wins():
    x = engine.tensor([[1.0, float("nan"), 2.0, 3.0]])
    assert np.isnan(ops.max_pool1d(x, 2).numpy()).tolist() == [[True, False]]


def test_refusals():
    x = engine.ones(1, 3, 6, 6)
    with pytest.raises(RuntimeError, match="Output size is too small"):
        ops.max_pool2d(x, 7)
    with pytest.raises(RuntimeError, match="pad should be at most half of effective kernel size"):
        ops.avg_pool2d(x, 2, padding=2)
    with pytest.raises(RuntimeError, match="stride should not be zero"):
        ops.max_pool2d(x, 2, 0)
    with pytest.raises(RuntimeError, match="divisor must be not zero"):
        ops.avg_pool2d(x, 2, divisor_override=0)
    with pytest.raises(RuntimeError, match="3D or 4D"):
        ops.max_pool2d(engine.ones(3), 2)
    assert ops.max_pool2d(engine.ones(0, 3, 6, 6), 2).shape == (0, 3, 3, 3)
