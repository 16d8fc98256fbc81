"""Scatters of every size class against NumPy: duplicates in order, dtypes, atomics, and indices out of range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine
from engine.ops import scatter_kernel

_RANDOM = np.random.default_rng(0)
_DTYPES = ("float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool", "complex64")


def _numbers(shape: Any, dtype: str = "float32") -> np.ndarray:
    if dtype == "bool":
        return _RANDOM.random(shape) > 0.5
    return _RANDOM.integers(0 if dtype == "uint8" else -4, 5, shape).astype(dtype)


def _tensors(*arrays: np.ndarray) -> tuple:
    return tuple(engine.from_numpy(a.copy()) for a in arrays)


@pytest.fixture(params=["owned", "atomic"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both kinds of kernels; plans are not shared between them."""
    if request.param == "atomic":
        monkeypatch.setattr(scatter_kernel, "atomic", lambda caps, itemsize: itemsize <= 4)
    return request.param


# (rows, width, count): lists, columns, parts, owned ranges, one work-item, nothing
_SIZES = [
    (3001, 130, 900), (50, 200, 700), (40, 1, 20_011), (60, 3, 9_001), (30_011, 1, 500), (7_001, 2, 3), (5, 4, 9),
    (4, 3, 0),
]  # fmt: skip


@pytest.mark.parametrize("rows, width, count", _SIZES)
def test_index_add_and_index_put(kernels: str, rows: int, width: int, count: int) -> None:
    count += kernels == "atomic"  # another plan
    base, src, index = _numbers((rows, width)), _numbers((count, width)), _RANDOM.integers(0, rows, count)
    x, s, i = _tensors(base, src, index)
    want = base.copy()
    np.add.at(want, index, src)
    assert np.array_equal(x.index_add(0, i, s).numpy(), want)
    assert np.array_equal(x.index_put((i,), s, accumulate=True).numpy(), want)
    assert np.array_equal(engine.zeros(rows, width).index_add(0, i, s).numpy(), want - base)
    once = _RANDOM.permutation(rows)[:count]
    want = base.copy()
    want[once] = src[: len(once)]
    j, part = _tensors(once - rows, src[: len(once)])
    assert np.array_equal(x.index_put((j,), part).numpy(), want)
    want = np.full_like(base, 7)
    want[once] = src[: len(once)]
    assert np.array_equal(engine.full((rows, width), 7.0).index_copy(0, j + rows, part).numpy(), want)


@pytest.mark.parametrize("dtype", _DTYPES)
def test_dtypes(kernels: str, dtype: str) -> None:
    rows, count = (211, 9001) if kernels == "owned" else (212, 9002)
    base, src, index = _numbers(rows, dtype), _numbers(count, dtype), _RANDOM.integers(0, rows, count)
    if dtype == "float16":  # no sum of these rounds
        src[::2] = 0
    want = base.copy()
    np.add.at(want, index, src)
    x, s, i = _tensors(base, src, index)
    assert np.array_equal(x.scatter_add(0, i, s).numpy(), want)
    assert np.array_equal(x.scatter_add(0, i.int(), s).numpy(), want)
    assert np.array_equal(engine.zeros(rows, dtype=x.dtype).scatter_add(0, i, s).numpy(), _sums(src, index, rows))


def _sums(src: np.ndarray, index: np.ndarray, rows: int) -> np.ndarray:
    out = np.zeros(rows, src.dtype)
    np.add.at(out, index, src)
    return out


def test_the_last_of_equal_indices_wins() -> None:
    index = _RANDOM.integers(0, 100, 30_000)
    want = np.zeros(100, np.float32)
    for place, value in zip(index, np.arange(30_000, dtype=np.float32)):
        want[place] = value
    out = engine.zeros(100).index_put((engine.from_numpy(index),), engine.arange(30_000.0))
    assert np.array_equal(out.numpy(), want)


