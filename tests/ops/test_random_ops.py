"""Draws: moments, ranges, the stream of a seed, and what cannot be drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine
from engine.graph import host
from engine.ops import permutation

_N = 20_000


@pytest.mark.parametrize(
    "draw, mean, deviation",
    [
        (lambda t: t.uniform_(-1, 3), 1.0, 4 / 12**0.5),
        (lambda t: t.normal_(2.0, 3.0), 2.0, 3.0),
        (lambda t: t.exponential_(2.0), 0.5, 0.5),
        (lambda t: t.geometric_(0.25), 4.0, 12**0.5),
        (lambda t: t.log_normal_(0.0, 0.5), np.exp(0.125), np.exp(0.125) * np.sqrt(np.expm1(0.25))),
        (lambda t: t.bernoulli_(0.3), 0.3, 0.21**0.5),
        (lambda t: t.random_(0, 11), 5.0, 10**0.5),
    ],
    ids=["uniform", "normal", "exponential", "geometric", "log_normal", "bernoulli", "random"],
)
def test_moments(draw: Callable[[Any], Any], mean: float, deviation: float) -> None:
    engine.manual_seed(1)
    x = draw(engine.empty(_N)).numpy().astype(np.float64)
    assert abs(x.mean() - mean) < 5 * deviation / _N**0.5
    assert abs(x.std() - deviation) < 0.05 * deviation


def test_cauchy_by_its_quartiles() -> None:
    engine.manual_seed(1)
    low, middle, high = np.quantile(engine.empty(_N).cauchy_(1.0, 2.0).numpy(), [0.25, 0.5, 0.75])
    assert abs(low + 1) < 0.2 and abs(middle - 1) < 0.2 and abs(high - 3) < 0.2


def test_the_seed_decides() -> None:
    a = engine.empty(5).uniform_(generator=engine.Generator().manual_seed(7))
    b = engine.empty(5).uniform_(generator=engine.Generator().manual_seed(7))
    assert a.tolist() == b.tolist() and len(set(a.tolist())) == 5


def _words(counter: int, seed: int) -> list[int]:
    """Philox 4x32-10 in plain integers."""
    c, k = [counter & 0xFFFFFFFF, counter >> 32, 0, 0], [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        p, q = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [(q >> 32) ^ c[1] ^ k[0], q & 0xFFFFFFFF, (p >> 32) ^ c[3] ^ k[1], p & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def _normal(i: int, words: list[int]) -> float:
    a, b = words[2 * (i >> 5 & 1)], words[2 * (i >> 5 & 1) + 1]
    turn = (math.sin if i & 16 else math.cos)(2 * math.pi * b * 2.0**-32)
    return math.sqrt(-2 * math.log(min((a + 0.5) * 2.0**-32, 1.0))) * turn


def test_the_words_are_those_of_the_paper() -> None:
    """Known answers of the authors' Random123 library."""
    assert _words(0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    i, key = np.arange(8, dtype=np.uint64), [np.array([v], np.uint64) for v in (9, 3)]
    assert (
        int(host.FUNCTIONS["mul_high"](np.uint64([2**63 + 5]), np.uint64([10**18 + 7]))[0])
        == (2**63 + 5) * (10**18 + 7) >> 64
    )
    assert host.philox(i, *key).tolist() == [_words(3 + k, 9)[0] for k in range(8)]


@pytest.mark.parametrize("shape", [(1,), (63,), (1000,), (27, 40), (3, 5, 70)])
def test_the_stream_does_not_depend_on_how_it_is_computed(shape: tuple[int, ...]) -> None:
    """Neighbours made together and elements made one by one (a transposed use) are those of plain integers."""
    n, last = math.prod(shape), (*range(1, len(shape)), 0)
    narrow = [_words((i >> 6) * 16 + (i & 15), 9) for i in range(n)]
    bits = [w[i >> 4 & 3] for i, w in enumerate(narrow)]
    wide = [_words((i >> 5) * 16 + (i & 15), 9)[2 * (i >> 4 & 1) :] for i in range(n)]
    pairs = [w[1] << 32 | w[0] for w in wide]
    draws: list[tuple[Callable[[], Any], list]] = [
        (lambda: engine.rand(shape), [(w >> 8) * 2.0**-24 for w in bits]),
        (lambda: engine.rand(shape, dtype=engine.float64), [(p >> 11) * 2.0**-53 for p in pairs]),
        (lambda: engine.randn(shape), [_normal(i, w) for i, w in enumerate(narrow)]),
        (lambda: engine.randint(-5, 95, shape), [(w * 100 >> 32) - 5 for w in bits]),
        (lambda: engine.randint(0, 10**12, shape), [p * 10**12 >> 64 for p in pairs]),
    ]
    for draw, numbers in draws:
        want = np.array(numbers).reshape(shape)
        engine.manual_seed(9)
        assert np.allclose(draw().numpy(), want, atol=2e-6, rtol=1e-6)
        engine.manual_seed(9)
        turned = (draw().permute(last) * 1).contiguous().numpy()
        assert np.allclose(turned, want.transpose(last), atol=2e-6, rtol=1e-6)


def test_draws_in_slices_and_beside_each_other() -> None:
    """A flipped and a shifted draw, and two draws in one kernel, are those of the whole."""
    engine.manual_seed(2)
    whole, second = engine.rand(1500).numpy(), engine.rand(1500).numpy()
    engine.manual_seed(2)
    assert np.array_equal((engine.rand(1500) + engine.rand(1500)).numpy(), whole + second)
    engine.manual_seed(2)
    assert np.array_equal((engine.rand(1500)[77:1333] * 1).numpy(), whole[77:1333])
    engine.manual_seed(2)
    assert np.array_equal((engine.rand(1500).flip(0) * 1).numpy(), whole[::-1])


def test_normal_tails_and_independence() -> None:
    engine.manual_seed(3)
    x = engine.randn(2**18).numpy().astype(np.float64)
    assert abs((x**4).mean() - 3) < 0.08 and abs((x**3).mean()) < 0.05
    assert abs((np.abs(x) > 3).mean() - 0.0027) < 0.0004
    for lag in (1, 16, 32, 48, 64):
        assert abs((x[lag:] * x[:-lag]).mean()) < 0.01


def test_integers() -> None:
    x = engine.empty(1000, dtype=engine.int8).random_()
    assert x.min().item() >= 0 and x.max().item() > 100
    y = engine.empty(1000, dtype=engine.int64).random_(-3, 2)
    assert sorted(set(y.tolist())) == [-3, -2, -1, 0, 1]
    with pytest.raises(RuntimeError, match="less than"):
        y.random_(2, 2)
    with pytest.raises(RuntimeError, match="not implemented"):
        y.uniform_()
    with pytest.raises(RuntimeError, match="std"):
        engine.empty(2).normal_(0, -1)


def test_normal_and_bernoulli_by_tensors() -> None:
    engine.manual_seed(0)
    x = engine.normal(engine.full((_N,), 3.0), engine.full((_N,), 0.5))
    assert abs(x.mean().item() - 3) < 0.03 and abs(x.std().item() - 0.5) < 0.02
    assert engine.normal(0.0, 1.0, (2, 3)).shape == (2, 3)
    assert engine.bernoulli(engine.tensor([0.0, 1.0])).tolist() == [0.0, 1.0]
    assert abs(engine.poisson(engine.full((_N,), 4.0)).mean().item() - 4) < 0.1


def test_multinomial() -> None:
    engine.manual_seed(0)
    weights = engine.tensor([[1.0, 0.0, 3.0], [0.0, 5.0, 0.0]])
    drawn = weights.multinomial(8000, replacement=True).numpy()
    assert set(drawn[1].tolist()) == {1}
    assert abs((drawn[0] == 2).mean() - 0.75) < 0.03 and not (drawn[0] == 1).any()
    order = engine.tensor([1.0, 2.0, 3.0, 0.0]).multinomial(3).tolist()
    assert sorted(order) == [0, 1, 2]
    for bad, match in (([1.0, -1.0], "inf"), ([0.0, 0.0], "sum"), ([float("nan"), 1.0], "nan")):
        with pytest.raises(RuntimeError, match=match):
            engine.tensor(bad).multinomial(1)
    with pytest.raises(RuntimeError, match="without replacement"):
        engine.ones(2).multinomial(3)


@pytest.mark.parametrize("n", [1, 2, 65, 1000, 2049, 30_001])
def test_permutations(n: int) -> None:
    """Every number once, the same as in plain Python, another one each time."""
    engine.manual_seed(5)
    first, second = engine.randperm(n), engine.randperm(n, dtype=engine.float32)
    assert first.dtype is engine.int64 and sorted(first.tolist()) == list(range(n))
    assert sorted(second.tolist()) == list(range(n))
    if n > 10:
        assert first.tolist() != second.tolist() and first.tolist() != list(range(n))
    if n < 3000:
        assert np.array_equal(first.numpy(), permutation._meaning(n)(np.array([5, 0], np.uint64)))


def test_permutations_are_uniform() -> None:
    engine.manual_seed(0)
    counts = np.zeros((4, 4))
    for _ in range(600):
        counts[np.arange(4), engine.randperm(4).numpy()] += 1
    assert np.abs(counts / 600 - 0.25).max() < 0.08
    big = engine.randperm(2**16).numpy()
    assert abs(np.corrcoef(big, np.arange(2**16))[0, 1]) < 0.02
    assert abs(np.corrcoef(big[1:], big[:-1])[0, 1]) < 0.02
    assert engine.randperm(0).shape == (0,)
    with pytest.raises(RuntimeError, match="non-negative"):
        engine.randperm(-1)
