"""Reductions as kernels: partial results where rows are few, strips of columns, and rounding errors of long sums."""

from __future__ import annotations

import numpy as np
import pytest

import engine as torch

# Few rows, one long row, a prime length, narrow and wide columns, several reduced dimensions.
SHAPES = [(1 << 19,), (300007,), (2, 200003), (200003, 2), (1 << 17, 4), (700, 1000), (1300, 3, 130), (40, 70, 100)]


def _values(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_sums_and_extremes_along_every_axis(shape):
    a = _values(shape)
    x = torch.tensor(a)
    for dim in (None, *range(len(shape))):
        exact = a.astype(np.float64)
        scale = np.abs(exact).sum(dim)
        got = x.sum(dim) if dim is not None else x.sum()
        assert (np.abs(got.numpy() - exact.sum(dim)) <= 3e-7 * scale + 1e-6).all()
        np.testing.assert_array_equal((x.amax(dim) if dim is not None else x.amax()).numpy(), a.max(dim))
        np.testing.assert_array_equal((x.argmin(dim) if dim is not None else x.argmin()).numpy(), a.argmin(dim))


def test_products_and_counts_in_parts():
    ones = np.ones(300007, np.int64)
    ones[[5, 299999]] = 3, -7
    assert torch.tensor(ones).prod().item() == -21
    assert torch.tensor(ones).sum().item() == int(ones.sum())
    flags = np.zeros((2, 1 << 18), bool)
    x = torch.tensor(flags)
    assert not x.any().item()
    flags[1, -1] = True
    x = torch.tensor(flags)
    assert x.any().item() and not x.all().item() and x.any(1).tolist() == [False, True]


def test_nan_wins_wherever_it_is():
    for place in (0, 123456, 300006):
        a = _values(300007)
        a[place] = np.nan
        x = torch.tensor(a)
        assert np.isnan(x.max().item()) and np.isnan(x.min().item()) and x.argmax().item() == place


def test_long_sums_keep_their_precision():
    rng = np.random.default_rng(1)
    a = rng.uniform(0.5, 1.5, 3_000_000).astype(np.float32)  # a plain running sum is off by 1e-4 here
    x, exact = torch.tensor(a), a.astype(np.float64)
    assert abs(x.sum().item() / exact.sum() - 1) < 2e-7
    assert abs(x.mean().item() / exact.mean() - 1) < 2e-7
    assert abs(x.norm().item() / np.sqrt((exact**2).sum()) - 1) < 2e-7
    assert abs(x.var().item() / exact.var(ddof=1) - 1) < 1e-6
    columns = exact.reshape(-1, 100).sum(0)
    assert np.abs(x.view(-1, 100).sum(0).numpy() / columns - 1).max() < 4e-7


def test_large_reductions_take_a_kernel_for_the_parts_and_one_for_the_whole():
    x = torch.tensor(_values((1024, 1024)))
    for program in (
        lambda: x.sum(),
        lambda: (x * 2 - 1).square().mean().sqrt(),
        lambda: x.amax(),
        lambda: x[:, :2].sum(0),
    ):
        torch.synchronize()
        before = torch.launch_count()
        kept = program()
        torch.synchronize()
        assert torch.launch_count() - before <= 2
        del kept
    before = torch.launch_count()
    total, squares = x.sum(), x * x  # a stored value and its sum still share their reading
    torch.synchronize()
    assert torch.launch_count() - before <= 3
    assert total.item() == pytest.approx(x.numpy().sum(dtype=np.float64), abs=0.1) and squares.shape == x.shape
