"""Convolution kernels against a direct NumPy sum in float64."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from launching import device_caps, run_calls

from engine import dtypes
from engine.graph.library.conv import (
    ConvProblem,
    candidates,
    choose,
    conv_forward,
    conv_grad_input,
    conv_grad_weight,
    reference,
    winograd,
    winograd_weight,
)

BUILD = {"FORWARD": conv_forward, "INPUT": conv_grad_input, "WEIGHT": conv_grad_weight}
TOLERANCE = {"float32": 3e-6, "float64": 1e-14, "float16": 1e-3, "bfloat16": 8e-3}


def _taps(p: ConvProblem):
    """(tap index, slices of the padded input it reads) for every kernel position."""
    for tap in itertools.product(*map(range, p.kernel)):
        cut = tuple(
            slice(k * d, k * d + (o - 1) * s + 1, s)
            for k, d, s, o in zip(tap, p.dilation, p.stride, p.out_size, strict=True)
        )
        yield tap, cut


def _padded_size(p: ConvProblem) -> tuple[int, ...]:
    return tuple(n + lo + hi for n, (lo, hi) in zip(p.in_size, p.padding, strict=True))


def _inner(p: ConvProblem):
    return (slice(None), slice(None), *(slice(lo, lo + n) for n, (lo, _) in zip(p.in_size, p.padding, strict=True)))


def oracle(op: str, p: ConvProblem, x: np.ndarray, w: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """The sums of the definition, in float64, a kernel position at a time."""
    padded = np.zeros((p.batch, p.in_channels, *_padded_size(p)))
    padded[_inner(p)] = x
    y, dpad, dw = np.zeros(dy.shape), np.zeros_like(padded), np.zeros(w.shape)
    for g in range(p.groups):
        ic = slice(g * p.group_in, (g + 1) * p.group_in)
        oc = slice(g * p.group_out, (g + 1) * p.group_out)
        for tap, cut in _taps(p):
            at = (slice(None), ic, *cut)
            wt = w[(oc, slice(None), *tap)]
            y[:, oc] += np.einsum("oi,ni...->no...", wt, padded[at])
            dpad[at] += np.einsum("oi,no...->ni...", wt, dy[:, oc])
            pixels = tuple(range(2, dy.ndim))
            dw[(oc, slice(None), *tap)] = np.tensordot(dy[:, oc], padded[at], ((0, *pixels), (0, *pixels)))
    return {"FORWARD": y, "INPUT": dpad[_inner(p)], "WEIGHT": dw}[op]


def _data(p: ConvProblem, name: str, seed: int = 0):
    """x, w, dy in float64, exactly as stored in the dtype."""
    rng = np.random.default_rng(seed)
    d = dtypes.NAMESPACE[name]
    shapes = (
        (p.batch, p.in_channels, *p.in_size),
        (p.out_channels, p.group_in, *p.kernel),
        (p.batch, p.out_channels, *p.out_size),
    )
    draw = rng.standard_normal if d.is_floating_point else lambda s: rng.integers(0, 9, s)
    stored = [dtypes.to_storage(np.asarray(draw(s), np.float64 if d.is_floating_point else None), d) for s in shapes]
    return stored, [np.asarray(dtypes.from_storage(s, d), np.float64) for s in stored]


def check(op: str, p: ConvProblem, name: str, caps, variant: str | None = None, **options) -> None:
    """One launch against the oracle."""
    d = dtypes.NAMESPACE[name]
    (x, w, dy), exact = _data(p, name)
    want = oracle(op, p, *exact)
    operands = {"FORWARD": {"x": x, "w": w}, "INPUT": {"dy": dy, "w": w}, "WEIGHT": {"x": x, "dy": dy}}[op]
    operands["out"] = np.full(want.shape, 77).astype(d.numpy)
    calls = BUILD[op](caps, d, p, variant=variant, **options)
    got = np.asarray(dtypes.from_storage(run_calls(calls, operands)["out"], d), np.float64)
    if d.is_floating_point:
        scale = np.abs(want).max() + 1e-30
        tolerance = 1e-5 if options else TOLERANCE[name]
        assert np.abs(got - want).max() <= tolerance * scale, (op, variant, p)
    else:
        np.testing.assert_array_equal(got, want.astype(d.numpy).astype(np.float64))


def plain(batch, cin, cout, size, kernel, stride=1, padding=0, dilation=1, groups=1) -> ConvProblem:
    """A problem with equal values in all dimensions."""
    n = len(size)
    pad = padding if isinstance(padding, tuple) else (padding, padding)
    return ConvProblem(batch, cin, cout, size, (kernel,) * n, (stride,) * n, (pad,) * n, (dilation,) * n, groups)


PROBLEMS = {
    "3x3": plain(2, 5, 9, (13, 17), 3, padding=1),
    "1x1": plain(3, 19, 21, (7, 7), 1),
    "1x1 stride": plain(2, 6, 11, (9, 8), 1, stride=2),
    "7x7 stride": plain(1, 3, 10, (31, 29), 7, stride=2, padding=3),
    "tiny images": plain(7, 4, 5, (3, 2), 3, padding=1),
    "leftover": plain(2, 3, 4, (12, 11), 3, stride=3),
    "dilated": plain(2, 4, 6, (15, 20), 3, padding=2, dilation=2),
    "dilated stride": plain(1, 4, 6, (19, 22), 3, stride=2, padding=3, dilation=3),
    "asymmetric": ConvProblem(2, 3, 7, (10, 14), (4, 3), (1, 2), ((0, 2), (2, 0)), (1, 1), 1),
    "mixed": ConvProblem(2, 4, 6, (11, 23), (2, 5), (3, 1), ((1, 0), (1, 3)), (2, 1), 2),
    "pad beyond kernel": plain(1, 2, 3, (6, 5), 2, padding=3),
    "groups": plain(2, 12, 20, (9, 9), 3, padding=1, groups=4),
    "transposed": plain(2, 8, 6, (16, 16), 4, stride=2, padding=1),
    "output padding": plain(2, 4, 3, (17, 16), 3, stride=2, padding=1),
    "patches": plain(2, 3, 13, (12, 16), 4, stride=4),
    "unreached": plain(1, 2, 3, (9, 9), 1, stride=4),
    "1d": plain(3, 6, 8, (101,), 5, padding=2),
    "1d stride": plain(2, 5, 4, (64,), 4, stride=2, padding=(1, 2), dilation=2),
    "3d": plain(2, 3, 5, (5, 6, 7), 3, padding=1),
    "3d stride": plain(1, 2, 4, (6, 9, 8), 2, stride=2, groups=2),
    "depthwise": plain(2, 6, 6, (15, 21), 3, padding=1, groups=6),
    "depthwise stride": plain(2, 5, 5, (16, 19), 5, stride=2, padding=2, groups=5),
    "depthwise multiplier": plain(2, 3, 6, (11, 9), 3, padding=2, dilation=2, groups=3),
    "depthwise 1d": plain(2, 4, 4, (300,), 7, padding=3, groups=4),
    "depthwise 7x7": plain(2, 5, 5, (14, 14), 7, padding=3, groups=5),
    "depthwise 5x5": plain(1, 3, 3, (9, 70), 5, padding=(1, 3), groups=3),
    "few channels": plain(3, 2, 6, (17, 33), 5, padding=2),
    "few channels out": ConvProblem(2, 6, 2, (20, 9), (3, 2), (1, 1), ((2, 1), (0, 3)), (1, 2), 1),
    "small groups": plain(2, 12, 8, (8, 40), 3, padding=1, groups=4),
    "depthwise 3d": plain(1, 3, 3, (4, 5, 6), 3, padding=1, groups=3),
}


@pytest.mark.parametrize("op", BUILD)
@pytest.mark.parametrize("label", PROBLEMS)
def test_every_variant(op, label):
    p = PROBLEMS[label]
    caps = device_caps()
    for variant in candidates(caps, dtypes.float32, p, op, winograd=False):
        check(op, p, "float32", caps, variant)


@pytest.mark.parametrize("label", PROBLEMS)
def test_numpy_form(label):
    p = PROBLEMS[label]
    _, (x, w, dy) = _data(p, "float64")
    for op, got in (
        ("FORWARD", reference.forward(p, x, w)),
        ("INPUT", reference.grad_input(p, dy, w)),
        ("WEIGHT", reference.grad_weight(p, x, dy)),
    ):
        want = oracle(op, p, x, w, dy)
        np.testing.assert_allclose(got.reshape(want.shape), want, atol=1e-10)


@pytest.mark.parametrize("width", [4, 8, 16])
@pytest.mark.parametrize("op", BUILD)
def test_winograd(op, width):
    caps = device_caps(kind="cpu", float_vector_width=width, software=False)
    if caps.local_mem_size < 64 << 10 and width == 16:
        pytest.skip("the products of a tile block do not fit")
    wide = plain(2, 33, 42, (30, 27), 3, padding=1)
    assert choose(caps, dtypes.float32, plain(8, 64, 64, (56, 56), 3, padding=1), op, winograd=True) == "winograd"
    assert choose(caps, dtypes.float32, plain(8, 64, 64, (56, 56), 3, padding=1), op) == "direct"
    for p in (wide, PROBLEMS["3x3"], PROBLEMS["tiny images"], plain(1, 4, 9, (6, 7), 3, padding=(0, 2))):
        check(op, p, "float32", caps, "winograd", winograd=True)
    if op != "WEIGHT":
        for d, pad in ((2, 2), (3, 1)):
            check(op, plain(2, 5, 9, (13, 27), 3, padding=pad, dilation=d), "float32", caps, "winograd", winograd=True)


@pytest.mark.parametrize("op", BUILD)
@pytest.mark.parametrize("channels", [16, 128, 512])
def test_winograd_is_accurate(op, channels):
    """The largest error stays far below 1e-4 of the output's scale, whatever the number of channels."""
    p = (
        plain(1, 16, channels, (12, 12), 3, padding=1)
        if op == "INPUT"
        else plain(1, channels, 16, (12, 12), 3, padding=1)
    )
    (x, w, dy), exact = _data(p, "float32")
    want = oracle(op, p, *exact)
    operands = {"FORWARD": {"x": x, "w": w}, "INPUT": {"dy": dy, "w": w}, "WEIGHT": {"x": x, "dy": dy}}[op]
    calls = BUILD[op](device_caps(), dtypes.float32, p, variant="winograd")
    got = run_calls(calls, {**operands, "out": np.zeros(want.shape, np.float32)})["out"]
    assert np.abs(got - want).max() < 1.5e-5 * want.std()


