"""Convolutions against the definition, derivatives against central differences."""

import itertools

import numpy as np
import pytest
from numeric import check_gradients

import engine
from engine import ops

RNG = np.random.default_rng(11)


def correlate(x, w, stride, pads, dilation, groups):
    """The defining sum; ``pads``: (before, after) a dimension."""
    x = np.pad(x, [(0, 0), (0, 0), *pads])
    spatial = [(n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], w.shape[2:], stride, dilation)]
    out = np.zeros((x.shape[0], w.shape[0], *spatial))
    per_in, per_out = w.shape[1], w.shape[0] // groups
    for o in range(w.shape[0]):
        part = x[:, o // per_out * per_in : (o // per_out + 1) * per_in]
        for at in itertools.product(*(range(n) for n in spatial)):
            window = part[
                (slice(None), slice(None), *(
                    slice(i * s, i * s + d * (k - 1) + 1, d) for i, s, d, k in zip(at, stride, dilation, w.shape[2:])
                ))
            ]  # fmt: skip
            out[(slice(None), o, *at)] = (window * w[o]).sum(tuple(range(1, window.ndim)))
    return out


CASES = [
    ((2, 3, 7), (4, 3, 3), {}),
    ((2, 4, 8), (6, 2, 3), {"stride": 2, "padding": 1, "groups": 2}),
    ((2, 3, 6, 7), (4, 3, 3, 2), {"padding": (1, 0)}),
    ((1, 4, 7, 8), (6, 2, 3, 3), {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}),
    ((2, 4, 6, 6), (8, 1, 3, 3), {"padding": 1, "groups": 4}),
    ((2, 4, 5, 5), (6, 4, 1, 1), {}),
    ((1, 2, 5, 6), (3, 2, 4, 3), {"padding": "same"}),
    ((1, 2, 4, 5, 3), (3, 2, 2, 3, 2), {"stride": (1, 2, 1), "padding": 1}),
]


def expand(value, n):
    return tuple(value) if isinstance(value, tuple) else (value,) * n


def paddings(options, w, n):
    if options.get("padding") == "same":
        totals = [d * (k - 1) for k, d in zip(w.shape[2:], expand(options.get("dilation", 1), n))]
        return [(t // 2, t - t // 2) for t in totals]
    return [(p, p) for p in expand(options.get("padding", 0), n)]


@pytest.mark.parametrize(("xs", "ws", "options"), CASES, ids=str)
def test_values(xs, ws, options):
    n = len(xs) - 2
    x, w, b = RNG.standard_normal(xs), RNG.standard_normal(ws), RNG.standard_normal(ws[0])
    stride, dilation = (expand(options.get(k, 1), n) for k in ("stride", "dilation"))
    want = correlate(x, w, stride, paddings(options, w, n), dilation, options.get("groups", 1))
    want += b.reshape((-1,) + (1,) * n)
    conv = getattr(ops, f"conv{n}d")
    got = conv(*(engine.tensor(v) for v in (x, w, b)), **options)
    assert got.is_contiguous()
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-9, atol=1e-10)
    got = conv(*(engine.tensor(v.astype(np.float32)) for v in (x, w, b)), **options)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("xs", "ws", "options"), CASES[:4], ids=str)
def test_transposed_is_the_adjoint(xs, ws, options):
    """sum(conv(x) y) = sum(x conv_transpose(y)), the output padding making up for what the stride skips."""
    n = len(xs) - 2
    x, w = RNG.standard_normal(xs), RNG.standard_normal(ws)
    y = getattr(ops, f"conv{n}d")(engine.tensor(x), engine.tensor(w), **options)
    up = RNG.standard_normal(tuple(y.shape))
    stride, dilation = (expand(options.get(k, 1), n) for k in ("stride", "dilation"))
    pads = expand(options.get("padding", 0), n)
    full = [(o - 1) * s - 2 * p + d * (k - 1) + 1 for o, s, p, d, k in zip(y.shape[2:], stride, pads, dilation, ws[2:])]
    extra = tuple(a - b for a, b in zip(xs[2:], full))
    back = getattr(ops, f"conv_transpose{n}d")(
        engine.tensor(up), engine.tensor(w), None, stride, pads, extra, options.get("groups", 1), dilation
    )
    assert tuple(back.shape) == xs
    np.testing.assert_allclose((back.numpy() * x).sum(), (up * y.numpy()).sum(), rtol=1e-9)


def test_derivatives():
    x, w, b = RNG.standard_normal((1, 2, 4, 3)), RNG.standard_normal((2, 1, 2, 2)), RNG.standard_normal(2)
    check_gradients(lambda *t: ops.conv2d(*t, stride=(2, 1), padding=1, groups=2), x, w, b)
    check_gradients(lambda *t: ops.conv_transpose2d(*t, stride=2, padding=1, output_padding=1, groups=2), x, w, b)
    check_gradients(lambda *t: ops.conv1d(*t, dilation=2), x[:, :, :, 0], w[:, :, 0].repeat(2, 1))


def test_without_batch_or_elements():
    w = engine.ones(4, 3, 3, 3)
    assert ops.conv2d(engine.ones(3, 5, 5), w).shape == (4, 3, 3)
    assert ops.conv2d(engine.ones(0, 3, 5, 5), w).shape == (0, 4, 3, 3)
    empty = ops.conv2d(engine.ones(1, 0, 5, 5), engine.ones(2, 0, 3, 3), engine.tensor([1.0, 2.0]))
    assert empty[:, :, 0, 0].tolist() == [[1.0, 2.0]]


def test_transposed_operands_and_views():
    x, w = RNG.standard_normal((2, 6, 6, 3)), RNG.standard_normal((4, 3, 3, 3))
    seen = engine.tensor(x).permute(0, 3, 1, 2)[:, :, 1:]
    got = ops.conv2d(seen, engine.tensor(w))
    want = correlate(np.moveaxis(x, 3, 1)[:, :, 1:], w, (1, 1), [(0, 0)] * 2, (1, 1), 1)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"w": (4, 5, 3, 3)}, "expected input\\[2, 3, 8, 8\\] to have 5 channels, but got 3"),
        ({"w": (4, 3, 9, 9)}, "Kernel size can't be greater than actual input size"),
        ({"x": (3, 3)}, "Expected 3D \\(unbatched\\) or 4D \\(batched\\) input to conv2d"),
        ({"b": 5}, "expected bias to be 1-dimensional with 4 elements"),
        ({"groups": 2}, "expected input\\[2, 3, 8, 8\\] to have 6 channels"),
        ({"stride": 0}, "non-positive stride"),
        ({"padding": -1}, "negative padding"),
        ({"padding": "same", "stride": 2}, "padding='same' is not supported for strided"),
        ({"padding": "all"}, "Invalid padding string"),
        ({"stride": (1, 2, 3)}, "list of 2 values to match the convolution dimensions"),
    ],
)
def test_refusals(options, text):
    options = dict(options)
    x, w = engine.ones(options.pop("x", (2, 3, 8, 8))), engine.ones(options.pop("w", (4, 3, 3, 3)))
    b = engine.ones(options.pop("b")) if "b" in options else None
    with pytest.raises(RuntimeError, match=text):
        ops.conv2d(x, w, b, **options)


def test_transposed_refusals():
    x, w = engine.ones(2, 3, 8), engine.ones(3, 5, 3)
    with pytest.raises(RuntimeError, match="output padding must be smaller than either stride or dilation"):
        ops.conv_transpose1d(x, w, output_padding=2)
    with pytest.raises(RuntimeError, match="to have 4 channels"):
        ops.conv_transpose1d(x, engine.ones(4, 5, 3))


def test_winograd_can_be_switched_off() -> None:
    x, w = engine.randn(4, 64, 28, 28), engine.randn(64, 64, 3, 3)
    assert engine.backends.opencl.winograd
    with engine.backends.opencl.flags(winograd=False):
        assert not engine.config.conv_winograd
        direct = engine.nn.functional.conv2d(x, w, padding=1)
    fast = engine.nn.functional.conv2d(x, w, padding=1)
    assert engine.backends.opencl.winograd
    assert (direct - fast).abs().max().item() < 5e-5 * direct.std().item()
