"""Linear algebra against torch: values, gradients, second derivatives, errors."""

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch")


def array(*shape, seed=0, kind="real"):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(shape)
    return a + 1j * rng.standard_normal(shape) if kind == "complex" else a


def positive(t, a):
    return a @ a.mH + 2 * t.eye(a.shape[-1], dtype=a.dtype)


def absolute(out):
    return out.abs() if out.is_complex() else out * out


CASES = {
    "cholesky": lambda t, a, b: t.linalg.cholesky(positive(t, a)),
    "cholesky upper": lambda t, a, b: t.linalg.cholesky(positive(t, a), upper=True),
    "cholesky_solve": lambda t, a, b: t.cholesky_solve(b, t.linalg.cholesky(positive(t, a))),
    "cholesky_inverse": lambda t, a, b: t.cholesky_inverse(t.linalg.cholesky(positive(t, a))),
    "inv": lambda t, a, b: t.linalg.inv(a),
    "solve": lambda t, a, b: t.linalg.solve(a, b),
    "solve right": lambda t, a, b: t.linalg.solve(a, b.mT, left=False),
    "solve vector": lambda t, a, b: t.linalg.solve(a, b[..., 0]),
    "solve_triangular": lambda t, a, b: t.linalg.solve_triangular(a.tril() + t.eye(4), b, upper=False),
    "solve_triangular right": lambda t, a, b: t.linalg.solve_triangular(
        a, b.mT, upper=True, left=False, unitriangular=True
    ),
    "det": lambda t, a, b: t.linalg.det(a),
    "slogdet": lambda t, a, b: t.linalg.slogdet(a)[1],
    "logdet": lambda t, a, b: t.logdet(positive(t, a)),
    "qr": lambda t, a, b: sum(x.abs().sum() if i else absolute(x).sum() for i, x in enumerate(t.linalg.qr(a))),
    "qr tall": lambda t, a, b: t.linalg.qr(b)[0] @ t.linalg.qr(b)[1] @ b.mT,
    "qr wide": lambda t, a, b: t.linalg.qr(b.mT)[1],
    "eigvalsh": lambda t, a, b: t.linalg.eigvalsh(positive(t, a)),
    "eigh": lambda t, a, b: absolute(t.linalg.eigh(positive(t, a))[1]),
    "eigvals": lambda t, a, b: t.linalg.eigvals(a).abs().sum(-1),
    "eig": lambda t, a, b: t.linalg.eig(a)[1].abs().sum((-1, -2)),
    "svdvals": lambda t, a, b: t.linalg.svdvals(b),
    "svd": lambda t, a, b: absolute(t.linalg.svd(b, full_matrices=False)[0]),
    "svd wide": lambda t, a, b: absolute(t.svd(b.mT)[2]),
    "pinv": lambda t, a, b: t.linalg.pinv(b),
    "lstsq": lambda t, a, b: t.linalg.lstsq(b, a).solution,
    "matrix_exp": lambda t, a, b: t.matrix_exp(a),
    "matrix_power": lambda t, a, b: t.matrix_power(a, 3) + t.linalg.matrix_power(a, -2),
    "lu": lambda t, a, b: t.linalg.lu(a)[1] @ b + t.linalg.lu(a)[2] @ b,
    "lu tall": lambda t, a, b: t.linalg.lu(b)[1] * b + t.linalg.lu(b)[2].sum(),
    "lu wide": lambda t, a, b: t.linalg.lu(b.mT)[2] + t.linalg.lu(b.mT)[1].sum(),
    "lu_solve": lambda t, a, b: t.lu_solve(b, *t.linalg.lu_factor(a)),
    "householder": lambda t, a, b: t.linalg.householder_product(b, a[..., 0, :2]),
    "norms": lambda t, a, b: sum(
        t.linalg.matrix_norm(a, o) for o in ("fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf"))
    ),
    "norm": lambda t, a, b: t.linalg.norm(a[0] if a.ndim == 3 else a, 2) + t.linalg.norm(b),
    "cond": lambda t, a, b: t.linalg.cond(a) + t.linalg.cond(a.detach(), "fro"),
    "multi_dot": lambda t, a, b: (
        t.linalg.multi_dot([b[0].mT, a[0], b[0]]) if a.ndim == 3 else t.chain_matmul(b.mT, a, b)
    ),
    "vecdot": lambda t, a, b: t.linalg.vecdot(a, a * 2) + t.linalg.vander(a)[..., 0].sum(),
    "tensorinv": lambda t, a, b: t.linalg.tensorinv(a.reshape(-1, 4, 4)[0].reshape(2, 2, 4), 2),
}
ONCE = ("eig", "cond")  # second derivative compared for the others, where real


@pytest.mark.parametrize("kind", ["real", "complex"])
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name, kind):
    a, b = array(2, 4, 4, kind=kind), array(2, 4, 2, seed=1, kind=kind)
    results = []
    for t in (engine, torch):
        x, y = t.tensor(a, requires_grad=True), t.tensor(b, requires_grad=True)
        out = CASES[name](t, x, y)
        weight = t.tensor(array(*out.shape, seed=3), dtype=out.dtype)
        total = (out * weight).sum()
        total = total.abs() if total.is_complex() else total
        first = [g for g in t.autograd.grad(total, [x, y], create_graph=True, allow_unused=True) if g is not None]
        found = [out, *first]
        score = sum(g.abs().square().sum() for g in first)
        if kind == "real" and name not in ONCE and score.requires_grad:
            found += [g for g in t.autograd.grad(score, [x, y], allow_unused=True) if g is not None]
        results.append([np.asarray(v.detach().resolve_conj().numpy()) for v in found])
    assert len(results[0]) == len(results[1])
    for mine, theirs in zip(*results):
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-6 * max(1, np.abs(theirs).max()))
