"""Scaled dot-product attention against NumPy."""

import numpy as np
import pytest
from numeric import check_gradients

import engine
from engine import ops

RNG = np.random.default_rng(19)
ATTEND = ops.scaled_dot_product_attention


def reference(q, k, v, mask=None, scale=None):
    scores = q @ np.swapaxes(k, -1, -2) * (1 / np.sqrt(q.shape[-1]) if scale is None else scale)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    top = scores.max(-1, keepdims=True)
    e = np.exp(scores - np.where(np.isinf(top), 0, top))
    total = e.sum(-1, keepdims=True)
    return np.where(total > 0, e / np.where(total > 0, total, 1), 0) @ v


def operands(*lead):
    return [RNG.standard_normal((*lead, *s)) for s in ((4, 5), (6, 5), (6, 3))]


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_plain_and_causal(lead):
    q, k, v = operands(*lead)
    tensors = [engine.tensor(t) for t in (q, k, v)]
    np.testing.assert_allclose(ATTEND(*tensors).numpy(), reference(q, k, v), rtol=1e-9)
    np.testing.assert_allclose(ATTEND(*tensors, scale=0.3).numpy(), reference(q, k, v, scale=0.3), rtol=1e-9)
    causal = np.tril(np.ones((4, 6), bool))
    np.testing.assert_allclose(ATTEND(*tensors, is_causal=True).numpy(), reference(q, k, v, causal), rtol=1e-9)


def test_masks_and_rows_that_see_nothing():
    q, k, v = operands(2)
    tensors = [engine.tensor(t) for t in (q, k, v)]
    mask = RNG.random((4, 6)) > 0.4
    mask[1] = False
    want = reference(q, k, v, mask)
    assert not want[:, 1].any()
    np.testing.assert_allclose(ATTEND(*tensors, engine.tensor(mask)).numpy(), want, rtol=1e-9)
    added = np.where(mask, RNG.standard_normal((4, 6)), -np.inf)
    want = reference(q, k, v, added)
    np.testing.assert_allclose(ATTEND(*tensors, engine.tensor(added)).numpy(), want, rtol=1e-9)
    leaves = [t.requires_grad_(True) for t in tensors]
    for g in engine.autograd.grad(ATTEND(*leaves, engine.tensor(added)).sum(), leaves):
        assert np.isfinite(g.numpy()).all()


def test_grouped_heads():
    q, k, v = (RNG.standard_normal((2, h, *s)) for h, s in ((4, (4, 5)), (2, (6, 5)), (2, (6, 3))))
    got = ATTEND(*(engine.tensor(t) for t in (q, k, v)), enable_gqa=True)
    np.testing.assert_allclose(got.numpy(), reference(q, k.repeat(2, 1), v.repeat(2, 1)), rtol=1e-9)


def test_derivatives():
    q, k, v = RNG.standard_normal((2, 2)), RNG.standard_normal((3, 2)), RNG.standard_normal((3, 2))
    check_gradients(ATTEND, q, k, v, tol=1e-5)
    mask = engine.tensor([[True, False, True], [True, True, False]])
    check_gradients(lambda *t: ATTEND(*t, mask), q, k, v, tol=1e-5)


def test_half_precision_and_dropout():
    q, k, v = (t * 8 for t in operands(2))
    got = ATTEND(*(engine.tensor(t).to(engine.float16) for t in (q, k, v)))
    assert got.dtype is engine.float16
    half = [t.astype(np.float16).astype(float) for t in (q, k, v)]
    np.testing.assert_allclose(got.float().numpy(), reference(*half), rtol=2e-3, atol=2e-3)
    ones = [engine.ones(8, 64, 4), engine.ones(8, 64, 4), engine.ones(8, 64, 4)]
    engine.manual_seed(0)
    assert abs(ATTEND(*ones, dropout_p=0.5).mean().item() - 1) < 0.02


def test_refusals():
    x = engine.ones(2, 3)
    with pytest.raises(RuntimeError, match="at least 2 dimensional"):
        ATTEND(engine.ones(3), x, x)
    with pytest.raises(RuntimeError, match="same dtype"):
        ATTEND(x, x.double(), x)
    with pytest.raises(RuntimeError, match="Explicit attn_mask should not be set when is_causal=True"):
        ATTEND(x, x, x, engine.ones(2, 2, dtype=engine.bool), is_causal=True)
