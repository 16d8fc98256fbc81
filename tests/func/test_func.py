"""Function transformations: values by hand, per-example gradients, nesting, randomness."""

from __future__ import annotations

import numpy as np
import pytest

import engine
from engine import func


def tensor(*shape: int, seed: int = 0) -> engine.Tensor:
    return engine.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def close(a: engine.Tensor, b: engine.Tensor) -> bool:
    return a.shape == b.shape and np.allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-5)


def loop(function, *args):
    return engine.stack([function(*row) for row in zip(*args)])


CASES = {
    "dot": (lambda a, b: a @ b, (4, 3), (4, 3)),
    "matmul": (lambda a, b: a @ b, (3, 8, 9), (3, 9, 7)),
    "large matmul": (lambda a, b: a @ b, (3, 40, 50), (3, 50, 30)),
    "softmax": (lambda a, b: engine.softmax(a, -1) * b, (3, 4, 5), (3, 5)),
    "reductions": (lambda a, b: a.std() + b.amax(0) - b.mean(), (3, 4), (3, 2)),
    "views": (lambda a, b: a.t().reshape(-1)[::2].unsqueeze(1) + b, (3, 2, 4), (3, 1)),
    "indexing": (lambda a, b: a[engine.tensor([2, 0])] + a[1:].sum() + b.flip(0)[:2], (3, 3), (3, 2)),
    "in place": (lambda a, b: a.clone().mul_(2).add_(b), (3, 4), (3, 4)),
    "scatter": (lambda a, b: engine.zeros(3).scatter_add(0, engine.tensor([2, 0, 0]), a) + b.sum(), (3, 3), (3, 2)),
    "convolution": (lambda a, b: engine.nn.functional.conv2d(a, b), (2, 1, 3, 6, 6), (2, 4, 3, 3, 3)),
    "sort": (lambda a, b: a.sort()[0] * b.sum(), (3, 5), (3, 2)),
    "cumsum": (lambda a, b: a.cumsum(0) + b, (3, 5), (3, 5)),
    "where": (lambda a, b: engine.where(a > 0, a, b), (3, 5), (3, 5)),
    "written buffer": (lambda a, b: engine.zeros(2, 3).index_put_((engine.tensor([1]),), a) + b.sum(), (3, 3), (3, 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_vmap_is_a_loop(name: str) -> None:
    function, *shapes = CASES[name]
    args = [tensor(*s, seed=i) for i, s in enumerate(shapes)]
    assert close(func.vmap(function)(*args), loop(function, *args))


def test_dimensions_and_structures() -> None:
    x, y = tensor(3, 4), tensor(3)
    out = func.vmap(
        lambda d: {"p": d["a"] * d["b"], "s": d["b"]}, in_dims=({"a": 1, "b": None},), out_dims={"p": 1, "s": None}
    )({"a": x, "b": y})
    assert close(out["p"], x * y[:, None]) and close(out["s"], y)
    nested = func.vmap(func.vmap(engine.mul, in_dims=(None, 0)), in_dims=(0, None))(tensor(3), tensor(4, seed=1))
    assert close(nested, engine.outer(tensor(3), tensor(4, seed=1)))
    assert close(func.vmap(engine.sum, chunk_size=2)(tensor(5, 3)), tensor(5, 3).sum(1))


def test_gradients_an_example() -> None:
    w, x = tensor(5, 3), tensor(4, 3, seed=1)

    def loss(w, row):
        return (w @ row).tanh().sum()

    each = func.vmap(func.grad(loss), in_dims=(None, 0))(w, x)
    assert close(each, engine.stack([func.grad(loss)(w, row) for row in x]))
    total = func.grad(lambda w: func.vmap(lambda row: loss(w, row))(x).sum())(w)
    assert close(total, each.sum(0))


def test_jacobians_agree() -> None:
    x = tensor(3)

    def f(a):
        return a.sin() * a.sum()

    want = engine.diag(x.cos() * x.sum()) + x.sin()[:, None]
    assert close(func.jacrev(f)(x), want) and close(func.jacfwd(f)(x), want)
    batch = tensor(2, 3, seed=2)
    assert close(func.vmap(func.jacrev(f))(batch), engine.stack([func.jacrev(f)(r) for r in batch]))
    assert close(func.jacrev(func.vmap(f))(batch)[0, :, 0], func.jacfwd(f)(batch[0]))
    assert close(func.hessian(lambda a: (a**3).sum())(x), engine.diag(6 * x))


def test_products_and_linearize() -> None:
    x, v = tensor(3), tensor(3, seed=1)
    value, tangent = func.jvp(engine.sin, (x,), (v,))
    assert close(value, x.sin()) and close(tangent, x.cos() * v)
    value, back = func.vjp(engine.sin, x)
    assert close(back(v)[0], x.cos() * v)
    assert close(func.linearize(engine.sin, x)[1](v), x.cos() * v)
    assert func.grad(func.grad(func.grad(lambda a: a**4)))(engine.tensor(2.0)).item() == 48


def test_results_record_only_what_the_caller_recorded() -> None:
    x = engine.tensor([1.0, 2.0])
    assert not func.grad(lambda a: (a**2).sum())(x).requires_grad
    y = x.clone().requires_grad_()
    g = func.grad(lambda a: (a**3).sum())(y)
    g.sum().backward()
    assert y.grad.tolist() == [6, 12]


def test_randomness() -> None:
    ones = engine.ones(3, 4)
    same = func.vmap(lambda v: v * engine.rand(4), randomness="same")(ones)
    different = func.vmap(lambda v: v * engine.rand(4), randomness="different")(ones)
    assert same[0].equal(same[1]) and not different[0].equal(different[1])
    with pytest.raises(RuntimeError, match="randomness error mode"):
        func.vmap(lambda v: v * engine.rand(4))(ones)


def test_host_values_are_refused() -> None:
    with pytest.raises(RuntimeError, match=r"calling .item\(\)"):
        func.vmap(lambda v: v * v.sum().item())(engine.ones(2, 2))


def test_ensemble() -> None:
    models = [engine.nn.Linear(3, 2) for _ in range(4)]
    state = func.stack_module_state(models)
    x = tensor(5, 3)
    out = func.vmap(lambda p, b: func.functional_call(models[0], (p, b), (x,)))(*state)
    assert close(out, engine.stack([m(x) for m in models]))


def test_plans_are_replayed() -> None:
    x = tensor(6, 5)
    run = func.vmap(lambda v: (v.exp() * v.sum()).tanh())
    run(x).sum().item()
    before = engine.plan_stats()
    run(x).sum().item()
    assert engine.plan_stats()["misses"] == before["misses"]


def test_rearrange() -> None:
    x = engine.arange(24.0).view(2, 3, 4)
    assert func.rearrange(x, "b c (h w) -> b h (w c)", w=2).shape == (2, 2, 6)
    assert func.rearrange(x, "... a -> a ...").equal(x.permute(2, 0, 1))
    with pytest.raises(ValueError, match="not divisible"):
        func.rearrange(x, "a b (c d) -> a b c d", d=3)


def test_errors() -> None:
    with pytest.raises(ValueError, match="same size in the mapped dimension"):
        func.vmap(engine.add)(engine.ones(2), engine.ones(3))
    with pytest.raises(ValueError, match="no inputs"):
        func.vmap(lambda: 1)()
    with pytest.raises(RuntimeError, match="scalar tensor"):
        func.grad(lambda a: a * 2)(engine.ones(2))
