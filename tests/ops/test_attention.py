"""Scaled dot-product attention against NumPy."""

import numpy as np
import pytest
from numeric import check_gradients

import engine
from engine import ops
from engine.graph.library import attention as library

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


# -- the fused kernels (float32) --------------------------------------------------------------------------------------
FLOAT = {"rtol": 2e-5, "atol": 2e-6}


def has_kernels():
    """Whether attention is fused on the default device."""
    engine.zeros(1).numpy()
    return engine.config.schedule != "gpu" and library.supports(engine.get_default_device().graph.runtime.caps, 16, 16)


needs_kernels = pytest.mark.skipif(not has_kernels(), reason="attention is composed here")


def floats(*shapes):
    return [RNG.standard_normal(s).astype(np.float32) for s in shapes]


@pytest.mark.parametrize("lead", [(), (3,), (2, 3), (2, 1, 3)])
def test_float32_of_any_leading_dimensions(lead):
    for length, keys, d, e in ((1, 70, 16, 16), (37, 70, 20, 9), (70, 33, 16, 64)):
        q, k, v = floats((*lead, length, d), (*lead, keys, d), (*lead, keys, e))
        mask = RNG.random((length, keys)) > 0.4
        mask[0] = False
        added = np.where(mask, RNG.standard_normal(mask.shape), -np.inf).astype(np.float32)
        rows = RNG.random((1, keys)) > 0.3
        tensors = [engine.tensor(t) for t in (q, k, v)]
        np.testing.assert_allclose(ATTEND(*tensors).numpy(), reference(q, k, v), **FLOAT)
        for m in (mask, added, rows):
            np.testing.assert_allclose(ATTEND(*tensors, engine.tensor(m)).numpy(), reference(q, k, v, m), **FLOAT)
        causal = np.tril(np.ones((length, keys), bool))
        np.testing.assert_allclose(ATTEND(*tensors, is_causal=True).numpy(), reference(q, k, v, causal), **FLOAT)


def gradients(q, k, v, **options):
    leaves = [engine.tensor(t, requires_grad=True) for t in (q, k, v)]
    out = ATTEND(*leaves, **options)
    g = engine.tensor(np.random.default_rng(0).standard_normal(out.shape)).to(out.dtype)
    return [t.numpy() for t in (out.detach(), *engine.autograd.grad(out, leaves, g))]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"is_causal": True},
        {"scale": -0.4},
        {"attn_mask": engine.tensor(RNG.random((1, 2, 37, 50)) > 0.4)},
        {"attn_mask": engine.tensor(RNG.standard_normal((3, 1, 37, 50)).astype(np.float32))},
        {"attn_mask": engine.tensor(RNG.standard_normal((37, 1)).astype(np.float32))},
    ],
    ids=["plain", "causal", "scale", "bool", "float", "column"],
)
def test_float32_gradients_are_those_of_the_composed_form(options):
    """float64 has no kernel: products and a softmax."""
    q, k, v = floats((3, 2, 37, 12), (3, 2, 50, 12), (3, 2, 50, 20))
    got, want = gradients(q, k, v, **options), gradients(*(t.astype(float) for t in (q, k, v)), **options)
    for a, b in zip(got, want):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_float32_shared_operands_and_grouped_heads():
    q, k, v = floats((2, 6, 35, 8), (1, 6, 40, 8), (2, 1, 40, 8))
    for a, b in zip(gradients(q, k, v), gradients(*(t.astype(float) for t in (q, k, v)))):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    for length in (1, 35):
        q, k, v = floats((2, 6, length, 8), (2, 2, 40, 8), (2, 2, 40, 8))
        for a, b in zip(
            gradients(q, k, v, enable_gqa=True), gradients(*(t.astype(float) for t in (q, k, v)), enable_gqa=True)
        ):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def kernels(run):
    """Kernels that ``run`` launches."""
    engine.synchronize()
    before = engine.launch_count()
    kept = run()
    engine.synchronize()
    return engine.launch_count() - before, kept


