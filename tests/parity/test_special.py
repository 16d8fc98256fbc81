"""torch.special side by side with PyTorch: values, edge values, dtypes, gradients."""

from __future__ import annotations

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch")

_DOUBLE = engine.tensor(0.0).device.runtime.caps.fp64
_DTYPES = ["float32", "float64"] if _DOUBLE else ["float32"]
_EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.5, -3.5, np.inf, -np.inf, np.nan, 1e-20, 1e20, -1e20]
_SINGLE = """airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 digamma entr erf erfc erfcx erfinv exp2 expit expm1
gammaln i0 i0e i1 i1e log1p log_ndtr logit modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1
ndtr ndtri psi round scaled_modified_bessel_k0 scaled_modified_bessel_k1 sinc spherical_bessel_j0""".split()
_SMOOTH = "digamma entr erf erfc erfcx erfinv expit gammaln i0 i0e i1 i1e log_ndtr ndtr ndtri".split()
_POLYNOMIALS = [
    *(f"{s}chebyshev_polynomial_{k}" for s in ("", "shifted_") for k in "tuvw"),
    "hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p",
]  # fmt: skip
# PyTorch's own float64 values of these are right to six digits or so (NumPy and SciPy agree with ours).
_ROUGH = ("airy_ai", "bessel_j0", "bessel_j1", "bessel_y0", "bessel_y1")
# Angles so large that PyTorch's value is noise.
_SKIPPED = {"airy_ai": [1e20, -1e20]}


def _close(got, want, rtol=2e-5, atol=2e-6):
    if not _DOUBLE:
        rtol, atol = max(rtol, 1e-4), max(atol, 1e-4)
    ours = (got.detach().float() if got.dtype is engine.bfloat16 else got.detach()).numpy().astype(np.float64)
    np.testing.assert_allclose(ours, want.detach().double().numpy(), rtol=rtol, atol=atol)


def _tensors(array, **options):
    """The same array on both sides, in single precision on devices without doubles."""
    array = np.asarray(array)
    array = array if _DOUBLE or array.dtype != np.float64 else array.astype(np.float32)
    return engine.tensor(array, **options), torch.tensor(array, **options)


def _inputs(name: str) -> np.ndarray:
    rng = np.random.default_rng(7)
    low, high = {"ndtri": (0.001, 0.999), "erfinv": (-0.999, 0.999), "logit": (0.001, 0.999)}.get(name, (-8.0, 8.0))
    return rng.uniform(low, high, 60)


@pytest.mark.parametrize("name", _SINGLE)
@pytest.mark.parametrize("dtype", _DTYPES)
def test_values(name, dtype):
    edges = [v for v in _EDGES if v not in _SKIPPED.get(name, [])]
    x = np.concatenate([_inputs(name), edges]).astype(dtype)
    got, want = getattr(engine.special, name)(engine.tensor(x)), getattr(torch.special, name)(torch.tensor(x))
    assert str(got.dtype) == str(want.dtype).replace("torch", str(got.dtype).split(".")[0])
    if dtype == "float32" or name in _ROUGH:
        _close(got, want)
    else:
        _close(got, want, 1e-9, 1e-11)


@pytest.mark.parametrize("name", ["gammaln", "digamma", "erfinv", "i0", "i1e", "entr", "erfcx", "ndtri"])
def test_integers_become_floats(name):
    x = [0, 1, 2, 5]
    got, want = getattr(engine.special, name)(engine.tensor(x)), getattr(torch.special, name)(torch.tensor(x))
    _close(got, want)


@pytest.mark.parametrize("name", _SMOOTH)
def test_gradients(name):
    x = _inputs(name)
    x = np.abs(x) if name in ("entr", "gammaln") else x
    a, b = _tensors(x, requires_grad=True)
    got, want = getattr(engine.special, name)(a), getattr(torch.special, name)(b)
    (da,) = engine.autograd.grad(got.sum(), a, create_graph=True)
    (db,) = torch.autograd.grad(want.sum(), b, create_graph=True)
    _close(da, db, 1e-8, 1e-9)
    (dda,) = engine.autograd.grad(da.sum(), a)
    (ddb,) = torch.autograd.grad(db.sum(), b)
    _close(dda, ddb, 1e-6, 1e-7)


def test_no_gradient_where_torch_has_none():
    x = engine.tensor([1.0, 2.0], requires_grad=True)
    assert not engine.special.bessel_j0(x).requires_grad
    assert not engine.special.legendre_polynomial_p(x, 3).requires_grad
    with pytest.raises(NotImplementedError):
        engine.special.gammainc(x, engine.tensor([1.0, 2.0])).sum().backward()


