"""Normalisations: values against NumPy, derivatives against central differences, running statistics."""

import numpy as np
import pytest
from numeric import check_gradients

import engine
from engine import ops

RNG = np.random.default_rng(3)


def normalised(x, axes, eps, centre=True):
    mean = x.mean(axes, keepdims=True) if centre else 0
    var = ((x - mean) ** 2).mean(axes, keepdims=True)
    return (x - mean) / np.sqrt(var + eps)


def column(v, ndim):
    return v.reshape((1, -1) + (1,) * (ndim - 2))


def test_layer_norm():
    x, w, b = RNG.standard_normal((3, 4, 5)), RNG.standard_normal((4, 5)), RNG.standard_normal((4, 5))
    got = ops.layer_norm(*(engine.tensor(v) for v in (x,)), (4, 5), engine.tensor(w), engine.tensor(b), 1e-3)
    np.testing.assert_allclose(got.numpy(), normalised(x, (1, 2), 1e-3) * w + b, rtol=1e-10)
    y, mean, rstd = ops.native_layer_norm(engine.tensor(x), (5,), None, None, 1e-3)
    assert mean.shape == rstd.shape == (3, 4, 1)
    np.testing.assert_allclose(mean.numpy(), x.mean(-1, keepdims=True), rtol=1e-10, atol=1e-12)
    check_gradients(lambda x, w, b: ops.layer_norm(x, (3,), w, b, 1e-2), x[:2, :1, :3], w[0, :3], b[0, :3])


def test_rms_norm():
    x, w = RNG.standard_normal((3, 5)), RNG.standard_normal(5)
    got = ops.rms_norm(engine.tensor(x), (5,), engine.tensor(w), 0.1)
    np.testing.assert_allclose(got.numpy(), normalised(x, 1, 0.1, False) * w, rtol=1e-10)
    check_gradients(lambda x, w: ops.rms_norm(x, (5,), w, 0.1), x, w)


def test_group_norm():
    x, w, b = RNG.standard_normal((2, 4, 3)), RNG.standard_normal(4), RNG.standard_normal(4)
    got = ops.group_norm(engine.tensor(x), 2, engine.tensor(w), engine.tensor(b), 1e-3)
    want = normalised(x.reshape(2, 2, 6), 2, 1e-3).reshape(x.shape) * column(w, 3) + column(b, 3)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-10)
    check_gradients(lambda x, w, b: ops.group_norm(x, 2, w, b, 1e-2), x[:, :, :2], w, b, tol=1e-5)


@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4), (2, 3, 2, 2)])
def test_batch_norm_training_moves_the_running_statistics(shape):
    x, w, b = RNG.standard_normal(shape), RNG.standard_normal(3), RNG.standard_normal(3)
    axes = (0, *range(2, len(shape)))
    mean, var = engine.zeros(3, dtype=engine.float64), engine.ones(3, dtype=engine.float64)
    args = (engine.tensor(w), engine.tensor(b), mean, var)
    got = ops.batch_norm(engine.tensor(x), *args, True, 0.25, 1e-3)
    want = normalised(x, axes, 1e-3) * column(w, len(shape)) + column(b, len(shape))
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-10)
    np.testing.assert_allclose(mean.numpy(), 0.25 * x.mean(axes), rtol=1e-10)
    np.testing.assert_allclose(var.numpy(), 0.75 + 0.25 * x.var(axes, ddof=1), rtol=1e-10)
    got = ops.batch_norm(engine.tensor(x), *args, False, 0.25, 1e-3)
    scale = column(w / np.sqrt(var.numpy() + 1e-3), len(shape))
    want = (x - column(mean.numpy(), len(shape))) * scale + column(b, len(shape))
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-10)


def test_batch_norm_derivatives():
    x, w, b = RNG.standard_normal((3, 2, 2)), RNG.standard_normal(2), RNG.standard_normal(2)
    mean, var = engine.tensor([0.1, 0.2], dtype=engine.float64), engine.tensor([1.5, 0.5], dtype=engine.float64)
    check_gradients(lambda *t: ops.batch_norm(*t, None, None, True, 0.1, 1e-2), x, w, b, tol=1e-5)
    check_gradients(lambda *t: ops.batch_norm(*t, mean, var, False, 0.1, 1e-2), x, w, b)


def test_instance_norm():
    x = RNG.standard_normal((2, 3, 4))
    mean, var = engine.zeros(3, dtype=engine.float64), engine.ones(3, dtype=engine.float64)
    got = ops.instance_norm(engine.tensor(x), None, None, mean, var, True, 0.5, 1e-3)
    np.testing.assert_allclose(got.numpy(), normalised(x, 2, 1e-3), rtol=1e-10)
    np.testing.assert_allclose(mean.numpy(), 0.5 * x.mean((0, 2)), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(var.numpy(), 0.5 + 0.5 * x.var(2, ddof=1).mean(0), rtol=1e-10)


def test_half_precision_computes_in_float32():
    x = RNG.standard_normal((2, 64)) * 100
    got = ops.layer_norm(engine.tensor(x).to(engine.float16), (64,))
    assert got.dtype is engine.float16
    np.testing.assert_allclose(got.float().numpy(), normalised(x, 1, 1e-5), atol=4e-3)


def test_refusals():
    x = engine.ones(2, 3)
    with pytest.raises(RuntimeError, match="Given normalized_shape="):
        ops.layer_norm(x, (4,))
    with pytest.raises(RuntimeError, match="Expected weight to be of same shape"):
        ops.layer_norm(x, (3,), engine.ones(2))
    with pytest.raises(RuntimeError, match="divisible by num_groups"):
        ops.group_norm(x, 2)
    with pytest.raises(RuntimeError, match="weight should contain 3 elements not 2"):
        ops.batch_norm(x, engine.ones(2), None, None, None, True, 0.1, 1e-5)
    with pytest.raises(RuntimeError, match="must be defined in evaluation mode"):
        ops.batch_norm(x, None, None, None, None, False, 0.1, 1e-5)
