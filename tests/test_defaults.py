"""The default dtype, and the flat functions about it and about the process."""

from __future__ import annotations

import pytest

import engine as torch


@pytest.fixture
def restored():
    yield
    torch.set_default_dtype(torch.float32)


def test_another_default_dtype_reaches_ops_already_used(restored, double):
    x = torch.tensor([1, 2])
    assert (x + 0.5).dtype is torch.float32
    assert (x / 2).dtype is torch.float32
    torch.set_default_dtype(torch.float64)
    assert (x + 0.5).dtype is torch.float64
    assert (x / 2).dtype is torch.float64
    assert torch.ones(2).dtype is torch.float64
    torch.set_default_dtype(torch.float16)
    assert (x + 0.5).dtype is torch.float16
    torch.set_default_dtype(torch.float32)
    assert (x + 0.5).tolist() == [1.5, 2.5]
    assert (x + 0.5).dtype is torch.float32


def test_pending_work_keeps_the_dtype_it_was_written_with(restored):
    y = torch.tensor([1, 2]) / 2
    torch.set_default_dtype(torch.float16)
    assert y.dtype is torch.float32
    assert y.tolist() == [0.5, 1.0]


def test_only_floats_can_be_the_default():
    with pytest.raises(TypeError, match="only floating-point types"):
        torch.set_default_dtype(torch.int32)


def test_result_type():
    x = torch.ones(2, dtype=torch.int32)
    assert torch.result_type(x, 1.0) is torch.float32
    assert torch.result_type(x, torch.tensor(1)) is torch.int32
    assert torch.result_type(1, 2.0) is torch.float32
    assert torch.result_type(torch.ones(2, dtype=torch.uint8), torch.ones(2, dtype=torch.int8)) is torch.int16


def test_questions_about_objects():
    x = torch.ones(2, 3)
    assert torch.is_tensor(x)
    assert not torch.is_tensor([1])
    assert torch.is_storage(x.untyped_storage())
    assert torch.numel(x) == 6
    assert torch.is_floating_point(x)
    assert not torch.is_complex(x)
    assert torch.is_nonzero(torch.tensor([2.0]))
    assert torch.typename(x) == "torch.FloatTensor"
    assert torch.typename(3) == "int"
    with pytest.raises(RuntimeError, match="more than one value is ambiguous"):
        torch.is_nonzero(x)
    with pytest.raises(TypeError, match=r"numel\(\): argument 'input' \(position 1\) must be Tensor, not int"):
        torch.numel(3)


def test_switches():
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    assert torch.get_num_threads() == 3
    torch.set_num_threads(threads)
    with pytest.raises(RuntimeError, match="expects a positive integer"):
        torch.set_num_threads(0)
    torch.use_deterministic_algorithms(True, warn_only=True)
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_deterministic_debug_mode() == 1
    torch.set_deterministic_debug_mode("default")
    assert not torch.are_deterministic_algorithms_enabled()
    torch.set_float32_matmul_precision("high")
    assert torch.get_float32_matmul_precision() == "high"
    torch.set_float32_matmul_precision("highest")
    with pytest.warns(UserWarning, match="not one of"):
        torch.set_float32_matmul_precision("low")
    assert torch.get_device_module("cpu") is torch.cpu


def test_parts_are_imported_when_named():
    assert torch.testing.assert_close is not None
    x = torch.tensor([-1.0, 4.0])
    assert torch.abs_(x) is x
    assert torch.sqrt_(x).tolist() == [1.0, 2.0]
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        torch.nothing  # noqa: B018
