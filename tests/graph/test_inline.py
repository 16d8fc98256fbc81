"""Small plans in the calling thread: the same values, in the right order with work that the device still does."""

from __future__ import annotations

import numpy as np
import pytest

import engine as torch

pytestmark = pytest.mark.skipif(
    torch.device("cpu").runtime.inline_programs is None, reason="the device has no driver for the calling thread"
)


def _log():
    return torch.zeros(1)._spec.device.graph


def test_a_small_plan_is_complete_when_it_was_enqueued():
    torch.synchronize()
    x = torch.arange(8.0)
    y = (x * 2 + 1).realize()
    assert not _log().runtime.queue.dirty
    np.testing.assert_array_equal(y.numpy(), np.arange(8.0) * 2 + 1)


def test_a_large_plan_goes_to_the_workers():
    torch.synchronize()
    x = torch.ones(1 << 22)
    y = (x * 2).realize()
    assert _log().runtime.queue.dirty
    assert y.sum().item() == 2 << 22


def test_small_work_behind_large_work_waits_for_its_turn():
    torch.synchronize()
    x = torch.ones(1 << 23)
    small = torch.zeros(4)
    for _turn in range(5):
        x.mul_(2.0)
        x.realize()
        small += x[:4]  # needs the large result, enqueued while the workers are busy
        small.realize()
    assert small.tolist() == [62.0] * 4
    assert x[-1].item() == 32.0


def test_memory_goes_between_both_kinds_of_plan():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((64, 4096)).astype(np.float32)
    x = torch.tensor(a)
    for _ in range(3):
        big = (x * 1.5 + 1).realize()
        row = (big.sum(1) * 0.5).realize()
        tiny = (row[:3] - 1).realize()
        np.testing.assert_allclose(tiny.numpy(), (a * 1.5 + 1).sum(1)[:3] * 0.5 - 1, rtol=1e-4)


def test_profiles_show_small_plans(capsys):
    with torch.profiler.profile() as prof:
        (torch.arange(8.0) + 1).sum().item()
    assert sum(e.count for e in prof.key_averages()) >= 1
