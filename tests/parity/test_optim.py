"""Optimizers against PyTorch: twenty steps over grids of options, and state dicts exchanged both ways."""

import itertools
import warnings

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch")

SHAPES = {"Muon": ((3, 4), (5, 2))}
STEPS = 20


def grid(**options):
    return [dict(zip(options, values)) for values in itertools.product(*options.values())]


GRIDS = {
    "SGD": grid(momentum=[0, 0.9], dampening=[0, 0.3], weight_decay=[0, 0.1], maximize=[False, True])
    + grid(momentum=[0.9], nesterov=[True], weight_decay=[0, 0.1], maximize=[False, True])
    + [{"foreach": True}, {"fused": True, "momentum": 0.9}],
    "Adam": grid(
        betas=[(0.9, 0.999), (0.5, 0.9), (0.0, 0.0)],
        weight_decay=[0, 0.1],
        amsgrad=[False, True],
        maximize=[False, True],
    )
    + grid(decoupled_weight_decay=[True], weight_decay=[0.1], lr=[0.1])
    + [{"foreach": True}, {"fused": True, "amsgrad": True}, {"eps": 0.1}],
    "AdamW": grid(weight_decay=[0, 0.01, 0.1], amsgrad=[False, True], maximize=[False, True]),
    "Adamax": grid(betas=[(0.9, 0.999), (0.5, 0.9)], weight_decay=[0, 0.1], maximize=[False, True]),
    "Adagrad": grid(
        lr_decay=[0, 0.1], weight_decay=[0, 0.1], initial_accumulator_value=[0, 0.1], maximize=[False, True]
    ),
    "Adadelta": grid(lr=[1.0, 0.1], rho=[0.9, 0.5], weight_decay=[0, 0.1], maximize=[False, True]),
    "ASGD": grid(lambd=[1e-4, 0.1], t0=[1e6, 5], weight_decay=[0, 0.1], maximize=[False, True]),
    "NAdam": grid(
        weight_decay=[0, 0.1], decoupled_weight_decay=[False, True], momentum_decay=[4e-3, 0.1], maximize=[False, True]
    ),
    "RAdam": grid(
        betas=[(0.9, 0.999), (0.9, 0.9)], weight_decay=[0, 0.1], decoupled_weight_decay=[False, True], maximize=[False]
    )
    + [{"maximize": True}],
    "RMSprop": grid(momentum=[0, 0.9], centered=[False, True], weight_decay=[0, 0.1], maximize=[False, True]),
    "Rprop": grid(etas=[(0.5, 1.2), (0.4, 1.5)], step_sizes=[(1e-6, 50), (1e-2, 0.05)], maximize=[False, True]),
    "Adafactor": grid(lr=[0.01, 0.3], weight_decay=[0, 0.1], d=[1.0, 2.0], maximize=[False, True])
    + [{"eps": (1e-8, 1e-2), "beta2_decay": -0.5}],
    "Muon": grid(nesterov=[True, False], adjust_lr_fn=[None, "match_rms_adamw"], weight_decay=[0.1]),
}
CASES = [(name, options) for name, grids in GRIDS.items() for options in grids]
IDS = [f"{name}-{'-'.join(f'{k}={v}' for k, v in options.items())}" for name, options in CASES]


def gradients(name, steps, seed=1):
    rng = np.random.default_rng(seed)
    shapes = SHAPES.get(name, ((3, 4), (5,), (2, 3, 2)))
    return [[rng.standard_normal(shape).astype(np.float32) for shape in shapes] for _ in range(steps + 1)]


def parameters(lib, name):
    return [lib.tensor(value, requires_grad=True) for value in gradients(name, 0, seed=2)[0]]


def advance(lib, optimizer, params, grads):
    for values in grads:
        for p, value in zip(params, values):
            p.grad = lib.tensor(value)
        optimizer.step()


def array(tensor):
    return tensor.detach().float().cpu().numpy()


