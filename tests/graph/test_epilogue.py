"""Pointwise work on a product's or a convolution's result runs in its kernel: values and kernel counts."""

from __future__ import annotations

from math import erf

import numpy as np
import pytest

import engine as torch
import engine.nn.functional as F
from engine import nn


def launches(program):
    """(kernels of the first run, the result)"""
    torch.synchronize()
    before = torch.launch_count()
    out = program()
    torch.synchronize()
    return torch.launch_count() - before, out


def normal(*shape, seed=0):
    """A realized tensor and the same in float64."""
    values = np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)
    x = torch.from_numpy(values.copy()).clone()
    torch.synchronize()
    return x, values.astype(np.float64)


def close(got, expected, tolerance=2e-5):
    scale = np.abs(expected).max() + 1
    np.testing.assert_allclose(got.detach().numpy(), expected, atol=tolerance * scale, rtol=0)


def gelu(x):
    return 0.5 * x * (1 + np.vectorize(erf)(x / np.sqrt(2)))


SIZES = [(40, 70, 33), (61, 129, 90), (5, 300, 64), (130, 50, 130), (33, 33, 600)]


@pytest.mark.parametrize(("m", "n", "k"), SIZES)
def test_linear_bias_and_activation_are_one_kernel(m, n, k):
    (x, x_), (w, w_), (b, b_) = normal(m, k), normal(n, k), normal(n)
    plain = x_ @ w_.T + b_
    for function, expected in (
        (lambda y: y, plain),
        (F.relu, np.maximum(plain, 0)),
        (F.gelu, gelu(plain)),
        (F.silu, plain / (1 + np.exp(-plain))),
        (torch.tanh, np.tanh(plain)),
        (torch.sigmoid, 1 / (1 + np.exp(-plain))),
    ):
        count, out = launches(lambda f=function: f(F.linear(x, w, b)))
        assert count == 1
        close(out, expected)


def test_residual_scale_and_row_bias():
    (x, x_), (w, w_), (r, r_), (c, c_) = normal(61, 90), normal(90, 129), normal(61, 129), normal(61, 1)
    count, out = launches(lambda: (x @ w) * 0.5 + r + c)
    assert count == 1
    close(out, x_ @ w_ * 0.5 + r_ + c_)
    count, out = launches(lambda: torch.addmm(r, x, w, beta=0.25, alpha=3.0))
    assert count == 1
    close(out, 0.25 * r_ + 3 * (x_ @ w_))
    close(r, r_)  # the operand is left as it was


def test_a_value_that_is_read_elsewhere_is_kept_as_well():
    (x, x_), (w, w_), (b, b_) = normal(61, 90), normal(90, 129), normal(129)

    def both():
        y = x @ w
        return y, (y + b).relu()

    count, (y, z) = launches(both)
    assert count == 1
    close(y, x_ @ w_)
    close(z, np.maximum(x_ @ w_ + b_, 0))

    def chain():
        y = x @ w + b
        return y, y.tanh(), y.sum(1)

    count, (y, t, s) = launches(chain)
    assert count == 2
    close(y, x_ @ w_ + b_)
    close(t, np.tanh(x_ @ w_ + b_))
    close(s, (x_ @ w_ + b_).sum(1))


def test_one_product_after_another():
    """The second product's epilogue reads the first's result."""
    (x, x_), (w, w_), (v, v_) = normal(61, 90), normal(90, 129), normal(90, 129, seed=5)
    count, out = launches(lambda: torch.sigmoid(x @ w) * (x @ v))
    assert count == 2
    close(out, (x_ @ v_) / (1 + np.exp(-(x_ @ w_))))
    count, out = launches(lambda: (x @ w).relu() @ v.t())
    assert count == 2
    close(out, np.maximum(x_ @ w_, 0) @ v_.T)


def test_a_value_that_needs_the_result_whole_stays_outside():
    (x, x_), (w, w_) = normal(64, 64), normal(64, 64, seed=3)

    def turned():
        y = x @ w
        return y + y.t()

    _, out = launches(turned)
    close(out, x_ @ w_ + (x_ @ w_).T)

    def shifted():
        y = x @ w
        return y - y.sum(1, keepdim=True) / (y * y).sum()

    _, out = launches(shifted)
    y = x_ @ w_
    close(out, y - y.sum(1, keepdims=True) / (y * y).sum())


