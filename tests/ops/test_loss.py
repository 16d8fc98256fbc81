"""Losses, cross entropy included: values against NumPy, derivatives against central differences."""

import numpy as np
import pytest
from numeric import check_gradients

import engine
from engine import ops

RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((3, 4)), RNG.standard_normal((3, 4))
P, Q = RNG.uniform(0.1, 0.9, (3, 4)), RNG.uniform(0.1, 0.9, (3, 4))


def huber(d, delta):
    return np.where(d <= delta, d * d / 2, delta * (d - delta / 2))


PAIRS = {
    "mse": (ops.mse_loss, lambda x, y: (x - y) ** 2, X, Y),
    "l1": (ops.l1_loss, lambda x, y: abs(x - y), X, Y),
    "smooth": (
        lambda *a, **k: ops.smooth_l1_loss(*a, beta=0.7, **k), lambda x, y: huber(abs(x - y), 0.7) / 0.7, X, Y,
    ),
    "huber": (lambda *a, **k: ops.huber_loss(*a, delta=0.8, **k), lambda x, y: huber(abs(x - y), 0.8), X, Y),
    "bce": (ops.binary_cross_entropy, lambda x, y: -(y * np.log(x) + (1 - y) * np.log(1 - x)), P, Q),
    "logits": (
        ops.binary_cross_entropy_with_logits, lambda x, y: np.logaddexp(0, x) - x * y, X, Q,
    ),
    "kl": (ops.kl_div, lambda x, y: y * (np.log(y) - x), X, Q),
    "kl-log": (lambda *a, **k: ops.kl_div(*a, log_target=True, **k), lambda x, y: np.exp(y) * (y - x), X, Y),
}  # fmt: skip


@pytest.mark.parametrize("name", PAIRS)
def test_elementwise_losses(name):
    fn, reference, x, y = PAIRS[name]
    want = reference(x, y)
    tx, ty = engine.tensor(x), engine.tensor(y)
    np.testing.assert_allclose(fn(tx, ty, reduction="none").numpy(), want, rtol=1e-9)
    np.testing.assert_allclose(fn(tx, ty, reduction="sum").item(), want.sum(), rtol=1e-9)
    np.testing.assert_allclose(fn(tx, ty).item(), want.mean(), rtol=1e-9)
    check_gradients(fn, x[:2, :2], y[:2, :2], tol=1e-5)


def test_weights_of_binary_cross_entropy():
    w, pos = RNG.uniform(0.5, 2, 4), RNG.uniform(0.5, 2, 4)
    got = ops.binary_cross_entropy_with_logits(*(engine.tensor(v) for v in (X, Q, w, pos)), reduction="none")
    want = w * ((1 - Q) * np.logaddexp(0, X) + pos * Q * np.logaddexp(0, -X))
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-9)
    got = ops.binary_cross_entropy(*(engine.tensor(v) for v in (P, Q, w)), reduction="none")
    np.testing.assert_allclose(got.numpy(), w * PAIRS["bce"][1](P, Q), rtol=1e-9)


def test_dtypes_promote_and_sizes_warn():
    assert ops.mse_loss(engine.ones(2), engine.zeros(2, dtype=engine.float64)).dtype is engine.float64
    with pytest.warns(UserWarning, match="different to the input size"):
        assert ops.mse_loss(engine.ones(2, 3), engine.zeros(3)).item() == 1
    with pytest.raises(ValueError, match="is not a valid value for reduction"):
        ops.mse_loss(engine.ones(2), engine.ones(2), reduction="max")


def log_softmax(x):
    x = np.moveaxis(x, 1, -1)
    top = x - x.max(-1, keepdims=True)
    return top - np.log(np.exp(top).sum(-1, keepdims=True))


def reference(x, target, weight, ignore, smoothing):
    """Loss of each row and its weight, by the definition."""
    logs = log_softmax(x)
    classes = logs.shape[-1]
    weight = np.ones(classes) if weight is None else weight
    rows, weights = np.zeros(target.shape), np.zeros(target.shape)
    for at in np.ndindex(*target.shape):
        if target[at] != ignore:
            weights[at] = weight[target[at]]
            smooth = -(logs[at] * weight).sum() * smoothing / classes
            rows[at] = -(1 - smoothing) * weights[at] * logs[at][target[at]] + smooth
    return rows, weights