def tolerance(name):
    # Muon computes in bfloat16: one unit there is 1 / 256 of the step.
    return {"rtol": 1e-3, "atol": 2e-4} if name == "Muon" else {"rtol": 2e-6, "atol": 2e-6}


def assert_equal_states(ours, theirs, name):
    assert list(ours["state"]) == list(theirs["state"])
    for key, wanted in theirs["state"].items():
        got = ours["state"][key]
        assert list(got) == list(wanted)
        for item, value in wanted.items():
            np.testing.assert_allclose(array(got[item]), array(value), err_msg=item, **tolerance(name))
            assert str(got[item].dtype).split(".")[-1] == str(value.dtype).split(".")[-1]
    assert [list(group) for group in ours["param_groups"]] == [list(group) for group in theirs["param_groups"]]
    assert ours["param_groups"] == theirs["param_groups"]


def converted(value, lib):
    """A state dict with the tensors of another library."""
    if isinstance(value, dict):
        return {key: converted(item, lib) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(converted(item, lib) for item in value)
    return lib.tensor(value.detach().numpy().copy()) if hasattr(value, "detach") else value


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_twenty_steps(name, options):
    results = []
    for lib in (engine, torch):
        params = parameters(lib, name)
        optimizer = getattr(lib.optim, name)(params, **options)
        advance(lib, optimizer, params, gradients(name, STEPS))
        results.append((params, optimizer.state_dict()))
    for got, wanted in zip(results[0][0], results[1][0]):
        np.testing.assert_allclose(array(got), array(wanted), **tolerance(name))
    assert_equal_states(results[0][1], results[1][1], name)


@pytest.mark.parametrize("name", [name for name in GRIDS if name != "Muon"])
def test_tensor_lr(name):
    results = []
    for lib in (engine, torch):
        params = parameters(lib, name)
        optimizer = getattr(lib.optim, name)(params, lr=lib.tensor(0.05))
        advance(lib, optimizer, params, gradients(name, STEPS))
        results.append(params)
    for got, wanted in zip(*results):
        np.testing.assert_allclose(array(got), array(wanted), rtol=5e-6, atol=5e-6)


def test_tensor_betas():
    results = []
    for lib in (engine, torch):
        params = parameters(lib, "Adam")
        optimizer = lib.optim.Adam(params, betas=(lib.tensor(0.8), lib.tensor(0.95)))
        advance(lib, optimizer, params, gradients("Adam", STEPS))
        results.append(params)
    for got, wanted in zip(*results):
        np.testing.assert_allclose(array(got), array(wanted), rtol=5e-6, atol=5e-6)


@pytest.mark.parametrize("dtype", ["float64", "complex64"])
@pytest.mark.parametrize("name", [name for name in GRIDS if name not in ("Muon", "Adafactor")])
def test_other_dtypes(name, dtype):
    rng = np.random.default_rng(3)
    values = [rng.standard_normal((2, 6)) for _ in range(STEPS + 1)]
    values = [v.view(np.complex128).astype(dtype) if dtype == "complex64" else v for v in values]
    results = []
    for lib in (engine, torch):
        p = lib.tensor(values[0], requires_grad=True)
        optimizer = getattr(lib.optim, name)([p])
        advance(lib, optimizer, [p], [[v] for v in values[1:]])
        results.append(p.detach().numpy())
    assert results[0].dtype == dtype
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6, atol=1e-6 if dtype == "complex64" else 1e-12)