def test_batches_broadcast_operands_and_scalars():
    (x, x_), (w, w_), (b, b_) = normal(3, 40, 50), normal(3, 50, 60), normal(3, 1, 60)
    mask, mask_ = normal(40, 60)
    count, out = launches(lambda: torch.bmm(x, w) / 7.5 + b + mask)
    assert count == 1
    close(out, x_ @ w_ / 7.5 + b_ + mask_)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int64"])
def test_other_dtypes(dtype):
    kind = getattr(torch, dtype)
    rng = np.random.default_rng(1)
    x_, w_, b_ = (rng.integers(-3, 4, shape).astype(np.float64) for shape in ((61, 90), (90, 129), (129,)))
    try:
        x, w, b = (torch.tensor(v.tolist(), dtype=kind) for v in (x_, w_, b_))
    except RuntimeError as error:
        pytest.skip(str(error))
    torch.synchronize()
    count, out = launches(lambda: x @ w + b)
    assert count == 1
    close(out.to(torch.float32), x_ @ w_ + b_, 4e-3)


def test_cast_of_a_product():
    (x, x_), (w, w_) = normal(61, 90), normal(90, 129)
    count, out = launches(lambda: (x @ w).to(torch.float16))
    assert count == 1 and out.dtype == torch.float16
    close(out.float(), x_ @ w_, 2e-3)


def test_split_products_and_vectors():
    for m, n, k in ((4, 96, 6000), (70, 1, 700), (1, 70, 700), (3, 200, 700)):
        (x, x_), (w, w_), (r, r_) = normal(m, k), normal(k, n), normal(m, n)
        _, out = launches(lambda x=x, w=w, r=r: ((x @ w) + r).relu())
        close(out, np.maximum(x_ @ w_ + r_, 0))


@pytest.mark.parametrize("make", [
    lambda: nn.Conv2d(8, 20, 3, padding=1),
    lambda: nn.Conv2d(8, 20, 1),
    lambda: nn.Conv2d(8, 20, 3, stride=2),
    lambda: nn.Conv2d(8, 8, 3, padding=1, groups=8),
    lambda: nn.Conv2d(8, 16, 3, padding=1, groups=2),
], ids=("3x3", "1x1", "strided", "depthwise", "groups"))  # fmt: skip
def test_convolution_norm_residual_and_relu(make):
    torch.manual_seed(0)
    conv = make()
    norm = nn.BatchNorm2d(conv.out_channels).eval()
    with torch.no_grad():
        for t in (norm.weight, norm.running_mean):
            t.uniform_(-1, 1)
        norm.running_var.uniform_(0.5, 2)
    x, _ = normal(2, 8, 17, 19)
    with torch.no_grad():
        y = conv(x)
        torch.synchronize()
        residual = torch.randn_like(y)
        torch.synchronize()
        parts = norm(y) + residual
        torch.synchronize()
        expected = parts.relu().numpy()
        count, out = launches(lambda: (norm(conv(x)) + residual).relu())
    assert count <= 2  # some lay their weights out first
    close(out, expected)


def test_training_gradients():
    """Values kept for the backward pass are those of the forward pass."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(70, 130), nn.Tanh(), nn.Linear(130, 40))
    (x, x_), (g, g_) = normal(50, 70), normal(50, 40)
    x.requires_grad_()
    net(x).backward(g)
    (w1, b1), (w2, _) = (([p.detach().numpy().astype(np.float64) for p in net[i].parameters()]) for i in (0, 2))
    h = np.tanh(x_ @ w1.T + b1)
    dh = g_ @ w2 * (1 - h * h)
    close(net[2].weight.grad, g_.T @ h)
    close(net[0].weight.grad, dh.T @ x_)
    close(net[0].bias.grad, dh.sum(0))
    close(x.grad, dh @ w1)


def test_numbers_that_change_are_no_new_program():
    (x, x_), (w, w_) = normal(61, 90), normal(90, 129)
    for factor in (2.0, 3.0):
        close((x @ w) * factor, x_ @ w_ * factor)
