"""Whether anything works at all, in seconds: one small test for each part that the rest stands on.

These also run on the simulator that checks every memory access (see README), so sizes stay tiny.
"""

from __future__ import annotations

import numpy as np
import pytest

import engine as torch
import engine.nn.functional as F
from engine import nn, optim

pytestmark = pytest.mark.small


def close(tensor, expected):
    np.testing.assert_allclose(tensor.detach().numpy(), np.asarray(expected), rtol=1e-5, atol=1e-6)


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_to_the_device_and_back():
    close(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), [[1, 2], [3, 4]])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "uint8", "int32", "int64", "bool"])
def test_dtypes(dtype):
    x = torch.tensor([0, 1, 3], dtype=getattr(torch, dtype))
    assert (x + x).tolist() == ([False, True, True] if dtype == "bool" else [0, 2, 6])


def test_pointwise_with_broadcast():
    a, b = numbers(5, 1), numbers(7, seed=1)
    close((torch.tensor(a) * 2 - torch.tensor(b)).exp().clamp(max=3), np.exp(a * 2 - b).clip(max=3))


def test_where_and_comparison():
    a = numbers(4, 5)
    x = torch.tensor(a)
    close(torch.where(x > 0, x, x * 0.1), np.where(a > 0, a, a * 0.1))


def test_views():
    a = numbers(4, 6)
    close(torch.tensor(a).t()[::2].flip(1) + 0, a.T[::2, ::-1])


@pytest.mark.parametrize("dim", [None, 0, 1, (0, 2)])
def test_reductions(dim):
    a = numbers(3, 5, 4)
    x = torch.tensor(a)
    close(x.sum(dim), a.sum(dim))
    close(x.amax(() if dim is None else dim), a.max(dim))


def test_softmax_and_norm():
    a = numbers(3, 9)
    e = np.exp(a - a.max(1, keepdims=True))
    close(F.softmax(torch.tensor(a), 1), e / e.sum(1, keepdims=True))
    centred = a - a.mean(1, keepdims=True)
    close(F.layer_norm(torch.tensor(a), (9,)), centred / np.sqrt(a.var(1, keepdims=True) + 1e-5))


@pytest.mark.parametrize(("m", "k", "n"), [(1, 8, 1), (3, 4, 5), (17, 9, 20)])
def test_matmul(m, k, n):
    a, b = numbers(m, k), numbers(k, n, seed=1)
    close(torch.tensor(a) @ torch.tensor(b), a @ b)


def test_convolution():
    a, w = numbers(1, 2, 5, 5), numbers(3, 2, 3, 3, seed=1)
    windows = np.lib.stride_tricks.sliding_window_view(a, (3, 3), (2, 3))
    close(F.conv2d(torch.tensor(a), torch.tensor(w)), np.einsum("bcyxij,ocij->boyx", windows, w))


def test_max_pool():
    a = numbers(1, 1, 4, 4)
    close(F.max_pool2d(torch.tensor(a), 2), a.reshape(1, 1, 2, 2, 2, 2).max((3, 5)))


def test_indexing():
    a = numbers(5, 3)
    x = torch.tensor(a)
    close(x[torch.tensor([4, 0, -1])], a[[4, 0, -1]])
    close(x[x > 0], a[a > 0])
    with pytest.raises(IndexError):
        x[torch.tensor([5])].sum().item()


def test_assignment():
    a = numbers(4, 4)
    x = torch.tensor(a)
    x[1:, 0] = 7
    x[0] += x[1]
    a[1:, 0] = 7
    a[0] += a[1]
    close(x, a)


def test_scatter_and_scan():
    x = torch.zeros(4).index_add(0, torch.tensor([1, 1, 3]), torch.tensor([1.0, 2.0, 3.0]))
    assert x.tolist() == [0.0, 3.0, 0.0, 3.0]
    assert x.cumsum(0).tolist() == [0.0, 3.0, 3.0, 6.0]


def test_sort():
    values, index = torch.tensor([2.0, -1.0, 5.0, 0.0]).sort()
    assert values.tolist() == [-1.0, 0.0, 2.0, 5.0]
    assert index.tolist() == [1, 3, 0, 2]


def test_random_numbers_follow_the_seed():
    torch.manual_seed(1)
    a = torch.rand(9)
    torch.manual_seed(1)
    assert torch.equal(a, torch.rand(9))
    assert 0 <= a.min().item() <= a.max().item() < 1


def test_gradients():
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    (x.pow(2) * x.detach()).sum().backward()
    close(x.grad, [2.0, 8.0, 18.0])


def test_training_step():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = optim.Adam(net.parameters(), lr=0.05)
    x = torch.tensor(numbers(6, 3))
    y = x.sum(1, keepdim=True)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)


def test_errors_leave_the_device_usable():
    with pytest.raises(RuntimeError):
        torch.ones(2, 3) @ torch.ones(2, 3)
    assert torch.ones(3).sum().item() == 3.0