@pytest.mark.parametrize("source", ["engine", "torch"])
@pytest.mark.parametrize("name", list(GRIDS))
def test_state_dict_exchange(name, source):
    """Ten steps in one library, state and parameters carried over, ten more in the other: as twenty in one."""
    first, second = (engine, torch) if source == "engine" else (torch, engine)
    options = GRIDS[name][-1]
    grads = gradients(name, STEPS)

    params = parameters(first, name)
    optimizer = getattr(first.optim, name)(params, **options)
    advance(first, optimizer, params, grads[:10])
    moved = [second.tensor(p.detach().numpy().copy(), requires_grad=True) for p in params]
    successor = getattr(second.optim, name)(moved, lr=0.77)
    successor.load_state_dict(converted(optimizer.state_dict(), second))
    advance(second, successor, moved, grads[10:20])

    params = parameters(torch, name)
    optimizer = getattr(torch.optim, name)(params, **options)
    advance(torch, optimizer, params, grads[:20])
    for got, wanted in zip(moved, params):
        np.testing.assert_allclose(array(got), array(wanted), **tolerance(name))
    ours, theirs = successor.state_dict(), optimizer.state_dict()
    assert_equal_states(ours, theirs, name)


def test_defaults_and_signatures():
    import inspect

    for name in [*GRIDS, "LBFGS"]:
        ours, theirs = (inspect.signature(getattr(lib.optim, name)) for lib in (engine, torch))
        assert list(ours.parameters) == list(theirs.parameters)
        for key, parameter in theirs.parameters.items():
            assert ours.parameters[key].default == parameter.default, (name, key)
            assert ours.parameters[key].kind == parameter.kind, (name, key)


BAD = {
    "lr": -1.0,
    "eps": -1.0,
    "weight_decay": -1.0,
    "rho": 2.0,
    "lr_decay": -1.0,
    "initial_accumulator_value": -1.0,
    "betas": (2.0, 0.9),
    "momentum_decay": -1,
    "alpha": -1.0,
    "momentum": -1.0,
    "etas": (2.0, 3.0),
    "beta2_decay": 1.0,
    "d": 0.5,
    "adjust_lr_fn": "x",
    "lambd": -1.0,
}


@pytest.mark.parametrize("name", [*GRIDS, "LBFGS"])
def test_bad_options(name):
    import inspect

    def outcome(lib, key, value):
        try:
            getattr(lib.optim, name)([lib.tensor([[1.0]], requires_grad=True)], **{key: value})
        except (ValueError, TypeError, RuntimeError) as error:
            return type(error), str(error)
        return None

    for key in inspect.signature(getattr(torch.optim, name)).parameters:
        if key in BAD and not (name == "Adafactor" and key == "eps"):
            assert outcome(engine, key, BAD[key]) == outcome(torch, key, BAD[key]), key
    assert outcome(engine, "lr", engine.tensor([1.0, 2.0])) == (ValueError, "Tensor lr must be 1-element")


def rosenbrock(optimizer, x):
    """Closure for Rosenbrock's function of a vector of two."""

    def closure():
        optimizer.zero_grad()
        loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        loss.backward()
        return loss

    return closure


@pytest.mark.parametrize(
    "options",
    [
        {"line_search_fn": "strong_wolfe"},
        {"lr": 0.001, "max_iter": 10},
        {"line_search_fn": "strong_wolfe", "history_size": 3},
    ],
)
def test_lbfgs(options):
    results = []
    for lib in (engine, torch):
        x = lib.tensor([-1.5, 2.0], requires_grad=True, dtype=lib.float64)
        optimizer = lib.optim.LBFGS([x], **options)
        losses = [float(optimizer.step(rosenbrock(optimizer, x))) for _ in range(4)]
        results.append((losses, x.detach().numpy(), optimizer.state_dict()))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-6)
    ours, theirs = (result[2]["state"][0] for result in results)
    assert set(ours) == set(theirs)
    assert ours["n_iter"] == theirs["n_iter"]
    assert ours["func_evals"] == theirs["func_evals"]
    assert results[0][2]["param_groups"] == results[1][2]["param_groups"]