@pytest.mark.parametrize("op", BUILD)
def test_winograd_in_slabs(op, monkeypatch):
    monkeypatch.setattr(winograd, "_SLAB", 36 * 9 * 40)
    monkeypatch.setattr(winograd_weight, "_SLAB", 36 * 9 * 100)
    p = plain(3, 9, 10, (39, 42), 3, padding=1)
    assert len(BUILD[op](device_caps(), dtypes.float32, p, variant="winograd")) > 4
    check(op, p, "float32", device_caps(), "winograd", winograd=True)


@pytest.mark.parametrize("name", ["float64", "float16", "bfloat16", "int32", "int64", "uint8"])
@pytest.mark.parametrize("op", BUILD)
def test_dtypes(op, name):
    if name == "float64" and not device_caps().fp64:
        pytest.skip("no float64 on this device")
    for label in ("3x3", "mixed", "depthwise stride", "1d stride", "output padding"):
        check(op, PROBLEMS[label], name, device_caps())


@pytest.mark.parametrize("width", [4, 8, 16])
@pytest.mark.parametrize("op", BUILD)
def test_vector_widths(op, width):
    caps = device_caps(kind="cpu", float_vector_width=width)
    for label in ("3x3", "7x7 stride", "tiny images", "depthwise", "transposed"):
        check(op, PROBLEMS[label], "float32", caps)


