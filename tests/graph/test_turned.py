"""Kernels that read along another dimension than they write: in tiles on CPUs, element by element on GPUs."""

from __future__ import annotations

import numpy as np
import pytest

import engine

_RANDOM = np.random.default_rng(0)
_DTYPES = ("float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64")


def _numbers(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return (_RANDOM.standard_normal(shape) * 50).astype(dtype)


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("shape", [(64, 64), (16, 130), (17, 70), (8, 9), (7, 40), (129, 8), (1, 50), (0, 20)])
def test_a_transposed_copy(shape: tuple[int, int], dtype: str) -> None:
    x = _numbers(shape, dtype)
    assert np.array_equal(engine.from_numpy(x).t().contiguous().numpy(), x.T)


@pytest.mark.parametrize("order", [(0, 2, 3, 1), (3, 2, 1, 0), (1, 0, 3, 2), (2, 0, 1, 3), (0, 3, 1, 2)])
def test_permuted_copies_and_arithmetic(order: tuple[int, ...]) -> None:
    x = _numbers((3, 20, 9, 18), "float32")
    y = _numbers(tuple(x.shape[d] for d in order), "float32")
    a, b = engine.from_numpy(x), engine.from_numpy(y)
    turned = x.transpose(order)
    assert np.array_equal(a.permute(order).contiguous().numpy(), turned)
    row = _numbers((turned.shape[-1],), "float32")
    column = _numbers((turned.shape[-2], 1), "float32")
    got = (a.permute(order) * b + engine.from_numpy(row)) - engine.from_numpy(column)
    assert np.allclose(got.numpy(), turned * y + row - column, rtol=1e-5, atol=1e-3)


def test_operands_of_several_sizes_and_places() -> None:
    """A 16-bit, a 64-bit and a sliced operand turned in one kernel; a result written into a slice."""
    half, wide, whole = _numbers((40, 33), "float16"), _numbers((40, 33), "int64"), _numbers((60, 50), "float32")
    part = engine.from_numpy(whole)[5:45, 7:40]
    got = engine.from_numpy(half).t().float() + engine.from_numpy(wide).t() + part.t()
    want = half.T.astype(np.float32) + wide.T + whole[5:45, 7:40].T
    assert np.allclose(got.contiguous().numpy(), want)
    out = engine.zeros(35, 60)
    out[1:34, 10:50] = part.t()
    assert np.array_equal(out[1:34, 10:50].numpy(), whole[5:45, 7:40].T) and out.count_nonzero().item() == 33 * 40


def test_an_operand_turned_and_not() -> None:
    x = _numbers((50, 50), "float32")
    t = engine.from_numpy(x)
    assert np.array_equal((t + t.t()).numpy(), x + x.T)
    x = x.copy()
    t += t.t().clone()
    assert np.array_equal(t.numpy(), x + x.T)
