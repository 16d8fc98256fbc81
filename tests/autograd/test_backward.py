"""The backward pass: values, accumulation, hooks, user-defined functions, saved tensors."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import engine
from engine.autograd import forward_ad, functional, gradcheck, gradgradcheck, graph


def leaf(*values: float, dtype: engine.dtype = engine.float32) -> engine.Tensor:
    return engine.tensor(values, dtype=dtype).requires_grad_()


def test_product_rule_and_accumulation() -> None:
    x, y = leaf(1, 2, 3), leaf(4, 5, 6)
    (x * y + x).sum().backward()
    assert x.grad.tolist() == [5, 6, 7] and y.grad.tolist() == [1, 2, 3]
    (x * 2).sum().backward()
    assert x.grad.tolist() == [7, 8, 9]


def test_gradients_never_share_memory() -> None:
    a, b, seed = leaf(1, 2), leaf(3, 4), engine.ones(2)
    (a + b).backward(seed)
    a.grad.zero_()
    assert b.grad.tolist() == [1, 1] and seed.tolist() == [1, 1]
    c = leaf(1, 2)
    c.view(2).backward(seed)
    c.grad.zero_()
    assert seed.tolist() == [1, 1]


def test_third_derivative() -> None:
    x = leaf(2.0)
    y = x**4
    for want in (32.0, 48.0, 48.0):
        (y,) = engine.autograd.grad(y.sum(), x, create_graph=True)
        assert y.item() == want


def test_saved_values_are_freed_after_backward() -> None:
    x = leaf(1, 2)
    h = x * 3
    y = (h * h).sum()
    storage = weakref.ref(h._storage)
    del h
    y.backward()
    gc.collect()
    assert storage() is None


def test_no_cycle_keeps_the_graph_alive() -> None:
    gc.disable()
    try:
        x = leaf(1, 2)
        y = (x.exp().sigmoid() * x).tanh()
        fn = weakref.ref(y.grad_fn)
        del y
        assert fn() is None
    finally:
        gc.enable()


def test_modified_saved_value_is_reported() -> None:
    x = leaf(1, 2)
    y = x * 2
    z = y.exp()
    z.mul_(2)
    with pytest.raises(RuntimeError, match=r"FloatTensor \[2\]\], which is output 0 of ExpBackward0, is at version 1"):
        z.sum().backward()


def test_hooks_in_order() -> None:
    log = []
    x = leaf(1.0)
    y = x * 2
    y.register_hook(lambda g: log.append("tensor") or g * 10)
    y.retain_grad()
    y.grad_fn.register_prehook(lambda gs: log.append("pre"))
    y.grad_fn.register_hook(lambda gi, go: log.append("post"))
    x.register_post_accumulate_grad_hook(lambda p: log.append(("done", p.grad.item())))
    y.sum().backward()
    assert log == ["tensor", "pre", "post", ("done", 20.0)] and y.grad.item() == 10


def test_function_and_context() -> None:
    class Cube(engine.autograd.Function):
        @staticmethod
        def forward(ctx, x, k):
            ctx.save_for_backward(x)
            ctx.op, ctx.edges, ctx.outs = "these", "names", "are free"
            return x**3 * k

        @staticmethod
        def backward(ctx, g):
            assert (ctx.op, ctx.edges, ctx.outs) == ("these", "names", "are free")
            (x,) = ctx.saved_tensors
            return 3 * x * x * g * 2, None

    x = leaf(1, 2)
    (g,) = engine.autograd.grad(Cube.apply(x, 2).sum(), x, create_graph=True)
    assert g.tolist() == [6, 24]
    g.sum().backward()
    assert x.grad.tolist() == [12, 24]


def test_function_with_forward_rule_only() -> None:
    class Twice(engine.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_forward(x)
            return x * x

        @staticmethod
        def jvp(ctx, v):
            return 2 * ctx.saved_tensors[0] * v

    x = leaf(3.0)
    Twice.apply(x).sum().backward()
    assert x.grad.item() == 6


def test_saved_tensor_hooks_run_once_a_pass() -> None:
    unpacked = []
    x, y = leaf(2.0), leaf(3.0)
    with graph.saved_tensors_hooks(lambda t: t.detach().clone(), lambda t: unpacked.append(1) or t):
        z = x * y
    z.backward()
    assert (x.grad.item(), y.grad.item(), len(unpacked)) == (3, 2, 2)


def test_allow_mutation() -> None:
    x = leaf(1, 2)
    with graph.allow_mutation_on_saved_tensors():
        h = x * 1
        y = (h * h).sum()
        h.zero_()
    y.backward()
    assert x.grad.tolist() == [2, 4]


def test_anomaly_names_the_function_and_the_line() -> None:
    x = leaf(-1.0)
    with pytest.warns(UserWarning), engine.autograd.detect_anomaly():
        y = x.sqrt()
        with pytest.warns(UserWarning, match="y = x.sqrt"), pytest.raises(RuntimeError, match="SqrtBackward0.*nan"):
            y.backward()


def test_functional() -> None:
    x, v = engine.tensor([1.0, 2.0]), engine.tensor([1.0, -1.0])
    assert functional.jacobian(lambda a: a**2, x).tolist() == [[2, 0], [0, 4]]
    assert functional.hessian(lambda a: (a**3).sum(), x).tolist() == [[6, 0], [0, 12]]
    assert functional.jvp(lambda a: a**2, x, v)[1].tolist() == [2, -4]
    assert functional.vjp(lambda a: a**2, x, v)[1].tolist() == [2, -4]
    assert functional.hvp(lambda a: (a**3).sum(), x, v)[1].tolist() == [6, -12]
    assert functional.vhp(lambda a: (a**3).sum(), x, v)[1].tolist() == [6, -12]


def test_gradcheck() -> None:
    x = leaf(0.3, -0.7, dtype=engine.float64)
    assert gradcheck(lambda a: a.sin() * a, x, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(lambda a: a.sin() * a, x)
    with pytest.raises(RuntimeError, match="Jacobian mismatch for output 0 with respect to input 0"):
        gradcheck(lambda a: a * a.detach(), x)


def test_dual_tensors() -> None:
    with forward_ad.dual_level():
        x = forward_ad.make_dual(engine.tensor([1.0, 2.0]), engine.tensor([1.0, 0.5]))
        primal, tangent = forward_ad.unpack_dual(x * x)
    assert primal.tolist() == [1, 4] and tangent.tolist() == [2, 2] and not tangent.requires_grad
    assert forward_ad.unpack_dual(engine.ones(1)).tangent is None


def test_split_and_unbind_have_one_record() -> None:
    x = engine.arange(6.0).requires_grad_()
    parts = x.split([1, 2, 3])
    assert len({p.grad_fn for p in parts}) == 1 and [p.output_nr for p in parts] == [0, 1, 2]
    (parts[2] * 2).sum().backward()
    assert x.grad.tolist() == [0, 0, 0, 2, 2, 2]
    rows = x.detach().view(3, 2).requires_grad_().unbind(1)
    assert rows[1].tolist() == [1, 3, 5] and rows[0].grad_fn.name() == "UnbindBackward0"


def test_strided_leaf_gets_a_strided_gradient() -> None:
    x = engine.arange(6.0).view(2, 3).t().requires_grad_()
    (x * engine.arange(6.0).view(3, 2)).sum().backward()
    assert x.grad.stride() == x.stride() and np.array_equal(x.grad.numpy(), np.arange(6).reshape(3, 2))
