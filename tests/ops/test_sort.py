"""Sorting and choosing by rank against NumPy, on every path that picks a kernel."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest

import engine

sorting = import_module("engine.ops.sort")  # the package's attribute of that name is the function

_NAN = float("nan")


def _array(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values = np.random.RandomState(3).randn(*shape) * 40
    return values > 0 if dtype == "bool" else values.astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "int32", "int8", "bool"])
@pytest.mark.parametrize("shape", [(7, 5), (3, 400), (5000,)], ids=["merge", "radix", "shared radix"])
def test_sort_is_stable_both_ways(dtype: str, shape: tuple[int, ...]) -> None:
    x = _array(shape, dtype)
    values, index = engine.tensor(x).sort(-1)
    order = np.argsort(x, -1, kind="stable")
    assert (index.numpy() == order).all()
    assert (values.numpy() == np.take_along_axis(x, order, -1)).all()
    down = engine.tensor(x).sort(-1, descending=True)[1].numpy()
    rising = x.astype(np.int64) if dtype == "bool" else x
    assert (down == np.argsort(-rising.astype(np.float64), -1, kind="stable")).all()


def test_order_of_nan_and_zeros() -> None:
    x = engine.tensor([_NAN, 0.0, 1.0, -0.0, -_NAN, float("inf")])
    values, index = x.sort()
    assert index.tolist() == [1, 3, 2, 5, 0, 4]
    assert np.signbit(values.numpy()[:2]).tolist() == [False, True]
    assert x.sort(descending=True)[1].tolist() == [0, 4, 5, 2, 1, 3]


def test_inner_dimension_and_gradient() -> None:
    x = engine.tensor([[3.0, 1.0], [2.0, 4.0], [1.0, 5.0]], requires_grad=True)
    values, index = x.sort(0)
    assert index.tolist() == [[2, 0], [1, 1], [0, 2]]
    (values * engine.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])).sum().backward()
    assert x.grad.tolist() == [[5.0, 2.0], [3.0, 4.0], [1.0, 6.0]]


@pytest.mark.parametrize("n", [1, 2, 37, 130])
def test_bitonic_network_sorts_as_the_others(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernels that GPUs use, run here."""
    monkeypatch.setattr(sorting, "_sort_calls", lambda caps, *args: sorting._bitonic(*args))
    sorting._sort.calls.clear()
    x = _array((3, n + 1), "float32").round()  # a shape of its own: no plan of another test fits
    got = engine.tensor(x).sort(-1)[1].numpy()
    assert (got == np.argsort(x, -1, kind="stable")).all()


@pytest.mark.parametrize("k", [1, 16, 40, 700])
def test_topk(k: int) -> None:
    x = _array((4, 1000), "float32")
    values, index = engine.tensor(x).topk(k)
    want = -np.sort(-x, -1)[:, :k]
    assert (values.numpy() == want).all()
    assert (np.take_along_axis(x, index.numpy(), -1) == want).all()
    low = engine.tensor(x).topk(k, largest=False)[0].numpy()
    assert (low == np.sort(x, -1)[:, :k]).all()


def test_topk_of_rising_and_equal_elements() -> None:
    assert engine.arange(3000.0).topk(20)[1].tolist() == list(range(2999, 2979, -1))
    values, index = engine.ones(500).topk(3)
    assert values.tolist() == [1.0] * 3 and len(set(index.tolist())) == 3
    with pytest.raises(RuntimeError, match="out of range"):
        engine.ones(3).topk(4)


