"""engine.testing: what counts as close, the messages, and the values of random test tensors."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine.testing import assert_close, make_tensor

t = engine.tensor
nan = float("nan")


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        (t([1.0]), t([1.0000001])),
        (t([]), t([])),
        (1.0, 1.0 + 1e-8),
        (None, None),
        ((t(1.0),), [t(1.0)]),
        ({"a": [1, t([2])]}, {"a": [1, t([2])]}),
        (np.array([1.0, 2.0]), np.array([1.0, 2.0])),
        (t(float("inf")), t(float("inf"))),
    ],
)
def test_equal_values_pass(actual, expected):
    assert assert_close(actual, expected) is None


def test_message_of_a_tensor_mismatch():
    with pytest.raises(AssertionError) as caught:
        assert_close(t([1.0, 2, 3]), t([1.0, 2, 4]))
    assert str(caught.value) == (
        "Tensor-likes are not close!\n\n"
        "Mismatched elements: 1 / 3 (33.3%)\n"
        "Greatest absolute difference: 1.0 at index (2,) (up to 1e-05 allowed)\n"
        "Greatest relative difference: 0.25 at index (2,) (up to 1.3e-06 allowed)"
    )


@pytest.mark.parametrize(
    ("actual", "expected", "text"),
    [
        (t([1, 2]), t([1, 3]), "Tensor-likes are not equal!\n\nMismatched elements: 1 / 2 (50.0%)"),
        (t([1.0, 2.0]), t([1.0]), "attribute 'shape' do not match: torch.Size([2]) != torch.Size([1])."),
        (t([1.0]), t([1]), "attribute 'dtype' do not match: torch.float32 != torch.int64."),
        (1.0, 2.0, "Expected 2.0 but got 1.0.\nAbsolute difference: 1.0 (up to 1e-07 allowed)"),
        (1, 1.0, "The (d)types do not match: <class 'int'> != <class 'float'>."),
        (True, False, "Booleans mismatch: True is not False"),
        ([1, 2], [1], "The length of the sequences mismatch: 2 != 1"),
        ({"a": 1}, {"b": 1}, "Missing keys in the actual mapping: ['b']"),
        ({"x": [t(1.0), t(2.0)]}, {"x": [t(1.0), t(9.0)]}, "The failure occurred for item ['x'][1]"),
        (t([nan]), t([nan]), "Greatest absolute difference: nan at index (0,)"),
        (t([1.0, float("inf")]), t([1.0, 2.0]), "Greatest absolute difference: inf at index (1,)"),
        (t([1.0, 2.0]).half(), t([1.0, 2.01]).half(), "Greatest absolute difference: 0.009765625 at index (1,)"),
        (t([1.0, 2.0]).bfloat16(), t([1.0, 2.1]).bfloat16(), "relative difference: 0.044677734375 at index (1,)"),
    ],
)
def test_mismatches(actual, expected, text):
    with pytest.raises(AssertionError) as caught:
        assert_close(actual, expected)
    assert text in str(caught.value)


def test_options():
    assert_close(t(nan), t(nan), equal_nan=True)
    assert_close(t([1.0]), t([1]), check_dtype=False)
    assert_close(t([1.0, 2.0]), t([1.0, 2.1]), rtol=0.5, atol=0)
    with pytest.raises(AssertionError, match="^mine$"):
        assert_close(1, 2, msg="mine")
    with pytest.raises(AssertionError, match="^mine: Scalars are not equal!"):
        assert_close(1, 2, msg=lambda text: f"mine: {text}")
    with pytest.raises(AssertionError, match="stride"):
        assert_close(t([[1.0, 2.0], [3.0, 4.0]]).t(), t([[1.0, 3.0], [2.0, 4.0]]), check_stride=True)
    with pytest.raises(ValueError, match="got no atol"):
        assert_close(1, 1, rtol=0.1)
    for pair in (("a", "a"), (t(1.0), 1.0), (np.ones(1), t([1.0]))):
        with pytest.raises(TypeError, match="No comparison pair"):
            assert_close(*pair)


def test_make_tensor():
    engine.manual_seed(0)
    x = make_tensor(200, 50, dtype=engine.float32, device="cpu")
    assert x.shape == (200, 50)
    values = x.numpy()
    assert -9 <= values.min() < -8.9
    assert 8.9 < values.max() < 9
    counts = make_tensor((4000,), dtype=engine.uint8, device="cpu")
    assert sorted(set(counts.tolist())) == list(range(10))
    assert set(make_tensor(500, dtype=engine.int64, device="cpu", low=-2, high=2).tolist()) == {-2, -1, 0, 1}
    assert 0 not in make_tensor(500, dtype=engine.int8, device="cpu", low=-2, high=2, exclude_zero=True).tolist()
    assert set(make_tensor(64, dtype=engine.bool, device="cpu").tolist()) == {False, True}
    assert make_tensor(2, 3, dtype=engine.float32, device="cpu", noncontiguous=True).stride() == (6, 2)
    assert make_tensor(3, dtype=engine.float32, device="cpu", requires_grad=True).requires_grad
    with pytest.raises(ValueError, match="`low` must be less than `high`, but got 2 >= 1"):
        make_tensor(3, dtype=engine.float32, device="cpu", low=2, high=1)
    with pytest.raises(ValueError, match="requires_grad=True"):
        make_tensor(3, dtype=engine.int64, device="cpu", requires_grad=True)
