"""The optimizers' base class: closures, hooks, groups, copies."""

import copy
import gc
import pickle
from collections import OrderedDict, defaultdict

import numpy as np
import pytest

import engine
from engine.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
    required,
)

ALL = ["ASGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Muon", "NAdam", "RAdam", "RMSprop"]
ALL += ["Rprop", "SGD"]


def param(values=((1.0, 2.0), (3.0, 4.0))):
    return engine.tensor(values, requires_grad=True)


def with_grad(p, value=1.0):
    p.grad = engine.full(tuple(p.shape), value)
    return p


def numbers(p):
    return p.detach().numpy().copy()


@pytest.mark.parametrize("name", ALL)
def test_minimises(name):
    """Every optimizer lowers a quadratic."""
    p = param()
    optimizer = getattr(engine.optim, name)([p], lr=0.05)

    def closure():
        optimizer.zero_grad()
        loss = ((p - 1.5) ** 2).sum()
        loss.backward()
        return loss

    first = closure().item()
    for _ in range(20):
        last = optimizer.step(closure)
    assert last.item() < first


@pytest.mark.parametrize("name", ALL)
def test_parameters_without_gradient_stay(name):
    p, q = param(), param()
    optimizer = getattr(engine.optim, name)([p, q])
    for _ in range(3):
        with_grad(p)
        optimizer.step()
    np.testing.assert_array_equal(numbers(q), [[1.0, 2.0], [3.0, 4.0]])
    assert name == "Adagrad" or not optimizer.state[q]
    with_grad(q)
    optimizer.step()
    if "step" in optimizer.state[p]:
        assert (optimizer.state[p]["step"].item(), optimizer.state[q]["step"].item()) == (4.0, 1.0)


def test_updates_are_in_place():
    p = with_grad(param())
    view = p.detach()
    engine.optim.SGD([p], lr=1.0).step()
    np.testing.assert_array_equal(view.numpy(), [[0.0, 1.0], [2.0, 3.0]])
    assert p.requires_grad
    assert p.is_leaf


def test_closure_runs_with_gradients():
    p = param()
    optimizer = engine.optim.Adam([p])
    with engine.no_grad():
        assert optimizer.step(lambda: engine.is_grad_enabled()) is True
    assert optimizer.step() is None


def test_zero_grad():
    p = with_grad(param())
    optimizer = engine.optim.SGD([p])
    grad = p.grad
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is grad
    np.testing.assert_array_equal(grad.numpy(), np.zeros((2, 2)))
    optimizer.zero_grad()
    assert p.grad is None


def test_options_of_groups():
    p, q = with_grad(param()), with_grad(param())
    optimizer = engine.optim.SGD([{"params": [p], "lr": 1.0}, {"params": q}], lr=0.5)
    optimizer.step()
    np.testing.assert_array_equal(numbers(p), [[0.0, 1.0], [2.0, 3.0]])
    np.testing.assert_array_equal(numbers(q), [[0.5, 1.5], [2.5, 3.5]])
    optimizer.add_param_group({"params": [with_grad(param())], "lr": 2.0})
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 0.5, 2.0]


@pytest.mark.parametrize("name", ALL)
def test_kinds_of_lr(name):
    """Ints, NumPy numbers and one-element tensors are as good as floats."""
    results = []
    for lr in (1.0, 1, np.float64(1), np.float32(1), engine.tensor(1.0), engine.tensor([1.0])):
        p = with_grad(param())
        optimizer = getattr(engine.optim, name)([p], lr=lr)
        optimizer.step()
        optimizer.step()
        results.append(numbers(p))
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], rtol=1e-6)


def test_one_element_lr_and_scalar_parameter():
    p = with_grad(param(2.0), 1.0)
    engine.optim.SGD([p], lr=engine.tensor([0.5])).step()
    assert p.item() == 1.5


