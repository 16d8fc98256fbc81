"""The attention kernels against NumPy: sizes around the tiles' edges, strides, masks, parts, vector widths."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from launching import device_caps, run_calls

from engine.graph.library import attention
from engine.graph.library.attention import AttentionProblem

RNG = np.random.default_rng(7)


def reference(p: AttentionProblem, x: dict[str, np.ndarray], g: np.ndarray) -> dict[str, np.ndarray]:
    q, k, v = (x[n].astype(float) for n in "qkv")
    k, v = (np.repeat(t, p.group, 1) for t in (k, v))
    scores = p.scale * q @ k.swapaxes(2, 3)
    if p.mask == "bool":
        scores = np.where(x["mask"], scores, -np.inf)
    elif p.mask:
        scores = scores + x["mask"]
    if p.causal:
        scores = np.where(np.tril(np.ones((p.lq, p.lk), bool)), scores, -np.inf)
    top = scores.max(-1, keepdims=True)
    e = np.exp(scores - np.where(np.isinf(top), 0, top))
    total = e.sum(-1, keepdims=True)
    w = e / np.where(total > 0, total, 1)
    dp = g @ v.swapaxes(2, 3)
    ds = w * (dp - (dp * w).sum(-1, keepdims=True)) * p.scale

    def grouped(t: np.ndarray) -> np.ndarray:
        return t.reshape(p.batch, p.heads // p.group, p.group, *t.shape[2:]).sum(2)

    return {
        "out": w @ v, "dq": ds @ k, "dk": grouped(ds.swapaxes(2, 3) @ q), "dv": grouped(w.swapaxes(2, 3) @ g),
    }  # fmt: skip


def swapped(shape: tuple[int, ...], turned: bool) -> tuple[tuple[int, ...], tuple[int, int, int]]:
    """(shape in memory, steps) of (batch, heads, length, size), heads and length swapped in memory if ``turned``."""
    b, h, n, d = shape
    return ((b, n, h, d), (h * n * d, d, h * d)) if turned else (shape, (h * n * d, n * d, d))


def run(p: AttentionProblem, caps, turned: bool = False, stats: bool = True) -> None:
    key_heads = p.heads // p.group
    shapes = {
        "q": (p.batch, p.heads, p.lq, p.d), "k": (p.batch, key_heads, p.lk, p.d), "v": (p.batch, key_heads, p.lk, p.e),
        "out": (p.batch, p.heads, p.lq, p.e),
    }  # fmt: skip
    shapes |= {"g": shapes["out"], "dq": shapes["q"], "dk": shapes["k"], "dv": shapes["v"]}
    memory, steps = {}, {"mask": (0, 0, 0, 0)}
    for name, shape in shapes.items():
        memory[name], steps[name] = swapped(shape, turned)
    x = {n: RNG.standard_normal(shapes[n]).astype(np.float32) for n in ("q", "k", "v", "g")}
    stored = {n: np.ascontiguousarray(t.swapaxes(1, 2) if turned else t) for n, t in x.items()}
    assert all(stored[n].shape == memory[n] for n in x)
    if p.mask:
        mask = RNG.standard_normal((p.lq, p.lk)).astype(np.float32)
        mask[0] = -np.inf
        x["mask"] = mask > -0.5 if p.mask == "bool" else mask
        stored["mask"] = x["mask"].view(np.uint8) if p.mask == "bool" else mask
        steps["mask"] = (0, 0, p.lk, 1)
    want = reference(p, x, x["g"].astype(float))
    blank = {n: np.full(memory[n], 7, np.float32) for n in ("out", "dq", "dk", "dv")}
    blank["stats"] = np.zeros((2, p.batch, p.heads, p.lq), np.float32)
    calls = attention.attention_forward(caps, p, steps, stats=stats)
    names = {a.name for c in calls for a in c.args if isinstance(a, attention.Operand)}
    got = run_calls(calls, {n: {**stored, **blank}[n] for n in names}, include=attention.TILES)
    check(got["out"], want["out"], turned)
    if stats:
        calls = attention.attention_backward(caps, p, steps)
        got = run_calls(calls, {**stored, **blank, "out": got["out"], "stats": got["stats"]}, include=attention.TILES)
        for name in ("dq", "dk", "dv"):
            check(got[name], want[name], turned)


def check(got: np.ndarray, want: np.ndarray, turned: bool) -> None:
    got = got.swapaxes(1, 2) if turned else got
    np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5 * max(1, abs(want).max()))


SIZES = [(1, 1, 1, 1), (33, 130, 20, 9), (65, 64, 32, 48), (16, 7, 8, 8), (100, 300, 7, 65)]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_sizes(size, causal):
    lq, lk, d, e = size
    run(AttentionProblem(2, 2, 1, lq, lk, d, e, 0.3, causal), device_caps(), turned=causal)


@pytest.mark.parametrize("kind", ["bool", "float32"])
def test_masks(kind):
    run(AttentionProblem(1, 3, 1, 43, 139, 16, 16, 0.25, mask=kind), device_caps())
    run(AttentionProblem(1, 3, 1, 3, 139, 16, 16, 0.25, mask=kind), device_caps(), stats=False)


@pytest.mark.parametrize("turned", [False, True])
def test_grouped_heads(turned):
    run(AttentionProblem(2, 6, 3, 37, 41, 12, 20, 0.3, True), device_caps(), turned)
    run(AttentionProblem(2, 6, 3, 2, 141, 40, 20, 0.3), device_caps(), turned, stats=False)


@pytest.mark.parametrize("size", [(1, 1, 1, 1), (1, 70, 64, 64), (2, 515, 20, 36), (8, 65, 130, 7)])
def test_few_queries(size):
    lq, lk, d, e = size
    for causal in (False, True):
        run(AttentionProblem(2, 1, 1, lq, lk, d, e, 0.3, causal), device_caps(), causal, stats=False)


def test_keys_are_spread_over_many_units():
    caps = device_caps(compute_units=16)
    p = AttentionProblem(1, 2, 1, 70, 700, 16, 16, 0.25, True)
    calls = attention.attention_backward(caps, p, dict.fromkeys(("q", "k", "v", "out", "g", "dq", "dk", "dv"), (0,) * 3)
                                         | {"mask": (0,) * 4})  # fmt: skip
    assert [c.kernel for c in calls] == ["eng_attention_grad", "eng_attention_sum"]
    run(p, caps)
    few = AttentionProblem(1, 2, 2, 2, 900, 16, 16, 0.25, True)
    run(few, caps, stats=False)


@pytest.mark.parametrize("width", [4, 8])
def test_other_vector_widths(width):
    run(AttentionProblem(1, 2, 1, 70, 135, 20, 24, 0.3, True), device_caps(float_vector_width=width))
    run(AttentionProblem(1, 2, 1, 3, 135, 20, 24, 0.3), device_caps(float_vector_width=width), stats=False)


def test_little_local_memory():
    caps = device_caps(local_mem_size=48 << 10)
    assert attention.supports(caps, 32, 32)
    run(AttentionProblem(1, 2, 1, 70, 135, 32, 32, 0.3), caps)
    assert not attention.supports(caps, 512, 512)
    assert not attention.supports(device_caps(kind="gpu"), 32, 32)


def test_cost_is_stated():
    p = AttentionProblem(2, 3, 1, 64, 128, 32, 16, 1.0)
    steps = dict.fromkeys(("q", "k", "v", "out"), (0, 0, 0)) | {"mask": (0, 0, 0, 0)}
    (call,) = attention.attention_forward(device_caps(), p, steps)
    assert call.flops == 2 * prod((2, 3, 64, 128)) * 48
    assert call.nbytes == 4 * 2 * 3 * (64 + 128) * 48
