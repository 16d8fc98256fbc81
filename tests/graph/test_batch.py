"""Independent kernels of one text share a launch; values stay those of kernels run one after another."""

from __future__ import annotations

import numpy as np
import pytest

import engine as torch
from engine import optim
from engine.graph import plan
from engine.graph.batch_kernel import combine
from engine.graph.log import log_of

SIZES = (5, 300, 7, 1000, 1, 129, 4096, 33, 70_000, 12, 2, 640, 9, 9, 9, 350, 500, 130, 250, 40)


def kernels(program):
    """Kernels that a program launches."""
    torch.synchronize()
    before = torch.launch_count()
    program()
    torch.synchronize()
    return torch.launch_count() - before


@pytest.fixture(params=["cpu", "gpu", "arguments"])
def schedule(request, monkeypatch):
    """Both kinds of generated kernels, and buffers as arguments where their addresses would do."""
    before = torch.config.schedule
    if request.param == "arguments":
        monkeypatch.setattr(plan, "combine", lambda *args: combine(*args[:-1], False))
        log_of(torch.device("cpu")).plans.clear()
    else:
        torch.config.schedule = request.param
    yield request.param
    torch.config.schedule = before
    log_of(torch.device("cpu")).plans.clear()


def arrays(sizes=SIZES, seed=0):
    """Random vectors."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(n).astype(np.float32) for n in sizes]


def realized(values):
    """Tensors of them, in memory."""
    made = [torch.tensor(v) for v in values]
    torch.synchronize()
    return made


def test_many_tensors_are_few_launches(schedule):
    a, b = arrays(), arrays(seed=1)
    x, y = realized(a), realized(b)
    results = []
    assert kernels(lambda: results.extend(u * 2 + v for u, v in zip(x, y))) <= 4
    for u, v, r in zip(a, b, results):
        np.testing.assert_allclose(r.numpy(), u * 2 + v, rtol=1e-6)


def test_each_set_has_its_own_numbers(schedule):
    a = arrays()
    x = realized(a)
    results = [u.mul(i).add(0.5) for i, u in enumerate(x)]
    for i, (u, r) in enumerate(zip(a, results)):
        np.testing.assert_allclose(r.numpy(), u * i + 0.5, rtol=1e-6, atol=1e-6)


def test_more_sets_than_one_launch_has_parameters_for(schedule):
    sizes = tuple(130 + i for i in range(150))
    a, b = arrays(sizes), arrays(sizes, 1)
    x, y = realized(a), realized(b)
    results = [u - v for u, v in zip(x, y)]
    for u, v, r in zip(a, b, results):
        np.testing.assert_array_equal(r.numpy(), u - v)


def test_values_that_neighbours_read_are_not_overwritten(schedule):
    a, b = arrays((70_000,) * 4), arrays((70_000,) * 4, 1)
    x, y = realized(a), realized(b)
    for _ in range(3):  # each new x needs the old y and the other way round
        x, y = [u + 0.5 * v for u, v in zip(x, y)], [v - 0.25 * u for u, v in zip(x, y)]
        a, b = [u + 0.5 * v for u, v in zip(a, b)], [v - 0.25 * u for u, v in zip(a, b)]
        torch.synchronize()
    for got, expected in zip(x + y, a + b):
        np.testing.assert_allclose(got.numpy(), expected, rtol=1e-5, atol=1e-5)


def test_rotation_in_place(schedule):
    a = arrays((40_000,) * 6)
    x = realized(a)
    old = [u * 1 for u in x]
    for i, u in enumerate(x):
        u.copy_(old[(i + 1) % 6])
        u.mul_(2)
    for i, u in enumerate(x):
        np.testing.assert_array_equal(u.numpy(), a[(i + 1) % 6] * 2)


def test_temporaries_at_offsets_and_chains(schedule):
    a = arrays((50_000, 30_000, 70_000, 300, 7))
    results = []
    for u in realized(a):
        v = torch.cumsum(u * 2, 0)  # a kernel of its own, between pointwise ones
        results.append(torch.cumsum(v * v * 1e-6, 0) * 3)
    for u, r in zip(a, results):
        v = np.cumsum((u * 2).astype(np.float64))
        np.testing.assert_allclose(r.numpy(), np.cumsum(v * v * 1e-6) * 3, rtol=1e-3, atol=1e-3)


def test_rows_and_columns(schedule):
    rng = np.random.default_rng(0)
    a = [rng.standard_normal(s).astype(np.float32) for s in ((40, 300), (300, 40), (7, 9), (64, 128), (1, 500))]
    x = realized(a)
    means, tops, soft = [u.mean(0) for u in x], [u.amax(1) for u in x], [u.softmax(1) for u in x]
    for u, m, t, s in zip(a, means, tops, soft):
        np.testing.assert_allclose(m.numpy(), u.mean(0), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(t.numpy(), u.max(1))
        e = np.exp(u - u.max(1, keepdims=True))
        np.testing.assert_allclose(s.numpy(), e / e.sum(1, keepdims=True), rtol=1e-4, atol=1e-6)


def test_indices_are_checked_in_a_batch(schedule):
    tables = realized(arrays((300,) * 5))
    where = [torch.tensor(np.arange(i, 200 + i)) for i in range(5)]
    got = [t[i] for t, i in zip(tables, where)]
    for i, (t, g) in enumerate(zip(tables, got)):
        np.testing.assert_array_equal(g.numpy(), t.numpy()[i : 200 + i])
    bad = [t[i + 100] for t, i in zip(tables, where)]
    with pytest.raises(IndexError):
        bad[0].numpy()


@pytest.mark.parametrize("order", [1.0, 2.0, float("inf"), 3.0])
def test_clipping_and_an_update_are_few_launches(schedule, order):
    shapes = ((8192, 64), (300,), (5, 7), (), (40_000,), *((64,),) * 9, *((64, 64),) * 9)
    rng = np.random.default_rng(0)
    p = [torch.tensor(rng.standard_normal(s).astype(np.float32), requires_grad=True) for s in shapes]
    g = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    a = [t.detach().numpy().copy() for t in p]
    for t, v in zip(p, g):
        t.grad = torch.tensor(v)
    step = optim.SGD(p, lr=0.5)
    norms = []
    count = kernels(lambda: (norms.append(torch.nn.utils.clip_grad_norm_(p, 2.0, order)), step.step()))
    assert order == 3.0 or count <= 16
    whole = np.concatenate([v.reshape(-1) for v in g]).astype(np.float64)
    norm = np.linalg.norm(whole, order)
    np.testing.assert_allclose(norms[0].item(), norm, rtol=1e-4)
    for t, u, v in zip(p, a, g):
        scaled = v * min(1, 2 / (norm + 1e-6))
        np.testing.assert_allclose(t.grad.numpy(), scaled, rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(t.detach().numpy(), u - 0.5 * scaled, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_an_optimizer_over_many_tensors(schedule, dtype):
    a, g = arrays(), arrays(seed=1)
    p = [torch.tensor(v).to(dtype).requires_grad_() for v in a]
    for t, v in zip(p, g):
        t.grad = torch.tensor(v).to(dtype)
    held = p[3].detach() * 1
    torch.synchronize()
    old = p[8].detach().clone()
    step = optim.SGD(p, lr=0.125)
    assert kernels(step.step) <= 4
    tolerance = 1e-6 if dtype is torch.float32 else 2e-2
    for t, u, v in zip(p, a, g):
        np.testing.assert_allclose(t.detach().float().numpy(), u - 0.125 * v, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(old.float().numpy(), a[8], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(held.float().numpy(), a[3], rtol=tolerance, atol=tolerance)
