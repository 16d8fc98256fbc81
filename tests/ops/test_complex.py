"""Complex numbers: arithmetic, functions, views, printing."""

import numpy as np
import pytest

import engine

Z = np.array([1 + 2j, 3 - 1j, -0.5 + 0j, -2j])


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("name", ["exp", "sqrt", "sin", "cos", "tanh", "abs", "angle", "conj", "square", "reciprocal"])
def test_functions(name, dtype):
    z = Z.astype(dtype)
    found = getattr(engine, name)(engine.tensor(z)).numpy()
    expected = getattr(np, name)(z)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == "complex64" else 1e-12)


def test_arithmetic_and_reductions():
    z = engine.tensor(Z)
    np.testing.assert_allclose((z * z / (1 + z) - 2j).numpy(), Z * Z / (1 + Z) - 2j)
    np.testing.assert_allclose(z.sum().item(), Z.sum())
    np.testing.assert_allclose(z.prod().item(), Z.prod())
    np.testing.assert_allclose(z.mean().item(), Z.mean())
    np.testing.assert_allclose(z.cumprod(0).numpy(), Z.cumprod())
    a = np.random.default_rng(0).standard_normal((40, 40)) + 1j
    np.testing.assert_allclose((engine.tensor(a) @ engine.tensor(a)).numpy(), a @ a)


def test_views_share_memory():
    z = engine.tensor(Z)
    pairs = engine.view_as_real(z)
    assert pairs.shape == (4, 2) and pairs.dtype is engine.float64
    pairs[0, 1] = 7
    z.real.add_(1)
    z.imag = 3
    np.testing.assert_allclose(z.numpy(), Z.real + 1 + 3j)
    w = engine.view_as_complex(engine.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert w.tolist() == [1 + 2j, 3 + 4j]


def test_gradient_is_conjugate():
    z = engine.tensor(Z, requires_grad=True)
    (z * z).sum().real.backward()
    np.testing.assert_allclose(z.grad.numpy(), 2 * Z.conj())


def test_checks():
    with pytest.raises(RuntimeError, match="view_as_real is only supported for complex"):
        engine.view_as_real(engine.ones(2))
    with pytest.raises(RuntimeError, match="last dimension of size 2"):
        engine.view_as_complex(engine.ones(3))
    with pytest.raises(RuntimeError, match="imag is not implemented"):
        engine.imag(engine.ones(2))


def test_printing():
    assert repr(engine.tensor([1 + 2j])) == "tensor([1.+2.j])"
