"""Draws: moments, ranges, the stream of a seed, and what cannot be drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine

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