def test_lbfgs_state_dict_exchange():
    finals = []
    for first, second in ((torch, torch), (engine, torch), (torch, engine)):
        x = first.tensor([-1.5, 2.0], requires_grad=True, dtype=first.float64)
        optimizer = first.optim.LBFGS([x], line_search_fn="strong_wolfe", max_iter=5)
        optimizer.step(rosenbrock(optimizer, x))
        y = second.tensor(x.detach().numpy().copy(), requires_grad=True)
        successor = second.optim.LBFGS([y])
        successor.load_state_dict(converted(optimizer.state_dict(), second))
        successor.step(rosenbrock(successor, y))
        finals.append(y.detach().numpy())
    np.testing.assert_allclose(finals[1], finals[0], rtol=1e-6)
    np.testing.assert_allclose(finals[2], finals[0], rtol=1e-6)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "NAdam", "RAdam", "Adadelta", "ASGD"])
def test_differentiable(name):
    """The gradient through two steps. PyTorch counts steps in float32 there, hence the tolerance."""
    results = []
    for lib in (engine, torch):
        w = lib.tensor([0.5, -1.0, 2.0], requires_grad=True, dtype=lib.float64)
        p = w.clone()
        options = {"momentum": 0.9} if name == "SGD" else {}
        optimizer = getattr(lib.optim, name)([p], lr=0.1, differentiable=True, weight_decay=0.1, **options)
        for _ in range(2):
            p.grad = w * w + 1.0
            optimizer.step()
        (p * lib.tensor([1.0, 2.0, 3.0], dtype=lib.float64)).sum().backward()
        results.append((p.detach().numpy(), w.grad.numpy()))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=2e-5)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=2e-5)


def test_repr_and_bad_groups():
    reprs, errors = [], []
    for lib in (engine, torch):
        p, q = (lib.tensor([1.0], requires_grad=True) for _ in range(2))
        reprs.append(repr(lib.optim.Adam([{"params": [p], "lr": 0.1}, {"params": q}])))
        found = []
        for bad in (
            lib.tensor([1.0]),
            [],
            [1],
            [p * 2],
            [{"params": {p}}],
            [{"params": [p]}, {"params": [p]}],
            [("a", p), q],
            [{"params": [("a", p)]}, {"params": [q]}],
            [{"params": [p]}, {"params": [("a", q)]}],
            [{"params": [p]}, 5],
            [p, 3],
        ):
            with pytest.raises((TypeError, ValueError)) as caught:
                lib.optim.SGD(bad)
            found.append((caught.type, str(caught.value)))
        errors.append(found)
        with pytest.warns(UserWarning, match="duplicate parameters"):
            lib.optim.SGD([p, p])
    assert reprs[0] == reprs[1]
    assert [kind for kind, _ in errors[0]] == [kind for kind, _ in errors[1]]
    assert errors[0][1:] == errors[1][1:]


def test_load_state_dict_errors_and_names():
    outcomes = []
    for lib in (engine, torch):
        p, q = (lib.tensor([1.0], requires_grad=True) for _ in range(2))
        one, named = lib.optim.SGD([p]), lib.optim.SGD([("first", p)])
        two, groups = lib.optim.SGD([p, q]), lib.optim.SGD([{"params": [p]}, {"params": [q]}])
        found = []
        for target in (two, groups):
            with pytest.raises(ValueError) as caught:
                target.load_state_dict(one.state_dict())
            found.append(str(caught.value))
        one.load_state_dict(named.state_dict())
        found.append(one.state_dict())
        named.load_state_dict(lib.optim.SGD([p]).state_dict())
        found.append(named.state_dict())
        outcomes.append(found)
    assert outcomes[0] == outcomes[1]


def test_no_warnings_in_a_plain_loop():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        params = parameters(engine, "Adam")
        optimizer = engine.optim.AdamW(params)
        scheduler = engine.optim.lr_scheduler.StepLR(optimizer, 2)
        for values in gradients("Adam", 3):
            for p, value in zip(params, values):
                p.grad = engine.tensor(value)
            optimizer.step()
            scheduler.step()
