"""In-place ops: values are immutable nodes, so old values stay what they were."""

from __future__ import annotations

import numpy as np
import pytest

import engine


def test_views_see_changes_and_the_past_does_not() -> None:
    x = engine.arange(6.0).view(2, 3)
    row, doubled = x[1], x * 2
    x += 1
    row[0] = 100
    assert x.tolist() == [[1, 2, 3], [100, 5, 6]] and doubled.tolist() == [[0, 2, 4], [6, 8, 10]]
    assert x._version == row._version == 2


def test_overlapping_reads_use_old_values() -> None:
    x = engine.arange(5.0)
    x[1:] += x[:-1]
    assert x.tolist() == [0, 1, 3, 5, 7]


def test_old_value_needed_by_the_derivative_is_kept() -> None:
    x = engine.tensor([1.0, 2.0]).requires_grad_()
    w = engine.tensor([3.0, 4.0]).requires_grad_()
    y = x * 1
    y.mul_(w)
    y.mul_(w)
    y.sum().backward()
    assert x.grad.tolist() == [9, 16] and w.grad.tolist() == [6, 16]


def test_changed_slices_route_gradients() -> None:
    x = engine.tensor([1.0, 2.0, 3.0]).requires_grad_()
    v = engine.tensor(5.0).requires_grad_()
    y = x * 2
    y[1] = v
    y[2:].mul_(10)
    y.sum().backward()
    assert x.grad.tolist() == [2, 0, 20] and v.grad.item() == 1


def test_views_of_a_tensor_that_becomes_differentiable() -> None:
    w = engine.tensor([2.0]).requires_grad_()
    base = engine.ones(3)
    views = [base[i] for i in range(3)]
    base.mul_(w)
    assert all(v.requires_grad and not v.is_leaf for v in views)
    (views[0] + views[2] * 3).backward()
    assert w.grad.tolist() == [4]


def test_data_changes_do_not_count() -> None:
    x = engine.tensor([1.0, 2.0]).requires_grad_()
    y = (x * x).sum()
    x.data.mul_(3)
    assert x._version == 0
    y.backward()
    assert x.grad.tolist() == [6, 12]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x.add_(1), "a leaf Variable that requires grad is being used in an in-place operation"),
        (lambda x: x[0].add_(1), "a view of a leaf Variable that requires grad is being used in an in-place operation"),
        (lambda x: (x * 1).unbind()[0].add_(1), "Output 0 of Unbind is a view and is being modified inplace"),
        (lambda x: x.detach()[:1].expand(2).add_(1), "more than one element of the written-to tensor"),
        (lambda x: engine.tensor([1]).add_(1.5), "result type Float can't be cast to the desired output type Long"),
        (lambda x: x.detach().add_(engine.ones(2, 2)), r"output with shape \[2\] doesn't match the broadcast shape"),
    ],
)
def test_refusals(change, message) -> None:
    with pytest.raises(RuntimeError, match=message):
        change(engine.tensor([1.0, 2.0]).requires_grad_())


def test_view_made_under_no_grad() -> None:
    x = engine.ones(2).requires_grad_() * 1
    with engine.no_grad():
        v = x[0]
    with pytest.raises(RuntimeError, match="A view was created in no_grad mode and is being modified inplace"):
        v.add_(1)


def test_shared_with_numpy() -> None:
    array = np.ones(3, np.float32)
    x = engine.from_numpy(array)
    w = engine.full((3,), 2.0).requires_grad_()
    x.mul_(w)
    assert array.tolist() == [2, 2, 2]
    x.detach().sum()
    (x * 1).sum().backward()
    assert w.grad.tolist() == [1, 1, 1]
