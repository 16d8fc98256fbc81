"""Recurrent layers over the space of their arguments against torch, on both schedules."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nn_compare import both, leaves, load_from_torch  # noqa: E402

import engine.nn  # noqa: E402
from engine.settings import settings  # noqa: E402

SIZES = [  # steps, batch, inputs, hidden
    (4, 3, 2, 1),
    (3, 1, 5, 3),
    (5, 7, 4, 10),
    (2, 33, 3, 100),
    (3, 2, 6, 127),
    (2, 1, 3, 513),
    (1, 6, 4, 20),
]
LAYERS = [("LSTM", {}), ("GRU", {}), ("RNN", {}), ("RNN", {"nonlinearity": "relu"})]


@pytest.fixture(params=["cpu", "gpu"])
def schedule(request, monkeypatch):
    monkeypatch.setattr(settings, "schedule", request.param)


def compare(name, sizes, state=True, lengths=None, dtype="float32", tolerance=1e-5, **options):
    """Results and all gradients of a layer, of padded rows or packed ones."""
    steps, batch, inputs, hidden = sizes
    reference = getattr(torch.nn, name)(inputs, hidden, **options).to(getattr(torch, dtype))
    net = getattr(engine.nn, name)(inputs, hidden, **options).to(getattr(engine, dtype))
    load_from_torch(net, reference)
    rng = np.random.default_rng(0)
    rows = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    shape = (batch, steps, inputs) if options.get("batch_first") else (steps, batch, inputs)
    x = rng.standard_normal(shape).astype(dtype)
    h = rng.standard_normal((rows, batch, options.get("proj_size", 0) or hidden)).astype(dtype)
    c = rng.standard_normal((rows, batch, hidden)).astype(dtype)
    sides = []
    given = list(zip(*[both(a, True) for a in (x, h, c)], strict=True))
    for framework, module, (x_, h_, c_) in zip((engine, torch), (net, reference), given, strict=True):
        rows = x_
        if lengths:
            rows = framework.nn.utils.rnn.pack_padded_sequence(x_, lengths, enforce_sorted=False)
        y, last = module(rows, ((h_, c_) if name == "LSTM" else h_) if state else None)
        outs = leaves((y.data if lengths else y, last))
        draw = np.random.default_rng(1)
        sum((o * framework.tensor(draw.standard_normal(tuple(o.shape)).astype(dtype))).sum() for o in outs).backward()
        wanted = [x_, *module.parameters(), *([h_] * state), *([c_] * (state and name == "LSTM"))]
        sides.append([t.detach().numpy() for t in outs] + [t.grad.numpy() for t in wanted])
    for got, expected in zip(*sides, strict=True):
        np.testing.assert_allclose(
            got, expected, rtol=tolerance, atol=tolerance * max(1, np.abs(expected).max(initial=0))
        )


@pytest.mark.usefixtures("schedule")
@pytest.mark.parametrize(("name", "options"), LAYERS, ids=str)
def test_sizes(name, options):
    for sizes in SIZES:
        compare(name, sizes, **options)


@pytest.mark.usefixtures("schedule")
@pytest.mark.parametrize(("name", "options"), LAYERS, ids=str)
def test_two_directions(name, options):
    compare(name, (4, 5, 3, 12), state=False, bidirectional=True, **options)
    compare(name, (1, 5, 3, 12), bidirectional=True, bias=False, **options)
    compare(name, (3, 5, 3, 12), bidirectional=True, num_layers=2, batch_first=True, **options)


@pytest.mark.usefixtures("schedule")
@pytest.mark.parametrize(("name", "options"), LAYERS, ids=str)
def test_packed_rows(name, options):
    for bidirectional in (False, True):
        compare(name, (6, 5, 3, 20), lengths=[3, 6, 1, 3, 4], bidirectional=bidirectional, **options)
    compare(name, (1, 4, 3, 20), lengths=[1, 1, 1, 1], state=False, **options)


@pytest.mark.usefixtures("schedule")
def test_projected_states():
    compare("LSTM", (4, 5, 3, 40), proj_size=7)
    compare("LSTM", (3, 18, 3, 21), state=False, proj_size=17, bidirectional=True)
    compare("LSTM", (1, 5, 3, 20), proj_size=7)
    compare("LSTM", (4, 5, 3, 20), lengths=[2, 4, 1, 1, 4], proj_size=6, bidirectional=True)


def test_large_weights_take_a_launch_a_step():
    compare("LSTM", (3, 2, 4, 260), bidirectional=True)
    compare("LSTM", (3, 2, 4, 300), proj_size=280)
    compare("GRU", (3, 1, 4, 300))


def test_many_rows():
    compare("GRU", (2, 300, 3, 17))
    compare("LSTM", (2, 131, 3, 33))


@pytest.mark.parametrize(("name", "options"), LAYERS, ids=str)
def test_doubles(name, options):
    compare(name, (3, 5, 4, 12), bidirectional=True, dtype="float64", tolerance=1e-12, **options)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "RNN"])
def test_autocast(name):
    results = []
    for framework in (engine, torch):
        net = getattr(framework.nn, name)(8, 16)
        with framework.autocast("cpu", framework.bfloat16):
            y, last = net(framework.ones(7, 3, 8))
        results.append([str(t.dtype).split(".")[-1] for t in leaves((y, last))])
    assert results[0] == results[1]