@pytest.mark.parametrize("name", _POLYNOMIALS)
def test_polynomials(name):
    rng = np.random.default_rng(3)
    x, u = _tensors(rng.uniform(-1.5, 1.5, 80))
    n, m = _tensors(rng.integers(-1, 12, 80).astype(float))
    f, g = getattr(engine.special, name), getattr(torch.special, name)
    _close(f(x, n), g(u, m), 1e-9, 1e-9)
    _close(f(x, 4), g(u, 4), 1e-9, 1e-9)
    _close(f(0.3, n), g(0.3, m), 1e-9, 1e-9)


@pytest.mark.parametrize("name", ["gammainc", "gammaincc"])
@pytest.mark.parametrize("dtype", _DTYPES)
def test_incomplete_gamma(name, dtype):
    rng = np.random.default_rng(5)
    a = 10 ** rng.uniform(-2, 3, 300)
    x = a * 10 ** rng.uniform(-1, 1, 300)
    a = np.concatenate([a, [0, 0, 1, 1, np.inf, np.inf, -1, 1, 0, np.nan, 1]]).astype(dtype)
    x = np.concatenate([x, [0, 1, 0, np.inf, 1, np.inf, 1, -1, np.inf, 1, np.nan]]).astype(dtype)
    got = getattr(engine.special, name)(engine.tensor(a), engine.tensor(x))
    want = getattr(torch.special, name)(torch.tensor(a), torch.tensor(x))
    _close(got, want, *((5e-5, 1e-5) if dtype == "float32" else (1e-8, 1e-10)))


def test_incomplete_gamma_gradient():
    a = np.array([0.5, 1.5, 3.0])
    x = np.array([0.3, 2.0, 4.0])
    u, v = _tensors(x, requires_grad=True)
    p, q = _tensors(a)
    engine.igammac(p, u).sum().backward()
    torch.igammac(q, v).sum().backward()
    _close(u.grad, v.grad, 1e-10, 1e-12)


def test_zeta_and_polygamma():
    rng = np.random.default_rng(11)
    s, q = rng.uniform(1.05, 20, 60), 10 ** rng.uniform(-2, 2, 60)
    s = np.concatenate([s, [1, 0.5, 2, 2.5, 2, 3, np.nan]])
    q = np.concatenate([q, [2, 2, -1, -1.5, -1.5, 0, 1]])
    (a, b), (c, d) = _tensors(s), _tensors(q)
    _close(engine.special.zeta(a, c), torch.special.zeta(b, d), 1e-10)
    _close(engine.special.zeta(2.0, c), torch.special.zeta(2.0, d), 1e-10)
    x, y = _tensors(rng.uniform(0.3, 8, 40))
    for n in range(5):
        _close(engine.polygamma(n, x), torch.polygamma(n, y), 1e-9)
        _close(x.polygamma(n), y.polygamma(n), 1e-9)
    with pytest.raises(RuntimeError):
        engine.polygamma(-1, x)


def test_multigammaln():
    x, y = _tensors(np.linspace(2.6, 9, 12))
    for p in (1, 2, 5):
        _close(engine.mvlgamma(x, p), torch.mvlgamma(y, p), 1e-12)
        _close(engine.special.multigammaln(x, p), torch.special.multigammaln(y, p), 1e-12)
    with pytest.raises(RuntimeError):
        engine.mvlgamma(x, 0)


def test_xlog1py():
    x, u = _tensors([0.0, 0.0, 1.0, 2.0, np.nan, 0.0])
    y, v = _tensors([-1.0, np.nan, 3.0, -0.5, 1.0, 2.0])
    _close(engine.special.xlog1py(x, y), torch.special.xlog1py(u, v))
    _close(engine.special.xlog1py(x, 2.0), torch.special.xlog1py(u, 2.0))
    _close(engine.special.xlog1py(2.0, y), torch.special.xlog1py(2.0, v))


def test_out_and_inplace():
    x = engine.tensor([0.1, 0.4])
    out = engine.empty(2)
    assert engine.special.erfinv(x, out=out) is out
    assert x.lgamma_() is x
    _close(x, torch.lgamma(torch.tensor([0.1, 0.4])))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", ["gammaln", "digamma", "erfinv", "i0", "i1", "entr", "expit", "ndtr"])
def test_sixteen_bits(name, dtype):
    x = [0.1, 0.5, 0.9]
    got = getattr(engine.special, name)(engine.tensor(x, dtype=getattr(engine, dtype)))
    want = getattr(torch.special, name)(torch.tensor(x, dtype=getattr(torch, dtype)))
    assert str(got.dtype).endswith(dtype)
    _close(got, want, *((2e-3, 2e-3) if dtype == "float16" else (2e-2, 2e-2)))