def test_ranks() -> None:
    x = _array((6, 301), "float64")
    t = engine.tensor(x)
    assert (t.kthvalue(17, 1)[0].numpy() == np.sort(x, 1)[:, 16]).all()
    assert (t.median(1)[0].numpy() == np.sort(x, 1)[:, 150]).all()
    assert t.median().item() == np.sort(x.reshape(-1))[(x.size - 1) // 2]
    assert (engine.tensor(x.astype(np.int64)).median(0)[0].numpy() == np.sort(x.astype(np.int64), 0)[2]).all()


def test_median_and_nan() -> None:
    x = engine.tensor([[1.0, _NAN, 3.0, 2.0], [_NAN] * 4])
    assert np.isnan(x.median(1)[0].numpy()).all()
    assert x.median(1)[1].tolist() == [1, 0]
    assert x.nanmedian(1)[0].tolist()[0] == 2.0
    assert np.isnan(x.nanmedian(1)[0].numpy()[1])


def test_mode_and_quantile() -> None:
    x = engine.tensor([[3, 1, 3, 1, 2], [5, 5, 4, 4, 4]])
    assert x.mode(1)[0].tolist() == [1, 4]
    f = engine.tensor([4.0, 1.0, 3.0, 2.0])
    assert f.quantile(0.5).item() == 2.5
    assert f.quantile(engine.tensor([0.0, 0.25, 1.0])).tolist() == [1.0, 1.75, 4.0]
    assert f.quantile(0.4, interpolation="nearest").item() == 2.0
    assert engine.tensor([1.0, _NAN, 3.0]).nanquantile(0.5).item() == 2.0
    assert np.isnan(engine.tensor([1.0, _NAN, 3.0]).quantile(0.5).item())


def test_unique() -> None:
    x = engine.tensor([3, 1, 3, 2, 1])
    values, inverse, counts = engine.unique(x, return_inverse=True, return_counts=True)
    assert (values.tolist(), inverse.tolist(), counts.tolist()) == ([1, 2, 3], [2, 0, 2, 1, 0], [2, 1, 2])
    rows = engine.tensor([[1, 2], [0, 1], [1, 2]]).unique(dim=0)
    assert rows.tolist() == [[0, 1], [1, 2]]
    runs: Any = engine.unique_consecutive(engine.tensor([1, 1, 2, 2, 1]), return_counts=True)
    assert (runs[0].tolist(), runs[1].tolist()) == ([1, 2, 1], [2, 2, 1])


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int8"])
@pytest.mark.parametrize("n", [255, 256, 263, 1000, 4099])
@pytest.mark.parametrize("k", [1, 3, 16])
def test_few_of_a_long_row(dtype: str, n: int, k: int) -> None:
    """Whole sixteens of elements beyond the bound are skipped; equal elements stay in order."""
    x = np.random.RandomState(n).randint(-100, 100, (3, n)).astype(dtype)
    x[1] = np.sort(x[1])
    x[2] = 7
    for largest in (True, False):
        values, index = engine.tensor(x).topk(k, largest=largest)
        order = np.argsort(-x.astype(np.float64) if largest else x, -1, kind="stable")[:, :k]
        assert np.array_equal(index.numpy(), order)
        assert np.array_equal(values.numpy(), np.take_along_axis(x, order, -1))


def test_digits_that_do_not_vary_are_passed_over() -> None:
    for values in (np.random.RandomState(0).permutation(6000), np.arange(5000)[::-1] * 65536 + 3, np.full(5000, 9)):
        values = np.ascontiguousarray(values, np.int64)
        ordered, index = engine.tensor(values).sort()
        assert np.array_equal(ordered.numpy(), np.sort(values))
        assert np.array_equal(index.numpy(), np.argsort(values, kind="stable"))


@pytest.mark.parametrize("dtype", ["float32", "int64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("scale", [1, 10**6])
def test_unique_counted_and_sorted(dtype: str, scale: int) -> None:
    x = (np.random.RandomState(1).randint(-50, 50, (40, 25)) * scale).astype(dtype)
    out, inverse, counts = engine.unique(engine.tensor(x), return_inverse=True, return_counts=True)
    want = np.unique(x, return_inverse=True, return_counts=True)
    assert all(np.array_equal(a.numpy(), b.reshape(a.shape)) for a, b in zip((out, inverse, counts), want))
    assert np.array_equal(engine.unique(engine.tensor(x)).numpy(), want[0])
    assert engine.unique(engine.tensor([1.0, _NAN, 1.0, _NAN])).numel() == 3
    assert engine.unique(engine.zeros(0, dtype=engine.int64)).numel() == 0
