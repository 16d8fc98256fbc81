"""engine.compile: the same results as without, for whatever changes between calls."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import engine as torch


def _model(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def _train(compiled: bool, optimizer, steps: int = 8, schedule: bool = False) -> tuple[list, list]:
    model = _model()
    opt = optimizer(model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(opt, 2, 0.5) if schedule else None
    rng = np.random.default_rng(1)

    def step(x, y):
        loss = torch.nn.functional.mse_loss(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss

    run = torch.compile(step) if compiled else step
    losses = []
    for _ in range(steps):
        x = torch.tensor(rng.standard_normal((4, 5)).astype(np.float32))
        y = torch.tensor(rng.standard_normal((4, 3)).astype(np.float32))
        losses.append(run(x, y).item())
        if scheduler is not None:
            scheduler.step()
    if compiled:
        assert any(s.replay is not None for s in run._signatures.values())
    return losses, [p.detach().numpy().copy() for p in model.parameters()]


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, lr=0.1),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        lambda p: torch.optim.Adam(p, lr=0.01),
        lambda p: torch.optim.AdamW(p, lr=0.01, amsgrad=True),
        lambda p: torch.optim.RAdam(p, lr=0.01),
    ],
    ids=["SGD", "momentum", "Adam", "AdamW", "RAdam"],
)
@pytest.mark.parametrize("schedule", [False, True], ids=["constant", "scheduled"])
def test_training_is_the_same(optimizer, schedule):
    losses, params = _train(False, optimizer, 14, schedule)
    compiled_losses, compiled = _train(True, optimizer, 14, schedule)
    np.testing.assert_allclose(compiled_losses, losses, rtol=2e-5)
    for a, b in zip(compiled, params):
        np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


def test_constants_made_inside_survive_replays():
    def f(x):
        return x * torch.tensor([1.0, 2.0]) + 1

    g = torch.compile(f)
    for k in range(6):
        assert g(torch.tensor([float(k), 1.0])).tolist() == [k + 1.0, 3.0]


def test_random_numbers_go_on():
    g = torch.compile(lambda x: x + torch.rand(3))
    torch.manual_seed(3)
    expected = [(torch.zeros(3) + torch.rand(3)).tolist() for _ in range(6)]
    torch.manual_seed(3)
    assert [g(torch.zeros(3)).tolist() for _ in range(6)] == expected


def test_train_and_eval_are_told_apart():
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.5))
    run = torch.compile(lambda x: model(x))
    x = torch.randn(8, 4)
    with torch.no_grad():
        for _ in range(4):
            run(x)
        model.eval()
        for _ in range(4):
            np.testing.assert_allclose(run(x).numpy(), model(x).numpy(), rtol=1e-6)
    assert int(model[0].num_batches_tracked) == 4


def test_gradients_accumulate_without_zero_grad():
    w = torch.ones(3, requires_grad=True)

    def step(x):
        (w * x).sum().backward()

    run = torch.compile(step)
    for k in range(1, 7):
        run(torch.ones(3))
        assert w.grad.tolist() == [float(k)] * 3


def test_reading_a_value_runs_uncompiled_with_one_warning():
    def f(x):
        return x * 2 if x.sum().item() > 0 else x - 1

    g = torch.compile(f)
    with pytest.warns(UserWarning, match="uncompiled"):
        assert g(torch.ones(2)).tolist() == [2.0, 2.0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert g(-torch.ones(2)).tolist() == [-2.0, -2.0]


def test_shapes_and_arguments_select_their_own_capture():
    g = torch.compile(lambda x, k: x * k)
    for _ in range(4):
        assert g(torch.ones(2), 3).tolist() == [3.0, 3.0]
        assert g(torch.ones(3), 3).tolist() == [3.0] * 3
        assert g(torch.ones(2), 4).tolist() == [4.0, 4.0]


def test_outputs_that_need_a_gradient_keep_it():
    model = torch.compile(_model())
    for _ in range(5):
        x = torch.randn(2, 5)
        model.zero_grad()
        model(x).sum().backward()
        assert model._orig_mod[2].bias.grad.tolist() == [2.0] * 3


def _captured_step(optimizer):
    model = _model()
    opt = optimizer(model.parameters())

    def step(x, y):
        opt.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        opt.step()
        return loss

    run = torch.compile(step)
    x, y = torch.randn(4, 5), torch.randn(4, 3)
    for _ in range(20):
        run(x, y)
    (signature,) = run._signatures.values()
    return model, opt, step, run, signature.replay, x, y


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.SGD(p, lr=0.1),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        lambda p: torch.optim.Adam(p, lr=0.01),
    ],
    ids=["SGD", "momentum", "Adam"],
)
def test_parameters_state_and_gradients_stay_in_place(optimizer):
    model, opt, step, run, replay, x, y = _captured_step(optimizer)
    assert replay.steady is not None
    weight = model[0].weight
    buffers = weight._storage.node.buffer, weight.grad._storage.node.buffer
    before = weight._version
    for _ in range(3):
        run(x, y)
    assert (weight._storage.node.buffer, weight.grad._storage.node.buffer) == buffers
    assert weight._version == before + 3


def test_a_steady_replay_notices_what_has_moved():
    model, opt, step, run, replay, x, y = _captured_step(lambda p: torch.optim.SGD(p, lr=0.1))
    twin = _model()
    twin.load_state_dict(model.state_dict())
    ours = torch.optim.SGD(twin.parameters(), lr=0.1)

    def plain(x, y):
        ours.zero_grad()
        loss = torch.nn.functional.mse_loss(twin(x), y)
        loss.backward()
        ours.step()
        return loss

    for change in range(5):
        if change == 1:
            with torch.no_grad():
                model[0].weight.add_(1.0)
                twin[0].weight.add_(1.0)
        if change == 2:
            opt.param_groups[0]["lr"] = ours.param_groups[0]["lr"] = 0.3
        if change == 3:
            x = torch.randn(4, 5)
        if change == 4:
            model[2].bias.data = torch.ones(3)
            twin[2].bias.data = torch.ones(3)
        assert run(x, y).item() == pytest.approx(plain(x, y).item(), rel=1e-5)
    for a, b in zip(model.parameters(), twin.parameters()):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("returned", [False, True])
def test_launches_for_many_tensors_are_replayed(returned):
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal((40, 30)).astype(np.float32) for _ in range(12)]

    def made():
        params = [torch.nn.Parameter(torch.tensor(a)) for a in arrays]
        opt = torch.optim.Adam(params, lr=0.1)

        def step(x):
            opt.zero_grad()
            loss = sum((p * x).square().sum() for p in params)
            loss.backward()
            opt.step()
            return [p * 2 for p in params] if returned else loss

        return params, step

    params, step = made()
    others, plain = made()
    run = torch.compile(step)
    for i in range(14):
        x = torch.full((40, 30), 1.0 + 0.1 * i)
        a, b = run(x), plain(x)
        if returned:
            for u, v in zip(a, b):
                np.testing.assert_allclose(u.detach().numpy(), v.detach().numpy(), rtol=1e-4, atol=1e-5)
    for p, q in zip(params, others):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-4, atol=1e-5)


def test_models_of_one_form_do_not_disturb_each_other():
    def made(seed):
        model = _model(seed)
        opt = torch.optim.SGD(model.parameters(), lr=0.01)

        def step(x):
            opt.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            opt.step()
            return loss

        return model, step

    x = torch.randn(4, 5)
    models = [made(seed) for seed in (0, 1)]
    twins = [made(seed) for seed in (0, 1)]
    runs = [torch.compile(step) for _, step in models]  # their plan is the same
    for turns in ((12, 12), (3, 1), (1, 3), (1, 1), (20, 0), (0, 1)):
        for run, (_, plain), count in zip(runs, twins, turns):
            for _ in range(count):
                assert run(x).item() == pytest.approx(plain(x).item(), rel=1e-5)
    for (model, _), (twin, _) in zip(models, twins):
        for p, q in zip(model.parameters(), twin.parameters()):
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-5, atol=1e-6)
