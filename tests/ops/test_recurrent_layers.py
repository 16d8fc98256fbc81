"""Recurrent layers as one op against their unrolled form in tensor ops, on both schedules; kernels they take."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import nn
from engine.nn.functional import rnn as functional
from engine.ops import recurrent
from engine.settings import settings

KINDS = ("LSTM", "GRU", "TANH", "RELU")


def numbers(rng, *shape, dtype=engine.float32):
    return engine.tensor(rng.uniform(-0.5, 0.5, shape).astype("float64")).to(dtype)


def problem(kind, sizes, directions=1, bias=True, state=True, width=0, batch_sizes=None, dtype=engine.float32):
    """(description, operands) of a layer."""
    steps, batch, inputs, hidden = sizes
    rng = np.random.default_rng(0)
    gates = {"LSTM": 4, "GRU": 3}.get(kind, 1) * hidden
    packed = (len(batch_sizes), batch_sizes[0]) if batch_sizes else (None, None)
    r = recurrent.Recurrent(kind, directions, bias, state, width > 0, *packed, functional._unrolled)
    batch = batch_sizes[0] if batch_sizes else batch
    shapes = {"x": (sum(batch_sizes), inputs) if batch_sizes else (steps, batch, inputs)}
    shapes |= {"h0": (directions, batch, width or hidden), "c0": (directions, batch, hidden)}
    for d in range(directions):
        shapes |= {f"w_ih{d}": (gates, inputs), f"w_hh{d}": (gates, width or hidden)}
        shapes |= {f"b_ih{d}": (gates,), f"b_hh{d}": (gates,), f"w_hr{d}": (width, hidden)}
    made = {name: numbers(rng, *shapes[name], dtype=dtype) for name in r.names if name != "off"}
    for name in made:
        if name.startswith("w_"):
            made[name] = made[name] * (2 / max(4, made[name].size(1)) ** 0.5)
    if batch_sizes:
        made["off"] = recurrent.rows_of(batch_sizes, made["x"].device)
    return r, [made[name] for name in r.names]


def run(function, r, operands):
    """Results and gradients of all operands, as arrays."""
    leaves = [t.clone().requires_grad_() if t.is_floating_point() else t for t in operands]
    outs = function(r, leaves)
    rng = np.random.default_rng(1)
    sum((o * numbers(rng, *o.shape, dtype=o.dtype)).sum() for o in outs).backward()
    return [o.detach().double().numpy() for o in outs], [t.grad.double().numpy() for t in leaves if t.requires_grad]


def compare(r, operands, tolerance=5e-6):
    for got, expected in zip(run(recurrent.layer, r, operands), run(functional._unrolled, r, operands), strict=True):
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * max(1, np.abs(b).max(initial=0)))


@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients(kind, schedule, monkeypatch):
    monkeypatch.setattr(settings, "schedule", schedule)
    compare(*problem(kind, (3, 5, 3, 20), directions=2))


def test_packed_rows():
    compare(*problem("GRU", (0, 0, 3, 20), 2, batch_sizes=[4, 4, 2, 1]))


def test_projected_states():
    compare(*problem("LSTM", (3, 5, 3, 20), width=7, state=False))


def test_half_precision():
    compare(*problem("LSTM", (3, 5, 3, 20), directions=2, dtype=engine.bfloat16), tolerance=0.05)


def test_only_some_gradients():
    r, operands = problem("GRU", (2, 2, 4, 6))
    for wanted in range(len(operands)):
        found = []
        for function in (recurrent.layer, functional._unrolled):
            leaves = [t.clone().requires_grad_(i == wanted) for i, t in enumerate(operands)]
            function(r, leaves)[1].sum().backward()
            found.append(leaves[wanted].grad.numpy())
        np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["LSTM", "TANH"])
def test_second_derivatives(kind):
    r, operands = problem(kind, (2, 2, 3, 4), dtype=engine.float64)
    found = []
    for function in (recurrent.layer, functional._unrolled):
        leaves = [t.clone().requires_grad_() for t in operands]
        first = engine.autograd.grad(function(r, leaves)[0].square().sum(), leaves, create_graph=True)
        sum(g.square().sum() for g in first).backward()
        found.append([t.grad.numpy() for t in leaves])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12)


def test_vmap_and_forward_mode():
    net = nn.GRU(3, 5)
    x, v = numbers(np.random.default_rng(0), 3, 2, 2, 3), numbers(np.random.default_rng(1), 2, 2, 3)
    mapped = engine.vmap(lambda part: net(part)[0])(x)
    np.testing.assert_allclose(mapped.detach().numpy(), [net(part)[0].detach().numpy() for part in x], atol=1e-6)
    y, moved = engine.func.jvp(lambda part: net(part)[0], (x[0],), (v,))
    with engine.no_grad():
        step = (net(x[0] + 0.01 * v)[0] - net(x[0] - 0.01 * v)[0]) / 0.02
    np.testing.assert_allclose(moved.detach().numpy(), step.numpy(), atol=1e-4)


def test_an_output_may_be_changed_in_place():
    net, x = nn.GRU(3, 5), engine.randn(4, 2, 3)
    found = []
    for change in (lambda y: y.mul_(3), lambda y: y * 3):
        net.zero_grad()
        change(net(x)[0]).sum().backward()
        found.append(net.weight_hh_l0.grad.numpy())
    np.testing.assert_allclose(*found, rtol=1e-6, atol=1e-6)


class Encoded(engine.data.Dataset):
    """Items that a recurrent layer makes where they are asked for."""

    def __init__(self, net, x):
        self.net, self.x = net, x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        with engine.no_grad():
            return self.net(self.x[i])[0]


@pytest.mark.parametrize(
    "options", [("GRU", {}), ("LSTM", {"bidirectional": True, "proj_size": 2}), ("RNN", {})], ids=str
)
def test_layers_in_loader_workers(options):
    net, x = getattr(nn, options[0])(3, 5, **options[1]), engine.randn(2, 4, 2, 3)
    data = Encoded(net, x)
    made = list(engine.data.DataLoader(data, batch_size=None, num_workers=1))
    for got, expected in zip(made, (data[0], data[1]), strict=True):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), atol=1e-6)


def launches(program):
    engine.synchronize()
    before = engine.launch_count()
    kept = program()
    engine.synchronize()
    del kept
    return engine.launch_count() - before


@pytest.mark.parametrize(("kind", "count"), [("LSTM", 6), ("GRU", 6), ("RNN", 6)])
def test_a_layer_takes_three_kernels(kind, count):
    net, x = getattr(nn, kind)(40, 64, 2), engine.randn(12, 8, 40)
    engine.synchronize()
    with engine.no_grad():
        launches(lambda: net(x)[0])
        assert launches(lambda: net(x)[0]) <= count


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_training_takes_few_kernels(kind):
    net, x = getattr(nn, kind)(40, 64, 2), engine.randn(12, 8, 40)
    engine.synchronize()

    def step():
        net.zero_grad()
        net(x)[0].sum().backward()
        return [p.grad for p in net.parameters()]

    launches(step)
    assert launches(step) <= 24


def test_a_compiled_layer_equals_itself():
    net, x = nn.LSTM(5, 16, 2, bidirectional=True), engine.randn(6, 3, 5)
    fast = engine.compile(net)
    for _ in range(3):
        y, (h, c) = fast(x)
    expected, (h0, c0) = net(x)
    for a, b in ((y, expected), (h, h0), (c, c0)):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


def test_sizes_that_do_not_fit():
    r, operands = problem("GRU", (3, 2, 4, 6))
    operands[1] = operands[1][:, :1]
    with pytest.raises(RuntimeError, match="expected h0 of shape"):
        recurrent.layer(r, operands)
    with pytest.raises(RuntimeError, match="sequence length to be larger than 0"):
        nn.GRU(4, 6)(engine.zeros(0, 2, 4))
    assert nn.GRU(4, 6)(engine.zeros(3, 0, 4))[0].shape == (3, 0, 6)
