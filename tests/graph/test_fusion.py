"""How many kernels known programs become. A rise is a regression, even where every value is still right."""

from __future__ import annotations

import pytest

import engine as torch
import engine.nn.functional as F
from engine import nn, optim


def kernels(program):
    """Kernels that a program launches (its first run: nothing merged yet)."""
    torch.synchronize()
    before = torch.launch_count()
    kept = program()
    torch.synchronize()
    del kept
    return torch.launch_count() - before


def rows(*shape, grad=False):
    """A realized random tensor."""
    x = torch.randn(*(shape or (64, 100)))
    torch.synchronize()
    return x.requires_grad_(grad)


def both_ways(function, *shape):
    """A program of a forward and a backward pass."""
    x, g = rows(*shape, grad=True), rows(*shape)

    def program():
        y = function(x)
        y.backward(g if y.ndim else None)
        return y, x.grad

    return program


def test_a_chain_of_eight_pointwise_ops_is_one_kernel():
    x, y = rows(), rows()

    def chain():
        z = x
        for _ in range(4):
            z = (z + y) * 1.01
        return z

    assert kernels(chain) == 1
    assert kernels(lambda: torch.where((x > y) & (x.abs() < 1), x.exp().sqrt(), -y.sigmoid())) == 1


@pytest.mark.parametrize(
    ("name", "program"),
    [
        ("softmax along rows", lambda x, v: F.softmax(x, 1)),
        ("softmax along columns", lambda x, v: F.softmax(x, 0)),
        ("log_softmax", lambda x, v: F.log_softmax(x, 1)),
        ("layer_norm", lambda x, v: F.layer_norm(x, (100,), v, v)),
        ("rms_norm", lambda x, v: F.rms_norm(x, (100,), v)),
        ("a norm written out", lambda x, v: (x - x.mean(1, True)) / (x.var(1, keepdim=True) + 1e-5).sqrt() * v),
        ("group_norm", lambda x, v: F.group_norm(x.view(4, 4, 400), 2, v[:4], v[:4])),
        ("batch_norm", lambda x, v: F.batch_norm(x, None, None, v, v, True)),
        ("sum of everything", lambda x, v: x.sum()),
        ("sum along rows of a chain", lambda x, v: (x * v + 1).relu().sum(1)),
        ("mean along columns", lambda x, v: x.mean(0)),
        ("std", lambda x, v: x.std(1)),
        ("logsumexp", lambda x, v: x.logsumexp(1)),
        ("gelu", lambda x, v: F.gelu(x)),
        ("dropout", lambda x, v: F.dropout(x)),
        ("views cost nothing", lambda x, v: x.t()[::2].flip(1).unsqueeze(0) + 1),
        ("a broadcast", lambda x, v: x[:, None, :10] * x[None, :, :10]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_kernel(name, program):
    x, v = rows(), rows(100)
    assert kernels(lambda: program(x, v)) == 1


@pytest.mark.parametrize(
    ("most", "function"),
    [
        (1, lambda x: F.softmax(x, 1)),
        (2, lambda x: F.log_softmax(x, 1)),
        (2, lambda x: F.layer_norm(x, (100,))),
        (3, lambda x: F.cross_entropy(x, torch.zeros(64, dtype=torch.int64))),
        (1, lambda x: F.mse_loss(x, x.detach() * 2)),
        (1, lambda x: F.binary_cross_entropy_with_logits(x, x.detach().sigmoid())),
    ],
)
def test_forward_and_backward(most, function):
    assert kernels(both_ways(function)) <= most + 1  # one for the constant operand some of them make


def test_without_fusion_each_primitive_is_a_kernel(monkeypatch):
    x, y = rows(), rows()
    monkeypatch.setattr(torch.config, "fusion", False)
    assert kernels(lambda: (x + y).exp() * 2) == 3
    assert kernels(lambda: F.softmax(x, 1)) == 5  # max, subtract, exp, sum, divide


def test_a_write_through_a_view_is_one_kernel():
    x, y = rows(), rows()
    assert kernels(lambda: x[1:].copy_(y[1:] * 2)) == 1
    assert kernels(lambda: x.mul_(2).add_(y).clamp_(0, 1)) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, 0.1),
        lambda p: optim.SGD(p, 0.1, momentum=0.9),
        lambda p: optim.Adam(p),
        lambda p: optim.AdamW(p),
    ],
    ids=("SGD", "SGD with momentum", "Adam", "AdamW"),
)
def test_an_optimizer_takes_one_kernel_a_parameter_at_most(make):
    parameters = [nn.Parameter(rows(*shape)) for shape in ((20, 10), (20,), (10, 20), (10,))]
    optimizer = make(parameters)
    counts = []
    for _ in range(3):
        for p in parameters:
            p.grad = rows(*p.shape)
        counts.append(kernels(optimizer.step))
    assert max(counts[1:]) <= len(parameters)


class Step:
    """The tutorial's training step."""

    def __init__(self, optimizer):
        torch.manual_seed(0)
        sizes = (10, 6, 4, 2, 1)
        layers = [m for a, b in zip(sizes, sizes[1:]) for m in (nn.Linear(a, b), nn.Sigmoid())]
        self.net = nn.Sequential(*layers)
        self.optimizer = optimizer(self.net.parameters())
        self.x, self.y = torch.rand(32, 10), torch.rand(32, 1)
        torch.synchronize()

    def __call__(self):
        loss = F.binary_cross_entropy(self.net(self.x), self.y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()


OPTIMIZERS = {
    "SGD": lambda p: optim.SGD(p, lr=0.01),
    "momentum": lambda p: optim.SGD(p, lr=0.01, momentum=0.9),
    "Adam": lambda p: optim.Adam(p, lr=1e-3),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_after_the_first_ones_are_plan_hits(name):
    step = Step(OPTIMIZERS[name])
    for _ in range(3):
        step()
    before = torch.plan_stats()
    for _ in range(20):
        step()
    after = torch.plan_stats()
    assert after["misses"] == before["misses"]
    assert after["hits"] > before["hits"]


def test_a_learning_rate_that_changes_is_no_new_plan():
    step = Step(OPTIMIZERS["SGD"])
    schedule = optim.lr_scheduler.ExponentialLR(step.optimizer, 0.9)
    for _ in range(3):
        step()
        schedule.step()
    before = torch.plan_stats()["misses"]
    for _ in range(10):
        step()
        schedule.step()
    assert torch.plan_stats()["misses"] == before


@pytest.mark.parametrize("name", ("SGD", "Adam"))
def test_training_leaves_memory_where_it_was(name):
    step = Step(OPTIMIZERS[name])
    for _ in range(10):
        step()
    torch.synchronize()
    before = torch.memory_stats()["allocated"]
    for _ in range(2000):
        step()
    torch.synchronize()
    assert torch.memory_stats()["allocated"] == before


def test_one_row_is_a_row():
    """A dimension of size 1 may have any stride: a row pattern over a single row is one kernel as well."""
    x, v = rows(1, 256), rows(256)
    for function in (lambda: F.layer_norm(x, (256,), v, v), lambda: F.softmax(x, 1), lambda: F.normalize(x)):
        assert kernels(function) == 1
