"""Small parts of large values as operands of their own: one plan wherever the part lies, and the right numbers."""

from __future__ import annotations

import numpy as np
import pytest

import engine as torch
from engine.utils.data import DataLoader, Dataset

pytestmark = pytest.mark.skipif(
    not torch.device("cpu").runtime.caps.is_pocl, reason="only PoCL is known to take host memory at any alignment"
)


_HELD = torch.zeros(1).realize()


def _log():
    return _HELD._spec.device.graph


@pytest.fixture(autouse=True)
def nothing_pending():
    _log().flush()  # what other tests left would be part of the first plan here


def test_a_row_is_the_same_plan_wherever_it_lies():
    a = np.random.default_rng(0).standard_normal((50, 7)).astype(np.float32)
    x = torch.tensor(a)
    (x[3] / 2).realize()
    before = _log().misses
    for i in (1, 17, 49):
        np.testing.assert_allclose((x[i] / 2).numpy(), a[i] / 2, rtol=1e-6)
    for i in (2, 30):  # crops and columns: other strides, a plan of their own
        np.testing.assert_allclose((x[i : i + 2, 1:4] * 3).numpy(), a[i : i + 2, 1:4] * 3, rtol=1e-6)
        np.testing.assert_allclose((x[:7, i // 10 + 1] + 1).numpy(), a[:7, i // 10 + 1] + 1, rtol=1e-6)
    assert _log().misses == before + 2


class _Scaled(Dataset):
    def __init__(self) -> None:
        self.x = torch.arange(64.0 * 12).reshape(64, 12)

    def __len__(self) -> int:
        return 64

    def __getitem__(self, i):
        return self.x[i] / 255, i


def test_batches_of_computed_samples_share_their_plan():
    data = _Scaled()
    expected = data.x.numpy() / 255
    list(DataLoader(data, batch_size=16, shuffle=True))[-1][0].realize()
    before = _log().misses
    for x, i in DataLoader(data, batch_size=16, shuffle=True):
        np.testing.assert_allclose(x.numpy(), expected[i.numpy()], rtol=1e-6)
    assert _log().misses == before


def test_rows_changed_in_place():
    a = np.random.default_rng(1).standard_normal((100, 3)).astype(np.float32)
    x, expected = torch.tensor(a), a.copy()
    buffer = x.realize()._storage.node.buffer
    for i in range(12):
        x[i] += i
        x[i + 1].mul_(2)
        expected[i] += i
        expected[i + 1] *= 2
        x.realize()
    assert x._storage.node.buffer is buffer  # overwritten, not copied
    x[60] = x[3] - x[50]
    expected[60] = expected[3] - expected[50]
    np.testing.assert_allclose(x.numpy(), expected, rtol=1e-6)


def test_a_part_outlives_the_whole_and_keeps_its_value():
    x = torch.arange(1000.0).realize()
    row = x[10:14] + 0
    x += 1  # before the part was read
    np.testing.assert_array_equal(row.numpy(), [10, 11, 12, 13])
    np.testing.assert_array_equal(x[10:12].numpy(), [11, 12])
    later = x[20:24] * 2
    del x
    torch.zeros(1000).fill_(7.0).realize()
    np.testing.assert_array_equal(later.numpy(), [42, 44, 46, 48])


def test_gradients_of_parts():
    w = torch.arange(100.0, requires_grad=True)
    w.realize()
    (w[10:13] * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    expected = np.zeros(100, np.float32)
    expected[10:13] = [1, 2, 3]
    np.testing.assert_array_equal(w.grad.numpy(), expected)


def test_a_failed_op_does_not_disturb_parts():
    x = torch.arange(100.0).realize()
    part = x[5:8] + 1
    bad = x[2:4] * 2
    assert bad.tolist() == [4.0, 6.0]
    x += 1
    np.testing.assert_array_equal(part.numpy(), [6, 7, 8])


def test_rows_are_written_by_the_same_plan_wherever_they_lie():
    x = torch.zeros(1000, 8).realize()
    rows = torch.arange(80.0).reshape(10, 8).realize()
    x[1] = rows[3]
    x[2] = rows[4] * 2
    before = _log().misses
    buffer = id(x._storage.node.buffer)
    for i in range(3, 9):
        x[100 * i] = rows[i]
        x[100 * i + 1] = rows[i] * 2
    assert _log().misses == before
    assert id(x._storage.node.buffer) == buffer
    expected = np.zeros((1000, 8), np.float32)
    for i in range(3, 9):
        expected[100 * i] = rows.numpy()[i]
        expected[100 * i + 1] = rows.numpy()[i] * 2
    expected[1], expected[2] = rows.numpy()[3], rows.numpy()[4] * 2
    np.testing.assert_array_equal(x.numpy(), expected)


def test_a_key_cache_is_filled_in_place():
    cache = torch.zeros(2, 4, 64, 8).realize()
    expected = np.zeros((2, 4, 64, 8), np.float32)
    rng = np.random.default_rng(2)
    misses = []
    for position in range(1, 12):
        k = rng.standard_normal((2, 4, 8)).astype(np.float32)
        cache[:, :, position] = torch.tensor(k)
        expected[:, :, position] = k
        misses.append(_log().misses)
    assert misses[-1] == misses[1]
    np.testing.assert_array_equal(cache.numpy(), expected)


def test_writes_come_after_what_was_read_before_and_before_what_is_read_after():
    x = torch.arange(2000.0).realize()
    before = x * 2
    view = x[10:12]
    x[10:12] = torch.tensor([-1.0, -2.0])
    after = x[9:13] * 1
    x[12] = 5.0
    np.testing.assert_array_equal(before.numpy(), np.arange(2000.0) * 2)
    np.testing.assert_array_equal(after.numpy(), [9, -1, -2, 12])
    np.testing.assert_array_equal(view.numpy(), [-1, -2])
    assert x[12].item() == 5.0


def test_a_part_may_come_from_an_overlapping_part():
    x = torch.arange(2000.0).realize()
    x[101:110] = x[100:109]
    x[300:305] = x[302:307] + x[0]
    expected = np.arange(2000.0)
    expected[101:110] = expected[100:109].copy()
    expected[300:305] = expected[302:307].copy()
    np.testing.assert_array_equal(x.numpy(), expected)


def test_a_saved_value_that_a_part_is_written_into_is_noticed():
    a = torch.ones(2000).realize()
    w = torch.ones(2000, requires_grad=True)
    loss = (a * w).sum()
    a[3] = 7.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_parts_written_under_autograd_keep_their_record():
    out = torch.zeros(500, 4).realize()
    w = torch.tensor(2.0, requires_grad=True)
    for i in range(3):
        out[i] = w * i
    out.sum().backward()
    assert w.grad.item() == 4 * (0 + 1 + 2)


def test_shared_memory_is_written_through():
    array = np.zeros((400, 4), np.float32)
    x = torch.from_numpy(array)
    x[7] = 3.0
    assert array[7].tolist() == [3.0] * 4
    x[8] = x[7] + 1
    assert array[8].tolist() == [4.0] * 4


def test_parts_are_written_for_each_example_of_a_batch():
    def fill(x, value):
        out = torch.zeros(4000) + x.sum()
        out[3] = value
        out[4] = value * 2
        return out

    x, values = torch.arange(6.0).reshape(3, 2), torch.arange(3.0)
    expected = np.repeat(x.numpy().sum(1)[:, None], 4000, 1)
    expected[:, 3], expected[:, 4] = values.numpy(), values.numpy() * 2
    np.testing.assert_array_equal(torch.vmap(fill)(x, values).numpy(), expected)
