"""Rolling, stacking, splitting, repeating; and reading and writing at positions."""

from __future__ import annotations

import numpy as np
import pytest

import engine


def test_roll_and_turn() -> None:
    x = engine.arange(6).reshape(2, 3)
    assert x.roll(1).tolist() == [[5, 0, 1], [2, 3, 4]]
    assert x.roll((1, -1), (0, 1)).tolist() == [[4, 5, 3], [1, 2, 0]]
    for k in range(-1, 5):
        assert (x.rot90(k).numpy() == np.rot90(x.numpy(), k)).all()


def test_stack_and_split() -> None:
    a, b = engine.tensor([1, 2]), engine.tensor([3, 4])
    assert engine.hstack((a, b)).tolist() == [1, 2, 3, 4]
    assert engine.vstack((a, b)).tolist() == [[1, 2], [3, 4]]
    assert engine.column_stack((a, b)).tolist() == [[1, 3], [2, 4]]
    assert engine.dstack((a, b)).shape == (1, 2, 2)
    parts = engine.arange(7).tensor_split(3)
    assert [p.tolist() for p in parts] == [[0, 1, 2], [3, 4], [5, 6]]
    assert [p.tolist() for p in engine.arange(5).tensor_split((1, 3))] == [[0], [1, 2], [3, 4]]
    with pytest.raises(RuntimeError, match="not divisible"):
        engine.arange(5).hsplit(2)


def test_repeat_interleave() -> None:
    x = engine.tensor([[1, 2], [3, 4]])
    assert x.repeat_interleave(2).tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert x.repeat_interleave(engine.tensor([1, 2]), dim=0).tolist() == [[1, 2], [3, 4], [3, 4]]
    assert engine.repeat_interleave(engine.tensor([0, 2, 1])).tolist() == [1, 1, 2]


def test_grids() -> None:
    a, b = engine.tensor([1, 2, 3]), engine.tensor([4, 5])
    for how in ("ij", "xy"):
        for got, want in zip(engine.meshgrid(a, b, indexing=how), np.meshgrid([1, 2, 3], [4, 5], indexing=how)):
            assert (got.numpy() == want).all()
    assert engine.cartesian_prod(a, b).shape == (6, 2)
    assert engine.combinations(a).tolist() == [[1, 2], [1, 3], [2, 3]]
    assert engine.block_diag(engine.ones(1, 2), b).tolist() == [[1, 1, 0, 0], [0, 0, 4, 5]]


def test_keywords() -> None:
    x = engine.arange(6).reshape(shape=(2, 3))
    assert x.flip(dims=(0,)).tolist() == [[3, 4, 5], [0, 1, 2]]
    assert x.permute(dims=(1, 0)).shape == (3, 2) and x.repeat(repeats=(2, 1)).shape == (4, 3)
    assert engine.tile(x, dims=(2,)).shape == (2, 6) and x.view(size=(6,)).shape == (6,)


@pytest.mark.parametrize(
    "reduce, self_too, want",
    [
        ("sum", True, [4.0, 7.0, 1.0]), ("sum", False, [3.0, 6.0, 1.0]), ("prod", True, [2.0, 8.0, 1.0]),
        ("mean", True, [4 / 3, 7 / 3, 1.0]), ("mean", False, [1.5, 3.0, 1.0]), ("amax", False, [2.0, 4.0, 1.0]),
        ("amin", True, [1.0, 1.0, 1.0]), ("amin", False, [1.0, 2.0, 1.0]),
    ],
)  # fmt: skip
def test_scatter_reduce(reduce: str, self_too: bool, want: list[float]) -> None:
    x, index, src = engine.ones(3), engine.tensor([0, 0, 1, 1]), engine.tensor([1.0, 2.0, 2.0, 4.0])
    got = x.scatter_reduce(0, index, src, reduce, include_self=self_too)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-6)


def test_scatter_product_gradient_with_a_zero() -> None:
    src = engine.tensor([0.0, 3.0, 5.0], requires_grad=True)
    engine.ones(2).scatter_reduce(0, engine.tensor([0, 0, 1]), src, "prod").sum().backward()
    assert src.grad.tolist() == [3.0, 0.0, 1.0]


def test_positions() -> None:
    x = engine.arange(6.0).reshape(2, 3)
    assert x.take(engine.tensor([[5, -6]])).tolist() == [[5.0, 0.0]]
    assert x.put(engine.tensor([1, 1]), engine.tensor([2.0, 3.0]), accumulate=True).tolist()[0] == [0.0, 6.0, 2.0]
    assert x.index_fill(1, engine.tensor([0, 2]), -1).tolist() == [[-1, 1, -1], [-1, 4, -1]]
    assert x.index_copy(0, engine.tensor([1]), engine.zeros(1, 3)).tolist()[1] == [0.0, 0.0, 0.0]
    mask = engine.tensor([[True, False, True], [False, True, False]])
    assert x.masked_scatter(mask, engine.tensor([9.0, 8.0, 7.0])).tolist() == [[9, 1, 8], [3, 7, 5]]
    order = engine.tensor([[2, 0, 1]])
    assert x.take_along_dim(order, 1).tolist() == [[2, 0, 1], [5, 3, 4]]


def test_diagonals() -> None:
    v = engine.tensor([1, 2])
    assert engine.diag_embed(v, 1).tolist() == [[0, 1, 0], [0, 0, 2], [0, 0, 0]]
    assert engine.zeros(3, 3).fill_diagonal_(2).tolist() == [[2, 0, 0], [0, 2, 0], [0, 0, 2]]
    assert engine.zeros(2, 2).diagonal_scatter(engine.ones(2)).tolist() == [[1, 0], [0, 1]]
    assert engine.ones(2, 3).triu(1).tolist() == [[0, 1, 1], [0, 0, 1]]


def test_overlapping_views_sum_their_gradients() -> None:
    x = engine.arange(4.0).requires_grad_()
    windows = x.as_strided((3, 2), (1, 1))
    (windows * engine.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])).sum().backward()
    assert x.grad.tolist() == [1.0, 5.0, 9.0, 6.0]
    y = engine.tensor([[1.0, 2.0]], requires_grad=True)
    (y.expand(3, 2).select(1, 0) * engine.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert y.grad.tolist() == [[6.0, 0.0]]


def test_empty_part_has_a_gradient() -> None:
    x = engine.ones(3, 4, requires_grad=True)
    (x.narrow(1, 0, 0).clone().sum() + x.sum()).backward()
    assert x.grad.tolist() == [[1.0] * 4] * 3
