"""Dropout: its statistics, and the same mask forward and backward."""

import numpy as np
import pytest

import engine
from engine import ops


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_share_scale_and_gradient(p):
    engine.manual_seed(1)
    x = engine.full((200, 200), 3.0).requires_grad_(True)
    y = ops.dropout(x, p, True)
    kept = y.detach().numpy() != 0
    assert abs(kept.mean() - (1 - p)) < 0.01
    np.testing.assert_allclose(y.detach().numpy()[kept], 3 / (1 - p), rtol=1e-6)
    (g,) = engine.autograd.grad(y.sum(), x)
    np.testing.assert_allclose(g.numpy(), kept / (1 - p), rtol=1e-6)


def test_mask_follows_the_seed_and_moves_on():
    x = engine.ones(64)
    engine.manual_seed(5)
    first, second = ops.dropout(x, 0.5, True).tolist(), ops.dropout(x, 0.5, True).tolist()
    engine.manual_seed(5)
    assert ops.dropout(x, 0.5, True).tolist() == first != second


def test_mask_does_not_depend_on_layout():
    x = engine.arange(1.0, 13.0).reshape(3, 4)
    engine.manual_seed(2)
    want = ops.dropout(x, 0.5, True)
    engine.manual_seed(2)
    got = ops.dropout(x.t().contiguous().t(), 0.5, True)
    assert got.tolist() == want.tolist()


def test_second_derivative():
    engine.manual_seed(3)
    x = engine.arange(1.0, 9.0).requires_grad_(True)
    y = ops.dropout(x * x, 0.5, True)
    (g,) = engine.autograd.grad(y.sum(), x, create_graph=True)
    (h,) = engine.autograd.grad(g.sum(), x)
    assert h.tolist() == [4.0 if v else 0.0 for v in y.tolist()]


def test_edges():
    x = engine.ones(5)
    assert ops.dropout(x, 0.5, False) is x
    assert ops.dropout(x, 1.0, True).tolist() == [0.0] * 5
    assert ops.dropout(engine.ones(0), 0.5, True).shape == (0,)
    y, mask = ops.native_dropout(x, 0.5, True)
    assert mask.dtype is engine.bool and (y != 0).tolist() == mask.tolist()
    with pytest.raises(RuntimeError, match="between 0 and 1"):
        ops.dropout(x, 1.5, True)