@pytest.mark.parametrize("op", BUILD)
def test_little_local_memory(op):
    caps = device_caps(kind="cpu", float_vector_width=8, local_mem_size=32 << 10)
    for p in (PROBLEMS["3x3"], PROBLEMS["depthwise"], plain(1, 70, 30, (6, 6), 5, padding=2)):
        check(op, p, "float32", caps)


@pytest.mark.parametrize("op", BUILD)
def test_rows_in_tiles(op):
    caps = device_caps(kind="cpu", local_mem_size=(192 if op == "WEIGHT" else 32) << 10)
    for p in (
        plain(1, 2, 3, (60, 90), 7, padding=3),
        plain(1, 4, 2, (30, 300), 3, padding=1),
        plain(1, 1, 1, (9, 9), 3),
    ):
        check(op, p, "float32", caps, "rows")
        check(op, p, "float64", caps, "rows") if caps.fp64 else None
    check(op, plain(1, 4, 2, (30, 45), 3, padding=1), "bfloat16", caps, "rows")
    check(op, plain(2, 4, 4, (30, 45), 5, padding=1, groups=2), "float16", device_caps(kind="cpu"), "rows")


@pytest.mark.parametrize("op", BUILD)
def test_kernels_larger_than_the_buffers(op):
    caps = device_caps(kind="cpu", float_vector_width=8, local_mem_size=32 << 10)
    for p in (plain(2, 2, 3, (1300,), 700, padding=20), plain(1, 2, 3, (30, 41), 26, padding=3)):
        in_pieces = op != "WEIGHT" and not caps.software
        assert choose(caps, dtypes.float32, p, op) == ("direct" if in_pieces else "tiled")
        check(op, p, "float32", caps)