@pytest.mark.parametrize("dim", [0, 1, 2])
@pytest.mark.parametrize("shape, n", [((30, 5, 90), 40), ((2, 300, 33), 17), ((1, 9, 1300), 8), ((70, 130, 1), 5)])
def test_scatter_along_a_dimension(shape: tuple[int, ...], n: int, dim: int) -> None:
    small = (*shape[:dim], n, *shape[dim + 1 :])
    base, src = _numbers(shape), _numbers(small)
    index = _RANDOM.integers(0, shape[dim], small)
    places = list(np.indices(small))
    places[dim] = index
    want = base.copy()
    np.add.at(want, tuple(places), src)
    x, s, i = _tensors(base, src, index)
    assert np.array_equal(x.scatter_add(dim, i, s).numpy(), want)
    assert np.array_equal(engine.zeros(shape).scatter_add(dim, i, s).numpy(), want - base)
    for how, combine in (("amax", np.maximum), ("amin", np.minimum), ("prod", np.multiply)):
        want = base.astype(np.float64)
        combine.at(want, tuple(places), src)
        got = x.double().scatter_reduce(dim, i, s.double(), how)
        assert np.array_equal(got.numpy(), want)
    order = np.argsort(_RANDOM.random(shape), dim)
    o, whole = _tensors(order, _numbers(shape))
    want = base.copy()
    np.put_along_axis(want, order, whole.numpy(), dim)
    assert np.array_equal(x.scatter(dim, o, whole).numpy(), want)
    less = tuple(slice(0, max(1, k - 1)) for k in shape)
    want = base.copy()
    np.put_along_axis(want[tuple(s if d != dim else slice(None) for d, s in enumerate(less))], order[less], 5, dim)
    assert np.array_equal(x.scatter(dim, o[less], 5).numpy(), want)


_BAD: list[tuple[str, Callable[[Any, Any], Any], bool]] = [
    ("gather", lambda x, i: x.gather(0, i), False),
    ("scatter", lambda x, i: x.scatter(0, i, 1.0), False),
    ("scatter_add", lambda x, i: x.scatter_add(0, i, x[: len(i)]), False),
    ("index_select", lambda x, i: x.index_select(0, i), False),
    ("index_add", lambda x, i: x.index_add(0, i, x[: len(i)]), False),
    ("index_copy", lambda x, i: x.index_copy(0, i, x[: len(i)]), False),
    ("getitem", lambda x, i: x[i], True),
    ("take", lambda x, i: x.take(i), True),
    ("index_put", lambda x, i: x.index_put((i,), x[: len(i)]), True),
    ("put", lambda x, i: x.put(i, x[: len(i)]), True),
    ("index_fill", lambda x, i: x.index_fill(0, i, 2.0), True),
]


@pytest.mark.parametrize("name, run, wraps", _BAD, ids=[b[0] for b in _BAD])
@pytest.mark.parametrize("n", [6, 20_000])
@pytest.mark.parametrize("known", [True, False], ids=["on the host", "on the device"])
def test_indices_out_of_range(name: str, run: Callable[[Any, Any], Any], wraps: bool, n: int, known: bool) -> None:
    x = engine.arange(float(n))
    for bad in (n, -n - 1 if wraps else -1):
        index = engine.tensor([1, bad, 2])
        if not known:
            index = index + 0
        with pytest.raises((IndexError, RuntimeError), match="index|range"):
            run(x, index).sum().item()
    engine.synchronize()
    if wraps:
        assert run(x, engine.tensor([1, -n, 2]) + 0) is not None
        engine.synchronize()


def test_out_of_range_along_rows() -> None:
    x, index = engine.zeros(4, 300), engine.full((2, 300), 3)
    index[1, 250] = 4
    with pytest.raises((IndexError, RuntimeError)):
        x.scatter_add(0, index, engine.ones(2, 300)).sum().item()
    assert x.scatter_add(0, index.clamp(max=3), engine.ones(2, 300)).sum().item() == 600