@needs_kernels
def test_views_are_read_where_they_lie_and_results_follow_the_query():
    x = engine.tensor(RNG.standard_normal((2, 40, 3 * 4 * 16)).astype(np.float32), requires_grad=True)
    q, k, v = (t.reshape(2, 40, 4, 16).transpose(1, 2) for t in x.split(64, 2))
    count, out = kernels(lambda: ATTEND(q, k, v, is_causal=True))
    assert count == 1
    assert out.stride() == (40 * 64, 16, 64, 1)
    want = reference(*(t.detach().numpy() for t in (q, k, v)), np.tril(np.ones((40, 40), bool)))
    np.testing.assert_allclose(out.detach().numpy(), want, **FLOAT)


@needs_kernels
@pytest.mark.parametrize("batch_first", [True, False])
def test_heads_of_a_module_are_read_without_copies(batch_first):
    layer = engine.nn.MultiheadAttention(32, 4, batch_first=batch_first).eval()
    x = engine.randn(3, 40, 32)
    x.sum().item()
    with engine.no_grad():
        count, (out, weights) = kernels(lambda: layer(x, x, x, need_weights=False))
        explicit = layer(x, x, x)[0]
    assert count <= 5 and weights is None and out.is_contiguous()
    np.testing.assert_allclose(out.numpy(), explicit.numpy(), rtol=1e-4, atol=1e-5)


@needs_kernels
def test_one_kernel_forward_and_one_backward_without_the_scores():
    leaves = [engine.randn(2, 4, 512, 16, requires_grad=True) for _ in range(3)]
    g = engine.randn(2, 4, 512, 16)
    sum(t.sum() for t in (*leaves, g)).item()
    memory = engine.get_default_device().graph.runtime.memory
    memory.reset_peak()
    before = memory.allocated
    count, found = kernels(lambda: engine.autograd.grad(ATTEND(*leaves), leaves, g))
    assert count == 2 and len(found) == 3
    scores = 2 * 4 * 512 * 512 * 4
    assert memory.peak_allocated - before < scores / 2


def test_double_backward_of_the_fused_form():
    q, k, v = floats((1, 2, 5, 4), (1, 2, 6, 4), (1, 2, 6, 3))

    def second(*arrays):
        leaves = [engine.tensor(t, requires_grad=True) for t in arrays]
        first = engine.autograd.grad(ATTEND(*leaves).square().sum(), leaves, create_graph=True)
        return engine.autograd.grad(sum(t.square().sum() for t in first), leaves)

    for a, b in zip(second(q, k, v), second(*(t.astype(float) for t in (q, k, v)))):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=2e-3, atol=1e-4)


def test_mask_with_gradient_and_examples_of_vmap():
    q, k, v = floats((3, 2, 5, 4), (3, 2, 6, 4), (3, 2, 6, 3))
    mask = engine.zeros(5, 6, requires_grad=True)
    (got,) = engine.autograd.grad(ATTEND(*map(engine.tensor, (q, k, v)), mask).square().sum(), mask)
    assert got.shape == (5, 6) and np.abs(got.numpy().sum(-1)).max() < 1e-4 and np.abs(got.numpy()).max() > 0
    each = engine.func.vmap(ATTEND)(*map(engine.tensor, (q, k, v)))
    np.testing.assert_allclose(each.numpy(), reference(q, k, v), **FLOAT)


def test_nan_and_infinities_go_through():
    q, k, v = floats((1, 4, 8), (1, 6, 8), (1, 6, 8))
    q[0, 1, 2] = np.nan
    v[0, 3, 5] = np.inf
    got = ATTEND(*map(engine.tensor, (q, k, v))).numpy()
    assert np.isnan(got[0, 1]).all() and np.isinf(got[0, 0, 5]) and np.isfinite(got[0, 0, :5]).all()


def test_compiled_steps_replay_attention():
    layer = engine.nn.MultiheadAttention(16, 2, batch_first=True)
    x, y = engine.randn(2, 20, 16), engine.randn(2, 20, 16)

    def step(x):
        layer.zero_grad()
        out = layer(x, x, x, need_weights=False)[0]
        out.square().sum().backward()
        return out.detach(), layer.in_proj_weight.grad.clone()

    fast = engine.compile(step)
    for value in (x, y, x, y):
        for a, b in zip(fast(value), step(value)):
            np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5)
