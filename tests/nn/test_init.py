"""nn.init: distributions and bounds by statistics, deterministic initialisers by value."""

import math

import numpy as np
import pytest

import engine

init = engine.nn.init


def filled(function, *args, shape=(80, 60), **kwargs):
    tensor = engine.empty(*shape)
    assert function(tensor, *args, **kwargs) is tensor
    return tensor.numpy()


def assert_uniform(values, low, high):
    width = high - low
    assert values.min() >= low
    assert values.max() <= high
    assert values.min() < low + 0.01 * width
    assert values.max() > high - 0.01 * width
    assert abs(values.mean() - (low + high) / 2) < 0.03 * width


def assert_normal(values, mean, std):
    assert abs(values.mean() - mean) < 0.06 * std
    assert abs(values.std() / std - 1) < 0.05


def test_plain_distributions():
    assert_uniform(filled(init.uniform_, -2.0, 3.0), -2, 3)
    assert_normal(filled(init.normal_, 1.0, 0.5), 1, 0.5)
    np.testing.assert_array_equal(filled(init.constant_, 0.3), np.full((80, 60), 0.3, "float32"))
    np.testing.assert_array_equal(filled(init.ones_), 1)
    np.testing.assert_array_equal(filled(init.zeros_), 0)
    truncated = filled(init.trunc_normal_, 0.5, 1.0, -0.5, 1.0)
    assert truncated.min() >= -0.5
    assert truncated.max() <= 1.0
    assert 0.2 < truncated.mean() < 0.35


def test_scaled_distributions():
    fan_in, fan_out = 60, 80
    assert_uniform(filled(init.xavier_uniform_, 2.0), *(s * 2 * math.sqrt(6 / (fan_in + fan_out)) for s in (-1, 1)))
    assert_normal(filled(init.xavier_normal_), 0, math.sqrt(2 / (fan_in + fan_out)))
    bound = math.sqrt(2 / (1 + 5)) * math.sqrt(3 / fan_in)
    assert_uniform(filled(init.kaiming_uniform_, math.sqrt(5)), -bound, bound)
    assert_normal(filled(init.kaiming_normal_, mode="fan_out", nonlinearity="relu"), 0, math.sqrt(2 / fan_out))
    kernel = filled(init.kaiming_normal_, nonlinearity="linear", shape=(16, 20, 3, 5))
    assert_normal(kernel, 0, 1 / math.sqrt(20 * 15))


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 8), (4, 2, 3)])
def test_orthogonal(shape):
    q = filled(init.orthogonal_, 2.0, shape=shape).reshape(shape[0], -1) / 2
    gram = q.T @ q if q.shape[0] >= q.shape[1] else q @ q.T
    np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)


def test_eye_dirac_sparse():
    np.testing.assert_array_equal(filled(init.eye_, shape=(3, 5)), np.eye(3, 5))
    weight = filled(init.dirac_, shape=(4, 2, 3), groups=2)
    expected = np.zeros((4, 2, 3))
    for out in range(4):
        expected[out, out % 2, 1] = 1
    np.testing.assert_array_equal(weight, expected)
    sparse = filled(init.sparse_, 0.31, 0.5, shape=(50, 40))
    assert ((sparse == 0).sum(0) == math.ceil(0.31 * 50)).all()


def test_gains():
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("selu") == 0.75
    assert init.calculate_gain("conv2d") == 1
    with pytest.raises(ValueError, match="Unsupported nonlinearity"):
        init.calculate_gain("what")
    with pytest.raises(ValueError, match="not a valid number"):
        init.calculate_gain("leaky_relu", True)


def test_errors_and_warnings():
    with pytest.raises(ValueError, match="fewer than 2 dimensions"):
        init.xavier_uniform_(engine.empty(3))
    with pytest.raises(ValueError, match="not supported"):
        init.kaiming_uniform_(engine.empty(3, 3), mode="fan")
    with pytest.raises(ValueError, match="2 dimensions"):
        init.eye_(engine.empty(3))
    with pytest.raises(ValueError, match="divisible by groups"):
        init.dirac_(engine.empty(3, 1, 1), 2)
    with pytest.warns(UserWarning, match="no-op"):
        init.kaiming_uniform_(engine.empty(0, 3))
    with pytest.warns(UserWarning, match="more than 2 std"):
        init.trunc_normal_(engine.empty(3), 9.0)
    with pytest.warns(FutureWarning, match="deprecated in favor of"):
        init.xavier_uniform(engine.empty(3, 3))


def test_parameters_keep_their_gradient_flag():
    param = engine.nn.Parameter(engine.zeros(3, 3))
    init.normal_(param)
    assert param.requires_grad
    assert param.is_leaf
    assert param.grad_fn is None


@pytest.mark.parametrize(
    ("make", "bound"),
    [
        (lambda: engine.nn.Linear(50, 400), 1 / math.sqrt(50)),
        (lambda: engine.nn.Conv2d(8, 64, 3), 1 / math.sqrt(72)),
        (lambda: engine.nn.ConvTranspose2d(64, 16, 3), 1 / math.sqrt(16 * 9)),
        (lambda: engine.nn.Bilinear(16, 20, 30), 1 / math.sqrt(16)),
        (lambda: engine.nn.LSTM(40, 25), 1 / math.sqrt(25)),
        (lambda: engine.nn.GRUCell(40, 25), 1 / math.sqrt(25)),
    ],
)
def test_module_bounds(make, bound):
    for param in make().parameters():
        values = param.detach().numpy()
        assert np.abs(values).max() <= bound
        if values.size > 500:
            assert_uniform(values, -bound, bound)


def test_embedding_is_normal_with_a_zero_row():
    weight = engine.nn.Embedding(200, 50, padding_idx=3).weight.detach().numpy()
    assert_normal(weight, 0, 1)
    assert (weight[3] == 0).all()