@pytest.mark.parametrize("shape", [(5, 4), (2, 4, 3), (2, 4, 2, 3)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(shape, weighted, smoothing):
    x = RNG.standard_normal(shape)
    target = RNG.integers(0, 4, (shape[0], *shape[2:]))
    target.flat[1] = -1
    weight = RNG.uniform(0.5, 2, 4) if weighted else None
    rows, weights = reference(x, target, weight, -1, smoothing)
    args = (engine.tensor(x), engine.tensor(target), None if weight is None else engine.tensor(weight))
    options = {"ignore_index": -1, "label_smoothing": smoothing}
    wanted = {"none": rows, "sum": rows.sum(), "mean": rows.sum() / weights.sum()}
    for reduction, want in wanted.items():
        got = ops.cross_entropy(*args, reduction=reduction, **options)
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-9)
    if smoothing == 0:
        logs = engine.tensor(np.moveaxis(log_softmax(x), -1, 1).copy())
        for reduction, want in wanted.items():
            got = ops.nll_loss(logs, *args[1:], reduction=reduction, ignore_index=-1)
            np.testing.assert_allclose(got.numpy(), want, rtol=1e-9)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_cross_entropy_derivatives(reduction):
    x = RNG.standard_normal((3, 3))
    target, weight = engine.tensor([2, -100, 0]), engine.tensor([0.5, 1.0, 2.0], dtype=engine.float64)
    for smoothing in (0.0, 0.2):
        check_gradients(
            lambda t, s=smoothing: ops.cross_entropy(t, target, weight, reduction=reduction, label_smoothing=s), x
        )
    check_gradients(lambda t: ops.nll_loss(t, target, weight, reduction=reduction), x)


def test_class_probabilities():
    x, y, w = RNG.standard_normal((3, 4)), RNG.dirichlet(np.ones(4), 3), RNG.uniform(0.5, 2, 4)
    rows = -(log_softmax(x) * (y * 0.9 + 0.025) * w).sum(1)
    args = [engine.tensor(v) for v in (x, y, w)]
    np.testing.assert_allclose(ops.cross_entropy(*args, label_smoothing=0.1).item(), rows.mean(), rtol=1e-9)
    np.testing.assert_allclose(ops.cross_entropy(*args, label_smoothing=0.1, reduction="none").numpy(), rows, rtol=1e-9)
    check_gradients(lambda x, y: ops.cross_entropy(x, y), x[:2], y[:2])


def test_extreme_scores_stay_finite():
    x = engine.tensor([[1e4, -1e4, 0.0]]).requires_grad_(True)
    loss = ops.cross_entropy(x, engine.tensor([1]))
    assert loss.item() == 2e4
    (g,) = engine.autograd.grad(loss, x)
    assert g.tolist() == [[1.0, -1.0, 0.0]]


def test_nothing_counts():
    x = engine.ones(2, 3)
    assert np.isnan(ops.cross_entropy(x, engine.tensor([-100, -100])).item())
    assert ops.cross_entropy(x, engine.tensor([-100, -100]), reduction="sum").item() == 0


@pytest.mark.parametrize(
    ("shape", "target", "options", "kind", "text"),
    [
        ((3, 5), [0, 1], {}, ValueError, "batch_size \\(3\\) to match target batch_size \\(2\\)"),
        ((3, 5), [0, 1, 7], {}, IndexError, "Target 7 is out of bounds"),
        ((3, 5), [0, 1, -7], {}, IndexError, "Target -7 is out of bounds"),
        ((2, 5, 4), np.zeros((2, 3), int), {}, RuntimeError, "Expected target size \\[2, 4\\], got \\[2, 3\\]"),
        ((2, 5, 4, 4), np.zeros((2, 4), int), {}, RuntimeError, "only batches of spatial targets"),
        ((3, 5), [0.0, 1.0, 2.0], {}, RuntimeError, "expected target dtype to be Long or Byte"),
        ((3, 5), [0, 1, 2], {"weight": engine.ones(4)}, RuntimeError, "either for all 5 classes or no classes"),
        ((3, 5), [0, 1, 2], {"label_smoothing": 1.5}, RuntimeError, "label_smoothing must be between"),
    ],
)
def test_refusals(shape, target, options, kind, text):
    with pytest.raises(kind, match=text):
        ops.cross_entropy(engine.ones(shape), engine.tensor(target), **options)


def test_a_class_out_of_range_on_the_device_is_reported_when_waiting():
    target = engine.tensor([1, 2]) * 3
    with pytest.raises(IndexError):
        ops.cross_entropy(engine.ones(2, 5), target).item()
