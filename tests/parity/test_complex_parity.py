"""Complex values and gradients against torch."""

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch")

UNARY = (
    "abs angle sgn exp log sqrt rsqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sigmoid log2 log10 "
    "log1p expm1 exp2 reciprocal square neg conj conj_physical"
).split()


def values(*shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def compare(function, *arrays: np.ndarray, tolerance: float = 1e-9) -> None:
    """Value, gradient and second derivative of ``function(namespace, *tensors)``."""
    results = []
    for namespace in (engine, torch):
        tensors = [namespace.tensor(a, requires_grad=True) for a in arrays]
        out = function(namespace, *tensors)
        weight = namespace.tensor(values(*out.shape, seed=9), dtype=namespace.complex128)
        total = (out * weight).sum().real
        first = namespace.autograd.grad(total, tensors, create_graph=True)
        score = sum((g * namespace.tensor(values(*g.shape, seed=5))).sum().real for g in first)
        second = namespace.autograd.grad(score, tensors, allow_unused=True) if score.requires_grad else ()
        found = [out, *first, *(s for s in second if s is not None)]
        results.append([(t.dtype, np.asarray(t.detach().resolve_conj().numpy())) for t in found])
    mine, theirs = results
    for (dtype, a), (expected, b) in zip(mine, theirs):
        assert str(dtype) == str(expected)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    compare(lambda t, x: getattr(t, name)(x), values(7))


BINARY = {
    "mul": lambda t, x, y: x * y,
    "div": lambda t, x, y: x / y,
    "pow": lambda t, x, y: x**y,
    "power of number": lambda t, x, y: x**3 + 2**y + x**1.5,
    "numbers": lambda t, x, y: x * (1 + 2j) + y / (2 - 1j) + 1j / x - (3j - y),
    "matmul": lambda t, x, y: x @ y,
    "prod": lambda t, x, y: x.prod(-1) + y.mean(-1),
    "parts": lambda t, x, y: x.real * y.imag + t.view_as_real(x)[..., 0],
    "complex": lambda t, x, y: t.complex(x.real, y.real) * t.polar(x.abs(), y.angle()),
    "real with complex": lambda t, x, y: x.real * y + y.abs() * x,
    "inner": lambda t, x, y: t.vdot(x[0], y[0]) + t.dot(x[1], y[1]),
}


@pytest.mark.parametrize("name", BINARY)
def test_binary(name):
    compare(BINARY[name], values(3, 3), values(3, 3, seed=1))


def test_write_through_views():
    def run(t):
        x = t.tensor(values(4), requires_grad=True)
        y = x * 2
        t.view_as_real(y).mul_(3)
        y.imag.add_(1)
        y.real[1:] = 5
        (y * (1 - 2j)).sum().abs().backward()
        return y.detach().numpy(), x.grad.numpy()

    for a, b in zip(run(engine), run(torch)):
        np.testing.assert_allclose(a, b)


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_special_values(dtype):
    parts = [0.0, -0.0, 1.0, -1.0, 1e-3, 25.0, -25.0]
    z = np.array([complex(a, b) for a in parts for b in parts], dtype)
    for name in ("exp", "log", "sqrt", "sin", "tanh", "asin", "acos", "atan", "acosh", "asinh", "angle", "abs"):
        mine, theirs = (getattr(t, name)(t.tensor(z)).numpy() for t in (engine, torch))
        expected = np.where(np.isfinite(theirs), theirs, 0)
        tolerance = 1e-5 if dtype == "complex64" else 1e-12
        np.testing.assert_allclose(
            np.where(np.isfinite(theirs), mine, 0), expected, rtol=tolerance, atol=tolerance, err_msg=name
        )


_COMPLEX = {"x": (2, 4, 6, 6), "w": (6, 2, 3, 3), "b": (6,), "y": (3, 3), "z": (3, 3), "wt": (4, 2, 3, 3)}


@pytest.mark.parametrize(
    "expression",
    ["t.nn.functional.conv2d(x, w, b, 2, 1, 1, 2)", "t.nn.functional.conv_transpose2d(x, wt, None, 2, 1)",
     "t.lerp(y, z, 0.3)", "t.lerp(y, z, y)", "t.logsumexp(y * 500, 0)", "t.sinc(y)", "t.addcmul(y, y, z, value=2)",
     "t.addcdiv(y, y, z, value=2)"],
)  # fmt: skip
def test_complex_forms_and_gradients(expression: str) -> None:
    results = []
    for module in (engine, torch):
        rng = np.random.default_rng(0)
        known = {
            k: module.tensor(rng.normal(size=s) + 1j * rng.normal(size=s), requires_grad=True)
            for k, s in _COMPLEX.items()
        }
        out = eval(expression, {"t": module, **known})
        (out.abs() ** 2 + out.real).sum().backward()
        results.append([out.detach().numpy(), *[v.grad.numpy() for v in known.values() if v.grad is not None]])
    for ours, theirs in zip(*results):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)
