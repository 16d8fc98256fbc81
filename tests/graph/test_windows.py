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