def test_required_options():
    class Needy(Optimizer):
        def __init__(self, params):
            super().__init__(params, {"lr": required})

    with pytest.raises(ValueError, match="didn't specify a value of required optimization parameter lr"):
        Needy([param()])
    assert Needy([{"params": [param()], "lr": 1}]).param_groups[0]["lr"] == 1
    with pytest.raises(NotImplementedError):
        Needy([{"params": [param()], "lr": 1}]).step()


def test_third_party_optimizer():
    """A subclass with plain values as state keeps them, also through state dicts."""

    class Signs(Optimizer):
        def __init__(self, params, lr=0.5):
            super().__init__(params, {"lr": lr})

        @engine.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    state = self.state[p]
                    if not state:
                        state["step"] = 0
                        state["sum"] = engine.zeros_like(p)
                    state["step"] += 1
                    state["sum"].add_(p.grad)
                    p.add_(p.grad.sign(), alpha=-group["lr"])

    p = with_grad(param(), -3.0)
    optimizer = Signs([p])
    optimizer.step()
    optimizer.step()
    np.testing.assert_array_equal(numbers(p), [[2.0, 3.0], [4.0, 5.0]])
    state = optimizer.state_dict()["state"][0]
    assert state["step"] == 2
    assert type(state["step"]) is int
    other = Signs([param()])
    other.load_state_dict(optimizer.state_dict())
    assert type(other.state_dict()["state"][0]["step"]) is int


def test_step_hooks():
    p = with_grad(param())
    optimizer = engine.optim.Adam([p])
    calls = []
    handles = [
        optimizer.register_step_pre_hook(
            lambda o, args, kwargs: calls.append(("pre", o is optimizer, args[1:], kwargs))
        ),
        optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append(("post", o is optimizer))),
        register_optimizer_step_pre_hook(lambda o, args, kwargs: calls.append(("global pre",))),
        register_optimizer_step_post_hook(lambda o, args, kwargs: calls.append(("global post",))),
    ]
    optimizer.step(closure=None)
    assert calls == [("global pre",), ("pre", True, (), {"closure": None}), ("post", True), ("global post",)]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(calls) == 4


def test_step_pre_hook_changes_arguments():
    optimizer = engine.optim.SGD([with_grad(param())])
    with optimizer.register_step_pre_hook(lambda o, args, kwargs: (args, {"closure": lambda: 7})):
        assert optimizer.step() == 7
    assert optimizer.step() is None
    with (
        optimizer.register_step_pre_hook(lambda o, args, kwargs: 3),
        pytest.raises(RuntimeError, match="must return None"),
    ):
        optimizer.step()


def test_state_dict_hooks():
    optimizer = engine.optim.SGD([with_grad(param())], momentum=0.9)
    order = []
    optimizer.register_state_dict_pre_hook(lambda o: order.append("pre"))
    optimizer.register_state_dict_post_hook(lambda o, state: order.append("post") or {**state, "more": 1})
    optimizer.register_load_state_dict_pre_hook(lambda o, state: order.append("load 2"))
    optimizer.register_load_state_dict_pre_hook(lambda o, state: order.append("load 1"), prepend=True)
    optimizer.register_load_state_dict_post_hook(lambda o: order.append("loaded"))
    state = optimizer.state_dict()
    assert state["more"] == 1
    optimizer.load_state_dict(state)
    assert order == ["pre", "post", "load 1", "load 2", "loaded"]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("how", ["deepcopy", "pickle"])
def test_copies_go_on_alike(name, how):
    p = with_grad(param())
    optimizer = getattr(engine.optim, name)([p])
    for _ in range(3):
        optimizer.step()
    clone = copy.deepcopy(optimizer) if how == "deepcopy" else pickle.loads(pickle.dumps(optimizer))
    q = with_grad(clone.param_groups[0]["params"][0])
    assert q is not p
    for one in (optimizer, clone, optimizer, clone):
        one.step()
    np.testing.assert_array_equal(numbers(q), numbers(p))
    if "step" in optimizer.state[p]:
        assert clone.state[q]["step"].item() == optimizer.state[p]["step"].item() == 5.0


