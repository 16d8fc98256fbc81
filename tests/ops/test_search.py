"""Positions, sorted sequences and counts."""

from __future__ import annotations

import numpy as np
import pytest

import engine

_NAN = float("nan")


def test_nonzero_forms() -> None:
    x = engine.tensor([[0.0, 2.0], [_NAN, 0.0]])
    assert x.nonzero().tolist() == [[0, 1], [1, 0]]
    assert [t.tolist() for t in x.nonzero(as_tuple=True)] == [[0, 1], [1, 0]]
    assert engine.tensor(3).nonzero().shape == (1, 0)
    assert x.nonzero_static(size=3).tolist() == [[0, 1], [1, 0], [-1, -1]]
    assert x.masked_select(x > 1).tolist() == [2.0]


@pytest.mark.parametrize("right", [False, True])
def test_searchsorted_rows(right: bool) -> None:
    seq = np.sort(np.random.RandomState(0).randint(0, 20, (3, 50)), 1).astype(np.float32)
    values = np.random.RandomState(1).randint(-2, 22, (3, 400)).astype(np.float32)
    got = engine.searchsorted(engine.tensor(seq), engine.tensor(values), right=right).numpy()
    want = [np.searchsorted(s, v, "right" if right else "left") for s, v in zip(seq, values)]
    assert (got == want).all()


def test_searchsorted_options() -> None:
    seq = engine.tensor([3, 1, 2])
    got = engine.searchsorted(seq, engine.tensor([2, 4]), sorter=engine.tensor([1, 2, 0]), out_int32=True)
    assert got.tolist() == [1, 3] and got.dtype is engine.int32
    assert engine.bucketize(2, engine.tensor([1, 2, 3]), right=True).item() == 2
    assert engine.searchsorted(engine.tensor([1.0, _NAN]), engine.tensor([5.0, _NAN])).tolist() == [1, 1]
    with pytest.raises(RuntimeError, match="opposites"):
        engine.searchsorted(seq, engine.tensor([2]), side="left", right=True)


def test_counts() -> None:
    x = engine.tensor([1, 1, 3])
    assert engine.bincount(x).tolist() == [0, 2, 0, 1]
    assert engine.bincount(x, weights=engine.tensor([0.5, 1.0, 2.0]), minlength=5).tolist() == [0.0, 1.5, 0.0, 2.0, 0.0]
    assert engine.histc(engine.tensor([0.0, 1.0, 2.0, 3.0]), bins=2, min=0, max=2).tolist() == [1.0, 2.0]
    hist, edges = engine.histogram(engine.tensor([1.0, 2.0, 1.0]), bins=4, range=(0.0, 3.0))
    assert hist.tolist() == [0.0, 2.0, 1.0, 0.0] and edges.tolist() == [0.0, 0.75, 1.5, 2.25, 3.0]


def test_membership() -> None:
    x = engine.arange(40)
    assert engine.isin(x, engine.tensor([3, 50])).nonzero().tolist() == [[3]]
    many = engine.isin(x, engine.arange(0, 80, 3))
    assert many.nonzero().reshape(-1).tolist() == list(range(0, 40, 3))
    assert engine.isin(x, engine.arange(0, 80, 3), invert=True).sum().item() == 26
    assert [t.tolist() for t in engine.unravel_index(engine.tensor([5, 7]), (2, 4))] == [[1, 1], [1, 3]]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int16"])
@pytest.mark.parametrize("n", [0, 1, 2, 63, 64, 1000])
def test_searches_side_by_side(dtype: str, n: int) -> None:
    random = np.random.default_rng(n)
    seq = np.sort(random.integers(-200, 200, (3, n)).astype(dtype), -1)
    values = random.integers(-210, 210, (3, 77)).astype(dtype)
    if dtype.startswith("float") and n > 2:
        seq[:, -1] = np.nan
        values[:, 5] = np.nan
        values[:, 6] = np.inf
    for side in ("left", "right"):
        got = engine.searchsorted(engine.tensor(seq), engine.tensor(values), side=side).numpy()
        assert np.array_equal(got, np.stack([np.searchsorted(s, v, side) for s, v in zip(seq, values)]))
        flat = engine.searchsorted(engine.tensor(seq[0]), engine.tensor(values), side=side).numpy()
        assert np.array_equal(flat, np.searchsorted(seq[0], values, side))
