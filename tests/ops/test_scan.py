"""Scans, differences and integrals."""

from __future__ import annotations

import numpy as np
import pytest

import engine

_SHAPES = [(1,), (5000,), (3, 4, 5), (2, 300), (300, 20), (40, 3)]


def _array(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.RandomState(5).randn(*shape)


@pytest.mark.parametrize("shape", _SHAPES)
def test_cumsum_and_extremes(shape: tuple[int, ...]) -> None:
    x = _array(shape)
    t = engine.tensor(x)
    for d in range(len(shape)):
        np.testing.assert_allclose(t.cumsum(d).numpy(), x.cumsum(d), rtol=1e-12, atol=1e-12)
        values, index = t.cummax(d)
        want = np.maximum.accumulate(x, d)
        assert (values.numpy() == want).all()
        assert (np.take_along_axis(x, index.numpy(), d) == want).all()


def test_dtypes() -> None:
    assert engine.tensor([True, True, False]).cumsum(0).tolist() == [1, 2, 2]
    assert engine.tensor([100, 100], dtype=engine.int8).cumsum(0).dtype is engine.int64
    assert engine.ones(3, dtype=engine.bfloat16).cumsum(0).tolist() == [1.0, 2.0, 3.0]
    assert engine.ones(3).cumprod(0, dtype=engine.float64).dtype is engine.float64
    long = engine.full((1 << 18,), 0.1).cumsum(0)[-1].item()
    assert abs(long - 26214.4) < 0.01  # float32 alone would be off by more


def test_extremes_keep_nan_and_the_last_of_equals() -> None:
    values, index = engine.tensor([1.0, 1.0, 0.0, float("nan"), 5.0]).cummax(0)
    assert index.tolist() == [0, 1, 1, 3, 3]
    assert np.isnan(values.numpy()[3:]).all()
    assert engine.tensor([True, False]).cummin(0)[0].tolist() == [True, False]


def test_gradient_of_products_with_zeros() -> None:
    """d/dx_k of sum_j w_j prod_{i<=j} x_i, also where factors are zero; and its own derivative."""
    x = engine.tensor([2.0, 0.0, 3.0, 0.0], dtype=engine.float64, requires_grad=True)
    w = engine.tensor([1.0, 10.0, 100.0, 1000.0], dtype=engine.float64)
    (grad,) = engine.autograd.grad((x.cumprod(0) * w).sum(), x, create_graph=True)
    assert grad.tolist() == [1.0, 620.0, 0.0, 0.0]
    (second,) = engine.autograd.grad(grad[1], x)
    # grad[1] = w1 x0 + w2 x0 x2 + w3 x0 x2 x3
    assert second.tolist() == [310.0, 0.0, 200.0, 6000.0]


def test_logcumsumexp() -> None:
    x = engine.tensor([-float("inf"), 1000.0, 1000.0, -1000.0], dtype=engine.float64, requires_grad=True)
    out = x.logcumsumexp(0)
    np.testing.assert_allclose(out.detach().numpy()[1:], [1000.0, 1000.0 + np.log(2), 1000.0 + np.log(2)])
    out[1:].sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [0.0, 2.0, 1.0, 0.0])


def test_diff_and_trapezoid() -> None:
    x = engine.tensor([1.0, 4.0, 9.0, 16.0])
    assert x.diff().tolist() == [3.0, 5.0, 7.0]
    assert x.diff(n=2).tolist() == [2.0, 2.0]
    assert x.diff(prepend=engine.tensor([0.0])).tolist() == [1.0, 3.0, 5.0, 7.0]
    assert engine.trapezoid(x, dx=2.0).item() == 43.0
    assert engine.cumulative_trapezoid(x).tolist() == [2.5, 9.0, 21.5]
    assert engine.gradient(x)[0].tolist() == [3.0, 4.0, 6.0, 7.0]
