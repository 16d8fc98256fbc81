"""Activations: values against NumPy formulas, derivatives against central differences."""

import math

import numpy as np
import pytest
from numeric import check_gradients

import engine
from engine import ops

X = np.array([-25.0, -4.0, -3.0, -1.5, -0.4, -0.0, 0.0, 0.3, 0.9, 2.0, 3.0, 7.0, 30.0])
SMOOTH = np.array([-2.3, -1.1, -0.35, 0.2, 0.7, 1.6])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def erf(x):
    return np.vectorize(math.erf)(x)


CASES = {
    "gelu": (lambda t: ops.gelu(t), lambda x: x * 0.5 * (1 + erf(x / math.sqrt(2)))),
    "gelu-tanh": (
        lambda t: ops.gelu(t, approximate="tanh"),
        lambda x: x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    "silu": (lambda t: ops.silu(t), lambda x: x * sigmoid(x)),
    "mish": (lambda t: ops.mish(t), lambda x: x * np.tanh(np.logaddexp(0, x))),
    "elu": (lambda t: ops.elu(t, 0.7), lambda x: np.where(x > 0, x, 0.7 * np.expm1(x))),
    "celu": (lambda t: ops.celu(t, 1.5), lambda x: np.maximum(x, 0) + np.minimum(0, 1.5 * np.expm1(x / 1.5))),
    "selu": (
        lambda t: ops.selu(t),
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    ),
    "leaky_relu": (lambda t: ops.leaky_relu(t, 0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    "hardtanh": (lambda t: ops.hardtanh(t, -0.5, 2.0), lambda x: np.clip(x, -0.5, 2.0)),
    "relu6": (lambda t: ops.relu6(t), lambda x: np.clip(x, 0, 6)),
    "hardsigmoid": (lambda t: ops.hardsigmoid(t), lambda x: np.clip(x + 3, 0, 6) / 6),
    "hardswish": (lambda t: ops.hardswish(t), lambda x: x * np.clip(x + 3, 0, 6) / 6),
    "hardshrink": (lambda t: ops.hardshrink(t, 0.5), lambda x: np.where(abs(x) <= 0.5, 0, x)),
    "softshrink": (lambda t: ops.softshrink(t, 0.3), lambda x: np.sign(x) * np.maximum(abs(x) - 0.3, 0)),
    "threshold": (lambda t: ops.threshold(t, 0.1, -7.0), lambda x: np.where(x > 0.1, x, -7)),
    "softplus": (lambda t: ops.softplus(t, 2.0, 5.0), lambda x: np.where(x * 2 > 5, x, np.logaddexp(0, 2 * x) / 2)),
    "logsigmoid": (lambda t: ops.logsigmoid(t), lambda x: -np.logaddexp(0, -x)),
    "tanhshrink": (lambda t: ops.tanhshrink(t), lambda x: x - np.tanh(x)),
    "softsign": (lambda t: ops.softsign(t), lambda x: x / (1 + abs(x))),
    "rrelu": (lambda t: ops.rrelu(t, 0.1, 0.3), lambda x: np.where(x > 0, x, 0.2 * x)),
}


@pytest.mark.parametrize("name", CASES)
def test_values(name):
    fn, reference = CASES[name]
    got = fn(engine.tensor(X))
    assert got.dtype is engine.float64
    np.testing.assert_allclose(got.numpy(), reference(X), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fn(engine.tensor(X.astype(np.float32))).numpy(), reference(X), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", CASES)
def test_derivatives(name):
    check_gradients(CASES[name][0], SMOOTH, tol=1e-5)


def test_glu_and_prelu():
    x = np.random.default_rng(0).standard_normal((2, 4, 3))
    np.testing.assert_allclose(ops.glu(engine.tensor(x), 1).numpy(), x[:, :2] * sigmoid(x[:, 2:]), rtol=1e-12)
    check_gradients(lambda t: ops.glu(t, 1), x[:1])
    w = np.array([0.1, 0.2, -0.3, 0.4])
    want = np.where(x > 0, x, x * w[None, :, None])
    np.testing.assert_allclose(ops.prelu(engine.tensor(x), engine.tensor(w)).numpy(), want, rtol=1e-12)
    check_gradients(ops.prelu, x[:1], w)


def test_nan_reaches_value_and_gradient():
    x = engine.tensor([float("nan"), 1.0]).requires_grad_(True)
    for fn in (ops.relu, ops.elu, ops.silu, ops.hardtanh, ops.leaky_relu):
        assert np.isnan(fn(x).detach().numpy()[0])
    (g,) = engine.autograd.grad(ops.relu(x).sum(), x)
    assert g.tolist() == [1.0, 1.0]  # as in torch: not y <= 0


def test_integers_and_refusals():
    assert ops.relu6(engine.tensor([-3, 4, 9])).tolist() == [0, 4, 6]
    with pytest.raises(RuntimeError, match="not implemented for 'Long'"):
        ops.gelu(engine.tensor([1]))
    with pytest.raises(RuntimeError, match="approximate argument must be either none or tanh"):
        ops.gelu(engine.tensor([1.0]), approximate="x")
    with pytest.raises(RuntimeError, match="lambda must be greater or equal to 0"):
        ops.softshrink(engine.tensor([1.0]), -1.0)
    with pytest.raises(RuntimeError, match="Mismatch of parameter numbers"):
        ops.prelu(engine.ones(2, 3), engine.ones(2))
    with pytest.raises(RuntimeError, match="Halving dimension must be even"):
        ops.glu(engine.ones(2, 3))


def test_random_slopes_of_rrelu_lie_in_their_range():
    engine.manual_seed(0)
    x = engine.full((1000,), -1.0).requires_grad_(True)
    y = ops.rrelu(x, 0.25, 0.5, True)
    slopes = -y.detach().numpy()
    assert 0.25 <= slopes.min() < 0.26 and 0.49 < slopes.max() <= 0.5
    (g,) = engine.autograd.grad(y.sum(), x)
    np.testing.assert_allclose(g.numpy(), slopes, rtol=1e-6)
