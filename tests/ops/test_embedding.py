"""Look-up of rows and its gradients."""

import numpy as np
import pytest
from numeric import check_gradients

import engine
from engine import ops

TABLE = np.random.default_rng(17).standard_normal((5, 3))
INDEX = np.array([[0, 2, 2], [1, 4, 0]])


def gradient(up, padding=-1, by_freq=False):
    out = np.zeros(TABLE.shape)
    for row, g in zip(INDEX.ravel(), up.reshape(-1, 3)):
        if row != padding:
            out[row] += g / ((INDEX == row).sum() if by_freq else 1)
    return out


@pytest.mark.parametrize("options", [{}, {"padding_idx": 2}, {"scale_grad_by_freq": True}])
@pytest.mark.parametrize("dtype", [np.int64, np.int32])
def test_rows_and_gradients(options, dtype):
    weight = engine.tensor(TABLE).requires_grad_(True)
    got = ops.embedding(weight, engine.tensor(INDEX.astype(dtype)), **options)
    np.testing.assert_array_equal(got.detach().numpy(), TABLE[INDEX])
    up = np.random.default_rng(0).standard_normal(got.shape)
    (g,) = engine.autograd.grad(got, weight, engine.tensor(up))
    want = gradient(up, options.get("padding_idx", -1), options.get("scale_grad_by_freq", False))
    np.testing.assert_allclose(g.numpy(), want, rtol=1e-12)


@pytest.mark.parametrize("options", [{}, {"padding_idx": 2}, {"scale_grad_by_freq": True}])
def test_the_gradient_is_linear(options):
    """Second derivatives by what comes from above, through the gradient."""
    weight = engine.tensor(TABLE).requires_grad_(True)
    up = engine.tensor(np.random.default_rng(0).standard_normal((2, 3, 3))).requires_grad_(True)
    out = ops.embedding(weight, engine.tensor(INDEX), **options)
    (g,) = engine.autograd.grad(out, weight, up, create_graph=True)
    h = np.random.default_rng(1).standard_normal(TABLE.shape)
    (back,) = engine.autograd.grad(g, up, engine.tensor(h))
    want = h[INDEX].copy()
    if "padding_idx" in options:
        want[options["padding_idx"] == INDEX] = 0
    if "scale_grad_by_freq" in options:
        want /= (INDEX[..., None, None] == INDEX).sum((-1, -2))[..., None]
    np.testing.assert_allclose(back.numpy(), want, rtol=1e-12)


def test_derivatives_and_shapes():
    check_gradients(lambda w: ops.embedding(w, engine.tensor([1, 1, 3])) ** 2, TABLE)
    assert ops.embedding(engine.tensor(TABLE), engine.tensor(3)).shape == (3,)
    assert ops.embedding(engine.tensor(TABLE), engine.zeros(2, 0, dtype=engine.int64)).shape == (2, 0, 3)


def test_refusals():
    weight = engine.tensor(TABLE)
    for bad in (5, -1):
        with pytest.raises(IndexError, match="index out of range in self"):
            ops.embedding(weight, engine.tensor([0, bad]))
    with pytest.raises(IndexError):  # known only on the device: reported when something waits
        ops.embedding(weight, engine.tensor([2, 3]) * 2).sum().item()
    with pytest.raises(RuntimeError, match="'weight' must be 2-D"):
        ops.embedding(engine.ones(3), engine.tensor([0]))
    with pytest.raises(RuntimeError, match="scalar types: Long, Int"):
        ops.embedding(weight, engine.tensor([0.0]))
