"""Resampling kernels against a matrix an axis, built from the definition in float64."""

from __future__ import annotations

import numpy as np
import pytest
from launching import device_caps, run_calls

from engine import dtypes
from engine.graph.library import resample as library
from engine.graph.library.resample import CUBIC, LINEAR, NEAREST, ResampleProblem, reference, resample


def _keys(t: float) -> float:
    t = abs(t)
    a = -0.75
    if t < 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * t**3 - 5 * a * t**2 + 8 * a * t - 4 * a if t < 2 else 0.0


def axis_matrix(kind: int, size: int, out: int, ratio: float, flag: bool) -> np.ndarray:
    """Weights [out, size], an element at a time."""
    m = np.zeros((out, size))
    for o in range(out):
        if kind == NEAREST:
            m[o, min(int((o + (0.5 if flag else 0.0)) * ratio), size - 1)] = 1
            continue
        at = o * ratio if flag else (o + 0.5) * ratio - 0.5
        if kind == LINEAR:
            at = max(at, 0.0)
        low = int(np.floor(at))
        for i in range(low - 1, low + 3):
            weight = max(0.0, 1 - abs(at - i)) if kind == LINEAR else _keys(at - i)
            m[o, min(max(i, 0), size - 1)] += weight
    return m


def expected(p: ResampleProblem, x: np.ndarray, back: bool) -> np.ndarray:
    """``x`` [planes, *spatial] through the matrices of all axes."""
    x = x.astype(np.float64)
    for axis, (size, out, ratio) in enumerate(zip(p.in_size, p.out_size, p.ratio)):
        m = axis_matrix(p.kind, size, out, ratio, p.flag)
        x = np.moveaxis(np.tensordot(m.T if back else m, x, (1, axis + 1)), 0, axis + 1)
    return x


def _problem(kind: int, size: tuple, out: tuple, flag: bool, planes: int = 3, scale: float | None = None):
    if scale is not None:
        ratio = tuple(1 / scale for _ in size)
    elif flag and kind != NEAREST:
        ratio = tuple((s - 1) / (o - 1) if o > 1 else 0.0 for s, o in zip(size, out))
    else:
        ratio = tuple(s / o for s, o in zip(size, out))
    return ResampleProblem(planes, kind, size, out, ratio, flag)


SIZES = [
    ((9,), (23,)),
    ((7, 10), (15, 9)),
    ((28, 5), (3, 31)),
    ((1, 1), (4, 3)),
    ((6, 8), (1, 2)),
    ((3, 4, 5), (5, 3, 11)),
]


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("kind", [NEAREST, LINEAR, CUBIC])
@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
def test_values(schedule, kind, back):
    caps = device_caps(kind=schedule, max_work_group_size=64)
    rng = np.random.default_rng(0)
    for size, out in SIZES:
        for flag in (False, True):
            p = _problem(kind, size, out, flag)
            x = rng.standard_normal((p.planes, *(out if back else size))).astype(np.float32)
            want = expected(p, x, back)
            calls = resample(caps, dtypes.float32, p, back=back)
            got = run_calls(calls, {"x": x, "out": np.full(want.shape, 7, np.float32)})["out"]
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-5, err_msg=str(p))
            np.testing.assert_allclose(reference(p, back, x), want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("name", ["float64", "float16", "bfloat16"])
def test_dtypes(name, back):
    if name == "float64" and not device_caps().fp64:
        pytest.skip("no float64 on this device")
    d = dtypes.NAMESPACE[name]
    p = _problem(LINEAR, (7, 10), (16, 13), False, scale=1.3)
    shape = (p.planes, *(p.out_size if back else p.in_size))
    x = dtypes.to_storage(np.random.default_rng(0).standard_normal(shape), d)
    want = expected(p, np.asarray(dtypes.from_storage(x, d), np.float64), back)
    calls = resample(device_caps(), d, p, back=back)
    got = run_calls(calls, {"x": x, "out": np.zeros(want.shape, x.dtype)})["out"]
    error = np.abs(np.asarray(dtypes.from_storage(got, d), np.float64) - want).max()
    assert error <= {"float64": 1e-14, "float16": 2e-3, "bfloat16": 2e-2}[name] * np.abs(want).max()


@pytest.mark.parametrize("back", [False, True])
def test_rows_in_pieces_and_tables_that_do_not_fit(back):
    caps = device_caps(kind="cpu", local_mem_size=12 << 10)
    kernels = set()
    for size, out in (((5, 900), (4, 1700)), ((3, 1700), (5, 900)), ((1500, 3), (2500, 4))):
        p = _problem(CUBIC, size, out, False)
        x = np.random.default_rng(0).standard_normal((p.planes, *(out if back else size))).astype(np.float32)
        calls = resample(caps, dtypes.float32, p, back=back)
        kernels.add(calls[0].kernel)
        want = expected(p, x, back)
        got = run_calls(calls, {"x": x, "out": np.zeros(want.shape, np.float32)})["out"]
        np.testing.assert_allclose(got, want, rtol=0, atol=3e-3)  # positions are rounded too
    assert kernels == {"eng_resample_rows", "eng_resample_item"}
    assert library.buffers(caps, 4).table * 4 < 12 << 10
