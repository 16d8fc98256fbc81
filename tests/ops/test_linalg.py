"""Linear algebra: values, errors, packed formats."""

import numpy as np
import pytest

import engine
from engine import linalg


def matrix(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_singular_matrices_raise_at_the_call():
    singular = engine.tensor([[1.0, 2.0], [2.0, 4.0]])
    for call in (linalg.inv, engine.inverse, lambda a: linalg.solve(a, engine.ones(2))):
        with pytest.raises(linalg.LinAlgError, match="singular"):
            call(singular)
    with pytest.raises(linalg.LinAlgError, match="not positive-definite"):
        linalg.cholesky(-engine.eye(3))
    assert issubclass(linalg.LinAlgError, RuntimeError)
    assert linalg.inv_ex(singular).info.item() == 2
    assert linalg.cholesky_ex(engine.tensor([[1.0, 2.0], [2.0, 1.0]])).info.item() == 2


def test_checks():
    with pytest.raises(RuntimeError, match="square"):
        linalg.inv(engine.ones(2, 3))
    with pytest.raises(RuntimeError, match="at least 2 dimensions"):
        linalg.svd(engine.ones(2))
    with pytest.raises(RuntimeError, match="floating point"):
        linalg.det(engine.ones(2, 2, dtype=engine.int64))


@pytest.mark.parametrize("hermitian", [False, True])
def test_ldl(hermitian):
    for n in (1, 2, 5, 8):
        a = matrix(2, n, n) + 1j * matrix(2, n, n, seed=1)
        a = a + (np.conj(np.swapaxes(a, 1, 2)) if hermitian else np.swapaxes(a, 1, 2))
        a -= a * np.eye(n)  # a zero diagonal needs 2x2 pivots
        if n == 1:
            a += 1
        b = matrix(2, n, 3) + 0j
        factors = linalg.ldl_factor(engine.tensor(a), hermitian=hermitian)
        x = linalg.ldl_solve(*factors, engine.tensor(b), hermitian=hermitian).numpy()
        np.testing.assert_allclose(a @ x, b, atol=1e-10)


def test_lu_and_solve():
    a, b = matrix(3, 4, 4), matrix(3, 4, 2)
    p, low, up = linalg.lu(engine.tensor(a))
    np.testing.assert_allclose((p @ low @ up).numpy(), a, atol=1e-12)
    factors = linalg.lu_factor(engine.tensor(a))
    for left, adjoint in ((True, False), (True, True), (False, False), (False, True)):
        right = b if left else np.swapaxes(b, 1, 2)
        x = linalg.lu_solve(*factors, engine.tensor(right), left=left, adjoint=adjoint).numpy()
        m = np.swapaxes(a, 1, 2) if adjoint else a
        np.testing.assert_allclose(m @ x if left else x @ m, right, atol=1e-10)


def test_householder():
    a = matrix(5, 3)
    packed, tau = engine.geqrf(engine.tensor(a))
    q = engine.orgqr(packed, tau)
    np.testing.assert_allclose((q @ packed[:3].triu()).numpy(), a, atol=1e-12)
    c = matrix(5, 2)
    full = engine.ormqr(packed, tau, engine.eye(5, dtype=engine.float64)).numpy()
    np.testing.assert_allclose(engine.ormqr(packed, tau, engine.tensor(c)).numpy(), full @ c, atol=1e-12)
    np.testing.assert_allclose(
        engine.ormqr(packed, tau, engine.tensor(c.T.copy()), False, True).numpy(), c.T @ full.T, atol=1e-12
    )


def test_low_rank():
    a = matrix(20, 3) @ matrix(3, 15, seed=1)
    u, s, v = engine.svd_lowrank(engine.tensor(a), 4)
    np.testing.assert_allclose((u * s @ v.mT).numpy(), a, atol=1e-8)
    _, s, _ = engine.pca_lowrank(engine.tensor(a), 3)
    np.testing.assert_allclose(s.numpy(), np.linalg.svd(a - a.mean(0))[1][:3], atol=1e-8)
    h = a @ a.T
    values, vectors = engine.lobpcg(engine.tensor(h), 2)
    np.testing.assert_allclose(h @ vectors.numpy(), vectors.numpy() * values.numpy(), atol=1e-8)
    assert linalg.matrix_rank(engine.tensor(a)).item() == 3


def test_lstsq_and_tensor_equations():
    a, b = matrix(6, 3), matrix(6, 2)
    expected, residuals, rank, values = np.linalg.lstsq(a, b, rcond=None)
    out = linalg.lstsq(engine.tensor(a), engine.tensor(b), driver="gelsd")
    for mine, theirs in zip(out, (expected, residuals, rank, values)):
        np.testing.assert_allclose(mine.numpy(), theirs, atol=1e-10)
    t = matrix(2, 3, 6)
    x = linalg.tensorsolve(engine.tensor(t), engine.tensor(matrix(2, 3)))
    np.testing.assert_allclose(np.tensordot(t, x.numpy(), 1), matrix(2, 3), atol=1e-10)


def test_empty_and_singular_gradients():
    assert linalg.det(engine.ones(0, 0)).item() == 1
    assert linalg.inv(engine.ones(2, 0, 0)).shape == (2, 0, 0)
    assert linalg.svdvals(engine.ones(0, 3)).shape == (0,)
    a = engine.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=engine.float64, requires_grad=True)
    linalg.det(a).backward()
    np.testing.assert_allclose(a.grad.numpy(), [[4, -2], [-2, 1]], atol=1e-12)