def test_state_dict_is_plain():
    optimizer = engine.optim.NAdam([with_grad(param())])
    optimizer.step()
    state = optimizer.state_dict()
    assert type(state["state"][0]) is dict
    assert list(state["state"][0]) == ["step", "mu_product", "exp_avg", "exp_avg_sq"]
    assert state["state"][0]["step"].shape == ()
    assert state["state"][0]["step"].dtype == engine.float32
    assert isinstance(optimizer.state, defaultdict)


def test_state_dict_without_momentum_is_empty():
    optimizer = engine.optim.SGD([with_grad(param())])
    optimizer.step()
    assert optimizer.state_dict()["state"] == {}


def test_load_casts_to_the_parameter():
    p = with_grad(param())
    optimizer = engine.optim.Adam([p])
    optimizer.step()
    q = engine.zeros(2, 2, dtype=engine.float64, requires_grad=True)
    other = engine.optim.Adam([q])
    other.load_state_dict(optimizer.state_dict())
    assert other.state[q]["exp_avg"].dtype == engine.float64
    assert other.state[q]["step"].dtype == engine.float32
    assert other.state[q]["step"].item() == 1.0


def test_old_checkpoints():
    """Options that came later get their neutral value; step counts may be numbers."""
    p = with_grad(param())
    optimizer = engine.optim.Adam([p], amsgrad=True, maximize=True)
    optimizer.step()
    state = optimizer.state_dict()
    for key in ("maximize", "foreach", "capturable", "differentiable", "fused", "decoupled_weight_decay"):
        del state["param_groups"][0][key]
    state["state"][0]["step"] = 7
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["maximize"] is False
    optimizer.step()
    assert optimizer.state[p]["step"].item() == 8.0


def test_adamw_stays_decoupled():
    p = with_grad(param())
    plain = engine.optim.Adam([p])
    plain.step()
    optimizer = engine.optim.AdamW([p])
    optimizer.load_state_dict(plain.state_dict())
    assert optimizer.param_groups[0]["decoupled_weight_decay"] is True


def test_contradictions():
    for options, message in (
        ({"fused": True, "foreach": True}, "cannot be `True` together"),
        ({"fused": True, "differentiable": True}, "does not support `differentiable`"),
    ):
        with pytest.raises(RuntimeError, match=message):
            engine.optim.Adam([param()], **options)
    with pytest.raises(ValueError, match="Nesterov momentum requires a momentum and zero dampening"):
        engine.optim.SGD([param()], nesterov=True)
    with pytest.raises(ValueError, match="per-parameter options"):
        engine.optim.LBFGS([{"params": [param()]}, {"params": [param()]}])
    with pytest.raises(ValueError, match="Muon only supports 2D parameters"):
        engine.optim.Muon([param((1.0, 2.0))])
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        optimizer = engine.optim.LBFGS([with_grad(param())], line_search_fn="x")
        optimizer.step(lambda: engine.tensor(1.0))


def test_capturable_and_fused_keep_steps_with_the_parameter():
    p = with_grad(param())
    for options in ({"capturable": True}, {"fused": True}):
        optimizer = engine.optim.AdamW([p], **options)
        optimizer.step()
        assert optimizer.state[p]["step"].device == p.device


def test_no_cycles_keep_an_optimizer():
    """Dropping an optimizer with a scheduler frees both without the collector."""
    import weakref

    optimizer = engine.optim.SGD([param()], momentum=0.9)
    scheduler = engine.optim.lr_scheduler.CyclicLR(optimizer, 0.1, 1.0)
    held = weakref.ref(optimizer)
    gc.disable()
    try:
        del optimizer, scheduler
        assert held() is None
    finally:
        gc.enable()


def test_group_order_of_checkpoint_keys():
    optimizer = engine.optim.SGD(OrderedDict(a=param(), b=param()).items())
    assert optimizer.param_groups[0]["param_names"] == ["a", "b"]
    assert optimizer.state_dict()["param_groups"][0]["params"] == [0, 1]
