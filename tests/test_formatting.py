"""Printed text of tensors: known outputs of torch, and what is read of large tensors."""

import numpy as np
import pytest

from engine import dtypes, formatting
from engine.formatting import format_tensor, needed_indices, needed_segments


@pytest.fixture(autouse=True)
def restore_options():
    with formatting.printoptions():
        yield


def text(values, dtype=dtypes.float32, **kwargs):
    return format_tensor(np.asarray(values, dtype=dtype.numpy), dtype, **kwargs)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (1.5, dtypes.float32, "tensor(1.5000)"),
        (3, dtypes.int64, "tensor(3)"),
        (3, dtypes.int32, "tensor(3, dtype=torch.int32)"),
        (True, dtypes.bool_, "tensor(True)"),
        ([True, False], dtypes.bool_, "tensor([ True, False])"),
        ([1.0, 2.0], dtypes.float32, "tensor([1., 2.])"),
        ([1.0, 2.5, -0.0], dtypes.float32, "tensor([1.0000, 2.5000, -0.0000])"),
        ([1.0, np.nan, np.inf], dtypes.float32, "tensor([1., nan, inf])"),
        ([0.5, np.nan, -np.inf], dtypes.float32, "tensor([0.5000,    nan,   -inf])"),
        ([1e-5, 1.0], dtypes.float32, "tensor([1.0000e-05, 1.0000e+00])"),
        ([1e9, 0.0], dtypes.float64, "tensor([1.0000e+09, 0.0000e+00], dtype=torch.float64)"),
        ([123456.0, 1000.0], dtypes.float32, "tensor([123456.,   1000.])"),
        ([-0.0, 0.0], dtypes.float32, "tensor([-0., 0.])"),
        ([2**63, 1], dtypes.uint64, "tensor([9223372036854775808,                   1], dtype=torch.uint64)"),
        ([[1, 2], [3, 4]], dtypes.int64, "tensor([[1, 2],\n        [3, 4]])"),
        ([[[1]], [[2]]], dtypes.int64, "tensor([[[1]],\n\n        [[2]]])"),
        ([1 + 2j, -0.5 - 1j], dtypes.complex64, "tensor([ 1.0000+2.j, -0.5000-1.j])"),
        ([], dtypes.float32, "tensor([])"),
        ([], dtypes.int64, "tensor([], dtype=torch.int64)"),
        (np.zeros((0, 3)), dtypes.float32, "tensor([], size=(0, 3))"),
        ([1.0, 2.0], dtypes.float16, "tensor([1., 2.], dtype=torch.float16)"),
    ],
)
def test_known_outputs(values, dtype, expected):
    assert text(values, dtype) == expected


def test_bfloat16_is_given_as_float32():
    assert format_tensor(np.float32([1.5]), dtypes.bfloat16) == "tensor([1.5000], dtype=torch.bfloat16)"


def test_suffixes():
    assert text([1.0], requires_grad=True) == "tensor([1.], requires_grad=True)"
    assert text([1.0], grad_fn="AddBackward0", requires_grad=True) == "tensor([1.], grad_fn=<AddBackward0>)"
    assert text([1.0], dtypes.float64, device="cuda:0") == "tensor([1.], device='cuda:0', dtype=torch.float64)"
    assert text([1.0], tangent="tensor([2.])") == "tensor([1.], tangent=tensor([2.]))"
    assert text([1.0], type_name="Sub") == "Sub([1.])"
    assert text([1.0], requires_grad=True, is_parameter=True) == (
        "Parameter containing:\ntensor([1.], requires_grad=True)"
    )
    assert format_tensor(None, dtypes.int64, shape=(2,), device="meta") == (
        "tensor(..., device='meta', size=(2,), dtype=torch.int64)"
    )


def test_long_suffixes_go_to_a_new_line():
    row = np.arange(8) + 0.5
    assert text(row, grad_fn="ViewBackward0") == (
        "tensor([0.5000, 1.5000, 2.5000, 3.5000, 4.5000, 5.5000, 6.5000, 7.5000],\n       grad_fn=<ViewBackward0>)"
    )


def test_wrapping():
    assert text(np.arange(30), dtypes.int64) == (
        "tensor([ 0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14, 15, 16, 17,\n"
        "        18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29])"
    )


def test_summary():
    assert text(np.arange(1001), dtypes.int64) == "tensor([   0,    1,    2,  ...,  998,  999, 1000])"
    big = np.arange(40 * 50).reshape(40, 50)
    assert text(big, dtypes.int64).splitlines()[3] == "        ...,"
    assert text(big, dtypes.int64).splitlines()[0] == "tensor([[   0,    1,    2,  ...,   47,   48,   49],"


def test_options():
    formatting.set_printoptions(precision=2, sci_mode=True)
    assert text([1.5]) == "tensor([1.50e+00])"
    formatting.set_printoptions(profile="full")
    assert "..." not in text(np.zeros(2000))
    formatting.set_printoptions(profile="short")
    assert text([1.2345]) == "tensor([1.23])"
    formatting.set_printoptions(profile="default", edgeitems=0, threshold=2)
    assert text([1.0, 2.0, 3.0]) == "tensor([...], size=(3,))"
    with formatting.printoptions(precision=1):
        assert formatting.get_printoptions()["precision"] == 1
    assert formatting.get_printoptions()["precision"] == 4


def test_default_dtype_is_not_shown():
    dtypes.set_default_dtype(dtypes.float64)
    try:
        assert text([1.0], dtypes.float64) == "tensor([1.])"
        assert text([1.0]) == "tensor([1.], dtype=torch.float32)"
    finally:
        dtypes.set_default_dtype(dtypes.float32)


def test_only_the_edges_are_read():
    shape = (5, 400, 300)
    assert needed_segments(shape) == (((0, 5),), ((0, 3), (397, 400)), ((0, 3), (297, 300)))
    assert [len(i) for i in needed_indices(shape)] == [5, 6, 6]
    assert needed_segments((10, 100)) == (((0, 10),), ((0, 100),))
    array = np.arange(np.prod(shape)).reshape(shape)
    asked = []

    def fetch(segments):
        asked.append(segments)
        return array[np.ix_(*needed_indices(shape))]

    whole = format_tensor(array, dtypes.int64)
    assert format_tensor(fetch, dtypes.int64, shape=shape) == whole
    assert format_tensor(array[np.ix_(*needed_indices(shape))], dtypes.int64, shape=shape) == whole
    assert asked == [needed_segments(shape)]
    with pytest.raises(ValueError, match=r"expected values of shape \(5, 6, 6\)"):
        format_tensor(array[0], dtypes.int64, shape=shape)
