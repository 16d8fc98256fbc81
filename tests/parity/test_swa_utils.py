"""Averaged models against PyTorch."""

import copy

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch")


def model_of(lib, seed=0):
    """A small network with batch norm whose weights are the same in both libraries."""
    model = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.Linear(4, 2))
    fill(lib, model, seed)
    return model


def fill(lib, model, seed):
    rng = np.random.default_rng(seed)
    with lib.no_grad():
        for p in model.parameters():
            p.copy_(lib.tensor(rng.standard_normal(tuple(p.shape)).astype(np.float32)))
        for b in model.buffers():
            if b.dim():
                b.copy_(lib.tensor(rng.uniform(0.5, 1.5, tuple(b.shape)).astype(np.float32)))


def arrays(module):
    return {key: value.detach().numpy().copy() for key, value in module.state_dict().items()}


def assert_same(got, wanted):
    assert list(got) == list(wanted)
    for key in wanted:
        assert got[key].dtype == wanted[key].dtype
        np.testing.assert_allclose(got[key], wanted[key], rtol=2e-6, atol=1e-7, err_msg=key)


VARIANTS = {
    "swa": lambda S: {},
    "ema": lambda S: {"multi_avg_fn": S.get_ema_multi_avg_fn(0.9)},
    "ema-each": lambda S: {"avg_fn": S.get_ema_avg_fn(0.9)},
    "swa-each": lambda S: {"avg_fn": S.get_swa_avg_fn()},
    "swa-multi": lambda S: {"multi_avg_fn": S.get_swa_multi_avg_fn()},
    "own": lambda S: {"avg_fn": lambda average, value, number: (average * number + value) / (number + 1)},
    "ema-buffers": lambda S: {"multi_avg_fn": S.get_ema_multi_avg_fn(0.9), "use_buffers": True},
}


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_averages(variant):
    results = []
    for lib in (engine, torch):
        model = model_of(lib)
        averaged = lib.optim.swa_utils.AveragedModel(model, **VARIANTS[variant](lib.optim.swa_utils))
        for seed in range(1, 6):
            fill(lib, model, seed)
            averaged.update_parameters(model)
            if seed == 3:
                averaged = copy.deepcopy(averaged)
        results.append(arrays(averaged))
        assert int(averaged.n_averaged) == 5
    assert_same(*results)


def test_count_follows_load_state_dict():
    results = []
    for lib in (engine, torch):
        model = model_of(lib)
        first, second = (lib.optim.swa_utils.AveragedModel(model) for _ in range(2))
        for seed in (1, 2):
            fill(lib, model, seed)
            first.update_parameters(model)
        second.update_parameters(model)
        second.load_state_dict(first.state_dict())
        fill(lib, model, 3)
        second.update_parameters(model)
        results.append(arrays(second))
        x = lib.ones(5, 3)
        np.testing.assert_array_equal(second.eval()(x).detach().numpy(), second.module(x).detach().numpy())
    assert_same(*results)


@pytest.mark.parametrize("training", [False, True])
def test_update_bn(training):
    results = []
    data = [np.random.default_rng(i).standard_normal((6, 3)).astype(np.float32) for i in range(4)]
    for lib in (engine, torch):
        model = model_of(lib).train(training)
        batches = [lib.tensor(data[0]), [lib.tensor(data[1]), 7], (lib.tensor(data[2]),), lib.tensor(data[3])]
        lib.optim.swa_utils.update_bn(batches, model)
        assert model.training is training
        assert model[1].momentum == 0.1
        results.append(arrays(model))
    assert_same(*results)


def test_errors():
    for lib in (engine, torch):
        swa = lib.optim.swa_utils
        with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn should be provided"):
            swa.AveragedModel(model_of(lib), avg_fn=swa.get_swa_avg_fn(), multi_avg_fn=swa.get_swa_multi_avg_fn())
        for get in (swa.get_ema_avg_fn, swa.get_ema_multi_avg_fn):
            with pytest.raises(ValueError, match="Invalid decay value 2 provided"):
                get(2)
