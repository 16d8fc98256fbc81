"""Statistics, contractions and functions about numbers' representation, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import engine

_NAN, _INF = float("nan"), float("inf")
_RNG = np.random.RandomState(0)


def test_covariance() -> None:
    x = _RNG.randn(3, 20)
    f, a = _RNG.randint(1, 4, 20), _RNG.rand(20)
    t = engine.tensor(x)
    np.testing.assert_allclose(t.cov().numpy(), np.cov(x))
    got = t.cov(correction=0, fweights=engine.tensor(f), aweights=engine.tensor(a))
    np.testing.assert_allclose(got.numpy(), np.cov(x, ddof=0, fweights=f, aweights=a))
    np.testing.assert_allclose(t.corrcoef().numpy(), np.corrcoef(x))


def test_without_nan() -> None:
    x = engine.tensor([[1.0, _NAN], [3.0, 5.0]])
    assert x.nansum(0).tolist() == [4.0, 5.0] and x.nanmean().item() == 3.0
    assert x.count_nonzero().item() == 4
    low, high = engine.tensor([[3, 1], [2, 7]]).aminmax(dim=1)
    assert (low.tolist(), high.tolist()) == ([1, 2], [3, 7])


@pytest.mark.parametrize(
    "equation, shapes",
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]), ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]), ("ii->i", [(3, 3)]),
        ("ii", [(3, 3)]), ("ij->ji", [(2, 3)]), ("i,j,k->kji", [(2,), (3,), (4,)]),
        ("...ij,...j->...i", [(5, 2, 3), (3,)]),
        ("bhqd,bhkd->bhqk", [(2, 2, 3, 4), (2, 2, 5, 4)]), ("ij,ij->", [(2, 3), (2, 3)]), ("ba,ca", [(2, 3), (4, 3)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 2)]), ("a...b,b...->a...", [(2, 3, 4), (4, 3)]),
    ],
)  # fmt: skip
def test_einsum(equation: str, shapes: list[tuple[int, ...]]) -> None:
    arrays = [_RNG.randn(*s) for s in shapes]
    got = engine.einsum(equation, *(engine.tensor(a) for a in arrays))
    np.testing.assert_allclose(got.numpy(), np.einsum(equation, *arrays), rtol=1e-10)


def test_products() -> None:
    a, b = _RNG.randn(2, 3, 4), _RNG.randn(4, 3, 5)
    x, y = engine.tensor(a), engine.tensor(b)
    np.testing.assert_allclose(
        engine.tensordot(x, y, dims=([1, 2], [1, 0])).numpy(), np.tensordot(a, b, ([1, 2], [1, 0]))
    )
    np.testing.assert_allclose(engine.kron(x[0], y[0]).numpy(), np.kron(a[0], b[0]))
    np.testing.assert_allclose(engine.inner(x, x[0]).numpy(), np.inner(a, a[0]))
    np.testing.assert_allclose(
        engine.cross(x[:, :, 0], x[:, :, 1], dim=1).numpy(), np.cross(a[:, :, 0], a[:, :, 1], axis=1)
    )
    assert engine.vander(engine.tensor([1, 2, 3])).tolist() == [[1, 1, 1], [4, 2, 1], [9, 3, 1]]
    chain = engine.chain_matmul(x[0], y[:, 0], y[:, 0].t())
    np.testing.assert_allclose(chain.numpy(), a[0] @ b[:, 0] @ b[:, 0].T)


def test_distances() -> None:
    a, b = _RNG.randn(4, 3), _RNG.randn(5, 3)
    gap = a[:, None] - b[None]
    for p in (0.5, 1.0, 2.0, 3.0, _INF):
        got = engine.cdist(engine.tensor(a), engine.tensor(b), p=p).numpy()
        want = np.abs(gap).max(-1) if p == _INF else (np.abs(gap) ** p).sum(-1) ** (1 / p)
        np.testing.assert_allclose(got, want)
    x = engine.tensor([[1.0, 2.0]], requires_grad=True)
    engine.cdist(x, x.detach()).sum().backward()
    assert x.grad.tolist() == [[0.0, 0.0]]  # at distance zero
    assert engine.dist(engine.tensor([3.0, 0.0]), engine.tensor([0.0, 4.0])).item() == 5.0
    rows = engine.tensor([[3.0, 4.0], [0.3, 0.4]]).renorm(2, 0, 1.0)
    np.testing.assert_allclose(rows.numpy(), [[0.6, 0.8], [0.3, 0.4]], rtol=1e-6)


def test_classes_of_floats() -> None:
    x = engine.tensor([1.0, _INF, -_INF, _NAN])
    assert x.isfinite().tolist() == [True, False, False, False]
    assert x.isinf().tolist() == [False, True, True, False]
    assert x.isposinf().tolist() == [False, True, False, False] and x.isneginf().tolist()[2]
    assert x.nan_to_num(0.5, 9.0, -9.0).tolist() == [1.0, 9.0, -9.0, 0.5]
    assert engine.isclose(x, x, equal_nan=True).all().item() and not engine.allclose(x, x)
    with pytest.raises(RuntimeError, match="did not match"):
        engine.isclose(x, x.double())


def test_representation() -> None:
    x = engine.tensor([8.0, -0.75, 0.0])
    mantissa, exponent = x.frexp()
    assert (mantissa.tolist(), exponent.tolist()) == ([0.5, -0.75, 0.0], [4, 0, 0])
    assert engine.ldexp(mantissa, exponent).tolist() == x.tolist()
    assert engine.copysign(x, -1.0).tolist() == [-8.0, -0.75, -0.0]
    assert engine.nextafter(engine.tensor(1.0), engine.tensor(2.0)).item() == np.nextafter(np.float32(1), np.float32(2))
    assert engine.gcd(engine.tensor([12, -4, 0]), engine.tensor([18, 6, 5])).tolist() == [6, 2, 5]
    assert engine.lcm(engine.tensor([4, 0]), engine.tensor([6, 3])).tolist() == [12, 0]
    with pytest.raises(TypeError, match="must be Tensor"):
        engine.gcd(engine.tensor([1]), 2)


def test_logarithms_at_their_edges() -> None:
    x = engine.tensor([0.0, 0.0, 2.0, -_INF], dtype=engine.float64)
    assert engine.logaddexp(x[3], x[3]).item() == -_INF
    np.testing.assert_allclose(engine.logaddexp2(x[2], x[2]).item(), 3.0)
    assert engine.xlogy(x[:2], engine.tensor([0.0, _NAN], dtype=engine.float64)).tolist()[0] == 0.0
    np.testing.assert_allclose(
        engine.logit(engine.tensor([0.0, 0.9]), eps=0.25).numpy(), [-1.0986123, 1.0986123], rtol=1e-5
    )
    assert engine.sinc(engine.zeros(1)).item() == 1.0


def test_ternary_functions() -> None:
    a, b = engine.tensor([1.0, 2.0]), engine.tensor([3.0, 6.0])
    assert engine.lerp(a, b, 0.5).tolist() == [2.0, 4.0]
    assert engine.lerp(a, b, engine.tensor([0.0, 1.0])).tolist() == [1.0, 6.0]
    assert a.addcmul(a, b, value=2).tolist() == [7.0, 26.0]
    assert a.clone().addcdiv_(b, a, value=-1).tolist() == [-2.0, -1.0]
    with pytest.raises(RuntimeError, match="Integer division"):
        engine.addcdiv(a, engine.tensor([1, 2]), engine.tensor([1, 2]))


def test_buffers(tmp_path: object) -> None:
    raw = bytearray(np.arange(4, dtype=np.int16).tobytes())
    assert engine.frombuffer(raw, dtype=engine.int16, count=2, offset=2).tolist() == [1, 2]
    with pytest.raises(ValueError, match="multiple"):
        engine.frombuffer(raw, dtype=engine.int16, offset=1)
    path = f"{tmp_path}/numbers"
    engine.from_file(path, shared=True, size=3).fill_(2.0).tolist()
    assert np.fromfile(path, np.float32).tolist() == [2.0] * 3