@pytest.mark.parametrize("op", BUILD)
def test_gpu_schedule(op):
    caps = device_caps(kind="gpu", local_mem_size=32 << 10, max_work_group_size=256, local_mem_is_real=True)
    for label in ("3x3", "mixed", "groups", "3d", "output padding"):
        assert choose(caps, dtypes.float32, PROBLEMS[label], op) == "tiled"
        check(op, PROBLEMS[label], "float32", caps)
    check(op, PROBLEMS["3x3"], "float32", replace(caps, max_work_group_size=64))
    check(op, PROBLEMS["mixed"], "bfloat16", caps)


EPILOGUE = """
#define EPILOGUE_PARAMS , __global const float *ep_bias
#define EPILOGUE(c, n, oc, pix0, npix)                                   \\
    for (int ep_i = 0; ep_i < (npix); ep_i++) {                           \\
        float ep_v = (c)[ep_i] + ep_bias[((n) * CHANNELS + (oc)) * PIXELS + (pix0) + ep_i]; \\
        (c)[ep_i] = ep_v > 0 ? ep_v : 0;                                  \\
    }
"""


@pytest.mark.parametrize(
    "label",
    ["3x3", "tiny images", "dilated", "groups", "depthwise stride", "depthwise 7x7", "few channels", "3d", "1d", "1x1"],
)
def test_epilogue_sees_every_output_once(label):
    p = PROBLEMS[label]
    (x, w, dy), exact = _data(p, "float32")
    added = np.random.default_rng(1).standard_normal(dy.shape).astype(np.float32)
    y = oracle("FORWARD", p, *exact)
    want = np.maximum(y + added, 0)
    text = f"#define CHANNELS {p.out_channels}\n#define PIXELS {p.out_pixels}\n{EPILOGUE}"
    more = ["winograd"] if label in ("3x3", "tiny images", "dilated") else []
    for variant in candidates(device_caps(), dtypes.float32, p) + more:
        calls = conv_forward(device_caps(), dtypes.float32, p, epilogue=True, variant=variant)
        assert [c.epilogue for c in calls].count(True) == 1
        got = run_calls(calls, {"x": x, "w": w, "out": np.zeros_like(dy)}, prefix=text, extra=(added,))["out"]
        tolerance = 1e-5 if variant == "winograd" else 3e-6
        np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * np.abs(y).max(), err_msg=variant)


def test_batch_of_zero_taps_gives_zero_gradient():
    p = PROBLEMS["unreached"]
    (_, w, dy), _ = _data(p, "float32")
    calls = conv_grad_input(device_caps(), dtypes.float32, p)
    got = run_calls(calls, {"dy": dy, "w": w, "out": np.ones((1, 2, 9, 9), np.float32)})["out"]
    reached = np.zeros((9, 9), bool)
    reached[::4, ::4] = True
    assert (got[:, :, ~reached] == 0).all()
    assert (got[:, :, reached] != 0).all()


def test_long_sums_are_accurate():
    """A hundred thousand terms: the error of blocked sums stays near one unit in the last place of the scale."""
    p = plain(32, 1, 8, (56, 56), 3, padding=1)
    check("WEIGHT", p, "float32", device_caps())


def test_programs_do_not_depend_on_sizes():
    caps = device_caps(kind="cpu", software=False)
    for op, build in BUILD.items():
        small = {c.options for c in build(caps, dtypes.float32, plain(1, 40, 48, (9, 13), 3, padding=1))}
        large = {c.options for c in build(caps, dtypes.float32, plain(8, 64, 128, (56, 56), 3, padding=1))}
        assert small == large, op
