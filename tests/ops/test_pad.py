"""Padding with a constant."""

import numpy as np
import pytest
from numeric import check_gradients

import engine
from engine import ops

X = np.random.default_rng(23).standard_normal((3, 4, 5))


@pytest.mark.parametrize("pad", [(1, 2), (0, 1, 2, 0), (0, 0, 0, 0, 1, 1), ()])
def test_adds_elements(pad):
    pairs = [(0, 0)] * 3
    for i in range(len(pad) // 2):
        pairs[2 - i] = pad[2 * i : 2 * i + 2]
    got = ops.constant_pad_nd(engine.tensor(X), pad, 2.5)
    np.testing.assert_array_equal(got.numpy(), np.pad(X, pairs, constant_values=2.5))


def test_negative_amounts_crop():
    got = ops.constant_pad_nd(engine.tensor(X), (-1, 2, 1, -1), 7)
    want = np.pad(X[:, :3, 1:], [(0, 0), (1, 0), (0, 2)], constant_values=7)
    np.testing.assert_array_equal(got.numpy(), want)
    assert ops.constant_pad_nd(engine.tensor(X), (-2, -3)).shape == (3, 4, 0)
    assert ops.constant_pad_nd(engine.zeros(2, 0), (1, 1), 3).tolist() == [[3, 3], [3, 3]]


def test_dtypes_derivatives_and_refusals():
    assert ops.constant_pad_nd(engine.tensor([True]), (1, 1), 1).tolist() == [True, True, True]
    check_gradients(lambda x: ops.constant_pad_nd(x, (1, -1, 0, 2), 3.0) ** 2, X[0, :2, :3])
    with pytest.raises(RuntimeError, match="must be even"):
        ops.constant_pad_nd(engine.ones(2), (1,))
    with pytest.raises(RuntimeError, match="no more than twice"):
        ops.constant_pad_nd(engine.ones(2), (1, 1, 1, 1))
    with pytest.raises(RuntimeError, match="negative output size"):
        ops.constant_pad_nd(engine.ones(2), (-2, -1))
