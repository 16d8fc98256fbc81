"""The scalar functions of generated kernels: error bounds in units of the last place and edge values, against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest

import engine
from engine.graph import mathlib

_erf = np.vectorize(math.erf, otypes=[float])
_erfc = np.vectorize(math.erfc, otypes=[float])


def _sigmoid(x):
    return np.exp(np.minimum(x, 0)) / (1 + np.exp(-np.abs(x)))


# name: (reference, range, bound in ulp for float32, for float64)
_BOUNDS = {
    "exp": (np.exp, (-103, 88.7), 1.5, 1.5),
    "exp2": (np.exp2, (-148, 127.9), 1.5, 1.5),
    "expm1": (np.expm1, (-30, 88.7), 2, 2.5),
    "log": (np.log, (1e-40, 1e30), 1.5, 1.5),
    "log2": (np.log2, (1e-40, 1e30), 2, 1.5),
    "log10": (np.log10, (1e-40, 1e30), 1.5, 1.5),
    "log1p": (np.log1p, (-0.99, 1e6), 2.5, 2.5),
    "tanh": (np.tanh, (-12, 12), 3, 3.5),
    "sigmoid": (_sigmoid, (-87, 50), 3, 3.5),
    "sinh": (np.sinh, (-89, 89), 2.5, 3),
    "cosh": (np.cosh, (-89, 89), 2, 2),
    "asinh": (np.arcsinh, (-1e6, 1e6), 3.5, 3.5),
    "acosh": (np.arccosh, (1.001, 1e6), 3.5, 3.5),
    "atanh": (np.arctanh, (-0.999, 0.999), 3.5, 3.5),
    "sin": (np.sin, (-1e5, 1e5), 2.5, 2.5),
    "cos": (np.cos, (-1e5, 1e5), 2.5, 2.5),
    "tan": (np.tan, (-1e5, 1e5), 4, 4),
    "asin": (np.arcsin, (-1, 1), 3, 3),
    "acos": (np.arccos, (-1, 1), 2, 2),
    "atan": (np.arctan, (-1e4, 1e4), 2, 2),
    "erf": (_erf, (-5, 5), 3.5, 3.5),
    "erfc": (_erfc, (-5, 9), 4, 6),
    "sqrt": (np.sqrt, (0, 1e30), 1, 1),
    "rsqrt": (lambda x: 1 / np.sqrt(x), (1e-30, 1e30), 2, 2),
}


def _dtypes():
    return ["float32", "float64"] if engine.tensor(0.0).device.runtime.caps.fp64 else ["float32"]


def _samples(low: float, high: float, dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    wide = 10.0 ** rng.uniform(-30, math.log10(max(abs(low), abs(high))), 4000)
    x = np.concatenate([rng.uniform(low, high, 4000), rng.uniform(-2, 2, 4000), wide, -wide]).astype(dtype)
    return x[(x >= low) & (x <= high)]


def _ulps(got: np.ndarray, want: np.ndarray) -> np.ndarray:
    """Distance in units of the last place of the wanted value, 0 where both are the same non-finite value."""
    with np.errstate(all="ignore"):
        rounded = want.astype(got.dtype)
        gap = np.spacing(np.abs(np.where(np.isfinite(rounded), rounded, 0))).astype(want.dtype)
        return np.where(np.isfinite(rounded), np.abs(got.astype(want.dtype) - want) / gap, 0)


@pytest.mark.parametrize("name", _BOUNDS)
def test_error_bound(name):
    reference, (low, high), *bounds = _BOUNDS[name]
    for dtype, bound in zip(_dtypes(), bounds):
        x = _samples(low, high, dtype)
        exact = np.float64 if dtype == "float32" or name in ("erf", "erfc") else np.longdouble
        with np.errstate(all="ignore"):
            want = reference(x.astype(exact))
        error = _ulps(getattr(engine, name)(engine.tensor(x)).numpy(), want)
        worst = int(error.argmax())
        assert error[worst] <= bound, f"{name}({x[worst]!r}) in {dtype}: {error[worst]:.2f} ulp"


_INF, _NAN = math.inf, math.nan
_EDGES = {
    "exp": [(_INF, _INF), (-_INF, 0.0), (_NAN, _NAN), (0.0, 1.0), (-0.0, 1.0), (1e4, _INF), (-1e4, 0.0)],
    "exp2": [(_INF, _INF), (-_INF, 0.0), (10.0, 1024.0), (-149.0, 2.0**-149), (_NAN, _NAN)],
    "expm1": [(_INF, _INF), (-_INF, -1.0), (0.0, 0.0), (-0.0, -0.0), (1e-30, 1e-30), (_NAN, _NAN)],
    "log": [(0.0, -_INF), (-0.0, -_INF), (-1.0, _NAN), (_INF, _INF), (-_INF, _NAN), (1.0, 0.0), (_NAN, _NAN)],
    "log2": [(8.0, 3.0), (0.5, -1.0), (0.0, -_INF), (_INF, _INF), (-2.0, _NAN)],
    "log10": [(0.0, -_INF), (1.0, 0.0), (_INF, _INF), (-2.0, _NAN)],
    "log1p": [(-1.0, -_INF), (-2.0, _NAN), (0.0, 0.0), (-0.0, -0.0), (_INF, _INF), (1e-30, 1e-30)],
    "tanh": [(_INF, 1.0), (-_INF, -1.0), (-0.0, -0.0), (_NAN, _NAN), (100.0, 1.0), (1e-20, 1e-20)],
    "sigmoid": [(_INF, 1.0), (-_INF, 0.0), (0.0, 0.5), (_NAN, _NAN)],
    "sinh": [(_INF, _INF), (-_INF, -_INF), (-0.0, -0.0), (_NAN, _NAN)],
    "cosh": [(_INF, _INF), (-_INF, _INF), (0.0, 1.0), (_NAN, _NAN)],
    "asinh": [(_INF, _INF), (-_INF, -_INF), (-0.0, -0.0), (_NAN, _NAN)],
    "acosh": [(1.0, 0.0), (0.5, _NAN), (-5.0, _NAN), (-1e30, _NAN), (_INF, _INF), (_NAN, _NAN)],
    "atanh": [(1.0, _INF), (-1.0, -_INF), (2.0, _NAN), (-0.0, -0.0), (_INF, _NAN)],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (_INF, _NAN), (-_INF, _NAN), (_NAN, _NAN)],
    "cos": [(0.0, 1.0), (_INF, _NAN), (_NAN, _NAN)],
    "tan": [(0.0, 0.0), (-0.0, -0.0), (_INF, _NAN)],
    "asin": [(2.0, _NAN), (-0.0, -0.0), (_NAN, _NAN)],
    "acos": [(1.0, 0.0), (2.0, _NAN), (-1.5, _NAN)],
    "atan": [(-0.0, -0.0), (_NAN, _NAN)],
    "erf": [(_INF, 1.0), (-_INF, -1.0), (-0.0, -0.0), (_NAN, _NAN), (6.0, 1.0)],
    "erfc": [(_INF, 0.0), (-_INF, 2.0), (0.0, 1.0), (_NAN, _NAN), (-7.0, 2.0), (40.0, 0.0)],
    "sqrt": [(-1.0, _NAN), (-0.0, -0.0), (_INF, _INF), (4.0, 2.0)],
    "rsqrt": [(0.0, _INF), (-1.0, _NAN), (_INF, 0.0), (4.0, 0.5)],
    "sign": [(_NAN, _NAN), (-3.0, -1.0), (2.0, 1.0)],
    "round": [(0.5, 0.0), (1.5, 2.0), (2.5, 2.0), (-0.5, -0.0), (_INF, _INF), (_NAN, _NAN)],
    "floor": [(-0.5, -1.0), (-0.0, -0.0), (_INF, _INF)],
    "ceil": [(-0.5, -0.0), (0.2, 1.0)],
    "trunc": [(-1.7, -1.0), (1.7, 1.0), (-0.3, -0.0)],
}


@pytest.mark.parametrize("name", _EDGES)
def test_edge_values(name):
    x, want = (np.array(v) for v in zip(*_EDGES[name]))
    for dtype in _dtypes():
        got = getattr(engine, name)(engine.tensor(x.astype(dtype))).numpy()
        np.testing.assert_array_equal(got, want.astype(dtype), err_msg=f"{name} {dtype}")
        if name not in ("sign", "erf", "erfc"):
            finite = ~np.isnan(want)
            np.testing.assert_array_equal(np.signbit(got[finite]), np.signbit(want[finite]), err_msg=f"{name} {dtype}")


def test_large_angles():
    x = np.array([1e6, 1e10, -1e20, 3.3e38, 6.2831855, 1.1e7, 16367173 * 2.0**72], np.float32)
    for name in ("sin", "cos"):
        got = getattr(engine, name)(engine.tensor(x)).numpy()
        np.testing.assert_allclose(got, getattr(np, name)(x.astype(np.float64)), rtol=5e-7)
    if "float64" in _dtypes():
        y = np.array([1e6, 1e10, -1e20, 1e300, 1.7e308, 2.0**60, 6381956970095103 * 2.0**797])
        np.testing.assert_allclose(engine.sin(engine.tensor(y)).numpy(), np.sin(y), rtol=1e-15)


def test_subnormal_results_and_arguments():
    x = np.array([-90.0, -100.0, -103.0], np.float32)
    np.testing.assert_allclose(engine.exp(engine.tensor(x)).numpy(), np.exp(x.astype(float)), rtol=0, atol=1.5e-45)
    tiny = np.array([1e-45, 1e-40, 1e-38], np.float32)
    np.testing.assert_allclose(engine.log(engine.tensor(tiny)).numpy(), np.log(tiny.astype(float)), rtol=2e-7)


_SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, -1.5, 1e10, -1e10, 1e30, 1e-30, _INF, -_INF, _NAN]


@pytest.mark.parametrize("name, numpy_name", [("pow", "power"), ("atan2", "arctan2"), ("hypot", "hypot")])
def test_pairs(name, numpy_name):
    rng = np.random.default_rng(1)
    a, b = (m.ravel() for m in np.meshgrid(_SPECIAL, _SPECIAL))
    a = np.concatenate([a, rng.uniform(0, 4, 3000), rng.uniform(-9, 9, 500)])
    b = np.concatenate([b, rng.uniform(-60, 60, 3000), rng.integers(-9, 9, 500)])
    for dtype in _dtypes():
        x, y = a.astype(dtype), b.astype(dtype)
        with np.errstate(all="ignore"):
            want = getattr(np, numpy_name)(x.astype(np.float64), y.astype(np.float64))
            rounded = want.astype(dtype)
        got = getattr(engine, name)(engine.tensor(x), engine.tensor(y)).numpy()
        odd = ~np.isfinite(rounded)
        np.testing.assert_array_equal(got[odd], rounded[odd])
        assert _ulps(got, want).max() <= (2.5 if dtype == "float32" else 3)
        np.testing.assert_array_equal(np.signbit(got[rounded == 0]), np.signbit(rounded[rounded == 0]))


@pytest.mark.parametrize("name", ["remainder", "fmod", "floor_divide"])
def test_division_corners(name):
    a, b = (m.ravel() for m in np.meshgrid(_SPECIAL, _SPECIAL))
    keep = (np.abs(a) < 1e20) | ~np.isfinite(a) | (np.abs(b) > 1e-20)
    a, b = a[keep], b[keep]
    for dtype in _dtypes():
        x, y = a.astype(dtype), b.astype(dtype)
        with np.errstate(all="ignore"):
            want = getattr(np, name)(x, y)
        got = getattr(engine, name)(engine.tensor(x), engine.tensor(y)).numpy()
        if name == "floor_divide":  # whole quotients beyond the precision of the dtype are not exact in either
            want, got = want[np.abs(a) < 1e20], got[np.abs(a) < 1e20]
        np.testing.assert_array_equal(got, want)


def test_half_conversions_are_exact():
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    for part in (halves[:32768], halves[32768:]):
        np.testing.assert_array_equal(engine.tensor(part).float().numpy(), part.astype(np.float32))
    # midpoints between neighbours and values beside them: ties go to even
    finite = np.sort(halves[np.isfinite(halves)].astype(np.float64))
    middle = ((finite[1:] + finite[:-1]) / 2).astype(np.float32)
    x = np.concatenate([middle, np.nextafter(middle, np.float32(np.inf)), np.nextafter(middle, np.float32(-np.inf))])
    x = np.concatenate(
        [x, np.array([65504, 65519.996, 65520, 1e9, -1e9, 1e-9, -1e-9, np.inf, -np.inf, np.nan], np.float32)]
    )
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(engine.tensor(x).half().numpy(), x.astype(np.float16))


def test_bfloat16_rounds_to_nearest_even():
    rng = np.random.default_rng(2)
    x = rng.integers(0, 2**32, 20000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([x, np.array([1.00390625, 1.01171875, 3.4e38, np.inf, -np.inf, 1e-40, -0.0], np.float32)])
    x = x[~np.isnan(x)]
    u = x.view(np.uint32).astype(np.uint64)
    want = (((u + 0x7FFF + ((u >> 16) & 1)) >> 16) << 16).astype(np.uint32).view(np.float32)
    got = engine.tensor(x).bfloat16().float().numpy()
    np.testing.assert_array_equal(got, want)
    assert np.isnan(engine.tensor([_NAN]).bfloat16().float().numpy()).all()


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_integer_division_does_not_trap(dtype):
    low = np.iinfo(dtype).min
    a = np.array([7, -7, 7, -7, low, low, 5, 0], dtype)
    b = np.array([2, 2, -2, -2, -1, 2, 3, 3], dtype)
    x, y = engine.tensor(a), engine.tensor(b)
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal((x // y).numpy(), np.floor_divide(a, b))
        np.testing.assert_array_equal((x % y).numpy(), np.remainder(a, b))
        np.testing.assert_array_equal(engine.fmod(x, y).numpy(), np.fmod(a, b))


def test_programs_hold_only_what_they_use():
    text = mathlib.needed("eng_exp_f32(x)")
    assert "eng_exp_by_f32" in text and "eng_log_f32" not in text and "double" not in text
    assert mathlib.needed("float x = a + b;") == ""
    both = mathlib.needed("eng_key_max_##t(x)")
    assert "eng_key_max_f32" in both and "#ifdef ENGINE_FP64" in both
    assert text.index("eng_exp_poly_f32(r)") < text.index("eng_exp_f32(float x)")


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_long_runs_with_and_without_huge_arguments(name):
    x = np.random.default_rng(0).uniform(-1.3e5, 1.3e5, 6000).astype(np.float32)
    x[1000:1400] = np.float32(np.pi) / 2 * np.arange(-200, 200)  # near zeros of either
    x[2000:2008] = [0.0, -0.0, 1e-40, -1e-40, 1e-20, 131072, -131072, 131073]
    x[4096:4102] = [3e38, -1e20, np.inf, -np.inf, np.nan, 1e6]  # these pieces need the whole reduction
    got = getattr(engine, name)(engine.tensor(x)).numpy()
    with np.errstate(invalid="ignore"):
        want = getattr(np, name)(x.astype(np.longdouble))
    assert _ulps(got, want).max() <= 2.5
    assert (np.isnan(got) == np.isnan(want)).all()
    assert (np.signbit(got[2000:2002]) == np.signbit(want[2000:2002])).all()


def test_division_by_a_value_of_the_row_is_exact():
    rng = np.random.default_rng(0)
    special = [0.0, -0.0, 1.0, -3.0, 1e-30, 1e38, -3.4e38, np.inf, -np.inf, np.nan]
    values = np.array(special + list(rng.standard_normal(200) * 10.0 ** rng.uniform(-29, 37, 200)), np.float32)
    divisors = np.concatenate([values[2:], np.float32([0.0, 1e-45, 1e-40, 2e-38, 2.0**126])])
    table = np.broadcast_to(values, (len(divisors), len(values)))
    marks = np.zeros_like(table)
    marks[:, 7] = divisors
    got = (engine.tensor(table.copy()) / engine.tensor(marks).sum(1, keepdim=True)).numpy()
    with np.errstate(all="ignore"):
        want = table / divisors[:, None]
    normal = (np.abs(want) >= 2.0**-126) | (want == 0) | ~np.isfinite(want)
    np.testing.assert_array_equal(got[normal], want[normal])
    np.testing.assert_allclose(got, want, rtol=0, atol=3e-45)


def test_gelu_within_a_float_of_its_argument():
    x = np.concatenate([np.linspace(-14, 14, 20001), [0.0, -0.0, 1e-30, 100.0, -100.0]]).astype(np.float32)
    wide = x.astype(np.float64)
    want = 0.5 * wide * _erfc(-wide * math.sqrt(0.5))
    for dtype, bound in zip(_dtypes(), (1.2e-7, 2e-15)):
        got = engine.nn.functional.gelu(engine.tensor(x.astype(dtype))).numpy()
        assert (np.abs(got - want) <= bound * np.maximum(np.abs(wide), 0.1)).all()
    ends = engine.nn.functional.gelu(engine.tensor([np.inf, -np.inf, np.nan])).numpy()
    assert ends[0] == np.inf and np.isnan(ends[1:]).all()
