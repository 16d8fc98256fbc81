"""The backward pass against torch: arguments, hooks and their order, user-defined functions, modes, messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from both import agree

PROGRAMS: dict[str, Any] = {}


def program(function: Any) -> Any:
    PROGRAMS[function.__name__] = function
    return function


def leaf(t: Any, *shape: int, seed: int = 0) -> Any:
    values = np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
    return t.tensor(values.tolist()).requires_grad_()


# -- backward and grad ------------------------------------------------------------------------------------------------
@program
def non_scalar(t):
    (leaf(t, 3) * 2).backward()


@program
def no_record(t):
    t.ones(3).sum().backward()


@program
def twice(t):
    y = leaf(t, 3).exp().sum()
    y.backward()
    y.backward()


@program
def twice_without_saved(t):
    x = leaf(t, 3)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    return x.grad


@program
def retained(t):
    x = leaf(t, 3)
    y = x.exp().sum()
    y.backward(retain_graph=True)
    y.backward()
    return x.grad


@program
def gradient_shape(t):
    (leaf(t, 3) * 2).backward(t.ones(2))


@program
def gradient_given(t):
    x = leaf(t, 3)
    (x * 2).backward(gradient=t.tensor([1.0, 2.0, 3.0]))
    return x.grad


@program
def several_roots(t):
    x = leaf(t, 3)
    t.autograd.backward([x * 2, (x * x).sum()], [t.ones(3), None])
    return x.grad


@program
def wrong_count(t):
    x = leaf(t, 3)
    t.autograd.backward([x * 2, x * 3], [t.ones(3)])


@program
def inputs_only(t):
    x, w = leaf(t, 3), leaf(t, 3, seed=1)
    y = x * w
    (y * y).sum().backward(inputs=[x, y])
    return x.grad, w.grad, y.grad


@program
def inputs_empty(t):
    leaf(t, 3).sum().backward(inputs=[])


@program
def grad_unused(t):
    x, w = leaf(t, 3), leaf(t, 3)
    t.autograd.grad(x.sum(), [x, w])


@program
def grad_unused_allowed(t):
    x, w = leaf(t, 3), leaf(t, 3)
    return t.autograd.grad(x.sum(), [x, w], allow_unused=True)


@program
def grad_materialized(t):
    x, w = leaf(t, 3), leaf(t, 2)
    return t.autograd.grad(x.sum(), [x, w], materialize_grads=True)


@program
def grad_materialized_refused(t):
    x = leaf(t, 3)
    t.autograd.grad(x.sum(), [x], materialize_grads=True, allow_unused=False)


@program
def grad_of_constant_input(t):
    t.autograd.grad(leaf(t, 3).sum(), [t.ones(3)])


@program
def grad_batched(t):
    x = leaf(t, 3)
    return t.autograd.grad(x.exp(), x, t.eye(3), is_grads_batched=True)


@program
def grad_of_inner(t):
    x = leaf(t, 3)
    y = x * 2
    return t.autograd.grad((y * y).sum(), [y, x])


@program
def grad_repeated_input(t):
    x = leaf(t, 3)
    return t.autograd.grad((x * x).sum(), [x, x])


@program
def higher_order(t):
    x = leaf(t, 3)
    (g,) = t.autograd.grad((x**4).sum(), x, create_graph=True)
    (h,) = t.autograd.grad(g.sum(), x, create_graph=True)
    (k,) = t.autograd.grad(h.sum(), x)
    return g, h, k


@program
def create_graph_accumulates(t):
    x = leaf(t, 3)
    (x**3).sum().backward(create_graph=True)
    return x.grad, x.grad.requires_grad


@program
def integer_grad_output(t):
    x = leaf(t, 3)
    (x * 2).backward(t.tensor([1, 2, 3]))
    return x.grad


@program
def promoted_gradient(t):
    x = leaf(t, 3)
    (x.double() * 2).sum().backward()
    return x.grad


@program
def broadcast_gradient(t):
    x, w = leaf(t, 3, 1), leaf(t, 4)
    (x * w).sum().backward()
    return x.grad, w.grad


@program
def assigned_grad(t):
    x = leaf(t, 3)
    x.grad = t.ones(3)
    (x * 2).sum().backward()
    return x.grad


@program
def assigned_grad_shape(t):
    leaf(t, 3).grad = t.ones(2)


@program
def assigned_grad_dtype(t):
    leaf(t, 3).grad = t.ones(3, dtype=t.float64)


@program
def assigned_grad_type(t):
    leaf(t, 3).grad = 1


@program
def edge(t):
    x = leaf(t, 3)
    y = x * 2
    e = t.autograd.graph.get_gradient_edge(y)
    return t.autograd.grad(y.sum(), [e, x]), e.output_nr, type(e).__name__


@program
def edge_as_root(t):
    x = leaf(t, 3)
    y = x * 2
    t.autograd.backward([t.autograd.graph.get_gradient_edge(y)], [t.ones(3)])
    return x.grad


# -- hooks ------------------------------------------------------------------------------------------------------------
@program
def tensor_hooks(t):
    log = []
    x = leaf(t, 3)
    y = x * 2
    y.register_hook(lambda g: log.append(("a", g.clone())))
    y.register_hook(lambda g: g * 10)
    handle = y.register_hook(lambda g: log.append("removed"))
    handle.remove()
    y.register_hook(lambda g: log.append(("b", g.clone())))
    y.retain_grad()
    x.register_hook(lambda g: g + 1)
    y.sum().backward()
    return log, x.grad, y.grad


@program
def hook_returns_other_shape(t):
    x = leaf(t, 3)
    x.register_hook(lambda g: t.ones(2))
    x.sum().backward()


@program
def hook_on_constant(t):
    t.ones(3).register_hook(print)


@program
def hook_in_grad(t):
    x = leaf(t, 3)
    x.register_hook(lambda g: g * 3)
    return t.autograd.grad((x * 2).sum(), x), x.grad


@program
def post_accumulate(t):
    log = []
    x = leaf(t, 3)
    x.register_post_accumulate_grad_hook(lambda p: log.append(p.grad.clone()))
    x.register_hook(lambda g: log.append("first"))
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    return log


@program
def post_accumulate_on_result(t):
    (leaf(t, 3) * 2).register_post_accumulate_grad_hook(print)


@program
def node_hooks(t):
    log = []
    x = leaf(t, 3)
    y = x * 2
    fn = y.grad_fn
    fn.register_prehook(lambda gs: log.append(("pre", len(gs))))
    fn.register_hook(lambda gi, go: log.append(("post", len(gi), len(go))))
    fn.register_hook(lambda gi, go: tuple(g * 2 if g is not None else None for g in gi))
    y.register_hook(lambda g: log.append("tensor"))
    y.sum().backward()
    return log, x.grad


@program
def accumulator_hook(t):
    log = []
    x = leaf(t, 3)
    y = x * 2
    acc = y.grad_fn.next_functions[0][0]
    acc.register_hook(lambda gi, go: log.append((len(gi), go[0].clone())))
    y.sum().backward()
    return log, acc.variable is x


@program
def multi_grad_hook(t):
    log = []
    a, b, c = leaf(t, 2), leaf(t, 2), leaf(t, 2)
    t.autograd.graph.register_multi_grad_hook((a, b, c), lambda gs: log.append([g is not None for g in gs]))
    t.autograd.graph.register_multi_grad_hook((a, b), lambda g: log.append(g.clone()), mode="any")
    (a * b).sum().backward()
    (a + b + c).sum().backward()
    return len(log), log[1] if isinstance(log[0], list) else log[0]


@program
def retains_flags(t):
    x = leaf(t, 3)
    y = x * 2
    before = y.retains_grad
    y.retain_grad()
    x.retain_grad()
    return before, y.retains_grad, x.retains_grad


@program
def retain_on_constant(t):
    t.ones(2).retain_grad()


@program
def queue_order(t):
    log = []
    x = leaf(t, 2)
    a = x * 2
    b = a.exp()
    c = a.sin()
    for name, v in (("a", a), ("b", b), ("c", c)):
        v.register_hook(lambda g, name=name: log.append(name))
    (b + c).sum().backward()
    return log


@program
def saved_hooks(t):
    log = []

    def pack(v):
        log.append(tuple(v.shape))
        return v.detach() * 1

    x, w = leaf(t, 3), leaf(t, 3, seed=1)
    with t.autograd.graph.saved_tensors_hooks(pack, lambda v: v):
        y = x * w
    z = y.exp()
    z.sum().backward()
    return log, x.grad, w.grad


@program
def saved_on_cpu(t):
    x = leaf(t, 3)
    with t.autograd.graph.save_on_cpu():
        y = (x * x).exp()
    y.sum().backward()
    return x.grad


@program
def saved_hooks_disabled(t):
    with t.autograd.graph.disable_saved_tensors_hooks("not here"):
        with t.autograd.graph.saved_tensors_hooks(lambda v: v, lambda v: v):
            pass


# -- functions --------------------------------------------------------------------------------------------------------
def scaled(t: Any) -> Any:
    class Scaled(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, k):
            ctx.save_for_backward(x)
            ctx.k = k
            ctx.inputs = "mine"
            return x * x * k

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, False)
            assert ctx.inputs == "mine"
            return 2 * g * x * ctx.k, None

    return Scaled


@program
def function(t):
    x = leaf(t, 3)
    y = scaled(t).apply(x, 3.0)
    name = type(y.grad_fn).__name__
    (g,) = t.autograd.grad(y.sum(), x, create_graph=True)
    g.sum().backward()
    return y, g, x.grad, name, y.grad_fn.name()


@program
def function_with_setup(t):
    class Power(t.autograd.Function):
        @staticmethod
        def forward(x, n):
            return x**n

        @staticmethod
        def setup_context(ctx, inputs, output):
            x, ctx.n = inputs
            ctx.save_for_backward(x, output)

        @staticmethod
        def backward(ctx, g):
            x, out = ctx.saved_tensors
            return g * out / x * ctx.n, None

    x = leaf(t, 3)
    y = Power.apply(x, 3)
    (g,) = t.autograd.grad(y.sum(), x, create_graph=True)
    g.sum().backward()
    return g, x.grad


@program
def function_two_outputs(t):
    seen = []

    class Two(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            a, b = x * 2, (x > 0).to(x.dtype)
            ctx.mark_non_differentiable(b)
            return a, b

        @staticmethod
        def backward(ctx, ga, gb):
            seen.append((ga is not None, gb is not None and float(gb.sum())))
            return ga * 2

    x = leaf(t, 3)
    a, b = Two.apply(x)
    a.sum().backward()
    return a, b, x.grad, seen, b.requires_grad


@program
def function_unmaterialized(t):
    seen = []

    class Two(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, ga, gb):
            seen.append((ga is None, gb is None))
            return ga * 2 if ga is not None else None

    x = leaf(t, 3)
    a, b = Two.apply(x)
    a.sum().backward()
    return seen, x.grad


@program
def function_dirty(t):
    class Inc(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            x.add_(1)
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x = leaf(t, 3)
    y = x * 1
    z = Inc.apply(y)
    z.sum().backward()
    return z is y, z, x.grad


@program
def function_dirty_leaf(t):
    class Inc(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            x.add_(1)
            return x

        @staticmethod
        def backward(ctx, g):
            return g

    Inc.apply(leaf(t, 3))


@program
def function_returns_input(t):
    class Same(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, g):
            return g * 5

    x = leaf(t, 3)
    y = Same.apply(x)
    y.sum().backward()
    return y is x, x.grad, y.requires_grad


@program
def function_wrong_count(t):
    class Bad(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x * y

        @staticmethod
        def backward(ctx, g):
            return g

    Bad.apply(leaf(t, 3), leaf(t, 3)).sum().backward()


@program
def function_wrong_shape(t):
    class Bad(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return t.ones(2)

    Bad.apply(leaf(t, 3)).sum().backward()


@program
def function_saves_number(t):
    class Bad(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x, 3)
            return x * 1

        @staticmethod
        def backward(ctx, g):
            return g

    Bad.apply(leaf(t, 3))


@program
def function_once(t):
    class Once(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @t.autograd.function.once_differentiable
        def backward(ctx, g):
            return 2 * ctx.saved_tensors[0] * g

    x = leaf(t, 3)
    (g,) = t.autograd.grad(Once.apply(x).sum(), x, create_graph=True)
    g.sum().backward()


@program
def function_instantiated(t):
    scaled(t)()


@program
def function_without_forward(t):
    class Empty(t.autograd.Function):
        pass

    Empty.apply(t.ones(1))


@program
def function_freed(t):
    x = leaf(t, 3)
    y = scaled(t).apply(x, 3.0)
    y.sum().backward()
    y.sum().backward()


@program
def function_without_grad(t):
    y = scaled(t).apply(t.ones(3), 2.0)
    with t.no_grad():
        z = scaled(t).apply(leaf(t, 3), 2.0)
    return y.requires_grad, z.requires_grad


@program
def function_in_place_after(t):
    x = leaf(t, 3)
    y = x * 1
    z = scaled(t).apply(y, 3.0)
    y.add_(1)
    z.sum().backward()


# -- modes ------------------------------------------------------------------------------------------------------------
@program
def grad_modes(t):
    x = leaf(t, 2)
    out = []
    with t.no_grad():
        out.append((x * 2).requires_grad)
        with t.enable_grad():
            out.append((x * 2).requires_grad)
    with t.set_grad_enabled(False):
        out.append((x * 2).requires_grad)
    t.set_grad_enabled(False)
    out.append(t.is_grad_enabled())
    t.set_grad_enabled(True)

    @t.no_grad()
    def f(v):
        return v * 2

    @t.no_grad()
    def gen():
        yield t.is_grad_enabled()
        yield t.is_grad_enabled()

    out.append(f(x).requires_grad)
    g = gen()
    out.append((next(g), t.is_grad_enabled(), next(g)))
    return out


@program
def inference(t):
    with t.inference_mode():
        x = t.ones(3)
        y = x * 2
    return x.is_inference(), y.is_inference(), y.requires_grad, (y + 1).is_inference(), t.ones(1).is_inference()


@program
def inference_saved(t):
    with t.inference_mode():
        x = t.ones(3)
    leaf(t, 3) * x


@program
def inference_changed(t):
    with t.inference_mode():
        x = t.ones(3)
    x.add_(1)


@program
def inference_requires_grad(t):
    with t.inference_mode():
        x = t.ones(3)
    x.requires_grad_()


@program
def anomaly_nan(t):
    x = t.tensor([-1.0]).requires_grad_()
    with t.autograd.detect_anomaly():
        y = x.sqrt()
        y.sum().backward()


@program
def flags(t):
    x = leaf(t, 3)
    y = x * 2
    return x.is_leaf, y.is_leaf, x.grad_fn, y.grad_fn is y.grad_fn, x.requires_grad, y.detach().requires_grad, x.grad


@program
def numpy_refused(t):
    leaf(t, 3).numpy()


@program
def deepcopy_result(t):
    import copy

    copy.deepcopy(leaf(t, 3) * 2)


@program
def deepcopy_leaf(t):
    import copy

    x = leaf(t, 3)
    x.sum().backward()
    y = copy.deepcopy(x)
    return y, y.grad, y.is_leaf


@program
def pickled(t):
    import pickle

    x = leaf(t, 3)
    x.note = "kept"
    y = pickle.loads(pickle.dumps(x))
    return y, y.note


# -- functions of functions -------------------------------------------------------------------------------------------
@program
def functional(t):
    f = t.autograd.functional
    x, v = t.tensor([1.0, 2.0]), t.tensor([0.5, -1.0])
    cube = lambda a: (a**3).sum()  # noqa: E731
    mix = lambda a, b: (a * b.sum(), a.exp())  # noqa: E731
    return [
        f.jacobian(lambda a: a.sin(), x), f.jacobian(mix, (x, v)), f.hessian(cube, x),
        f.hessian(lambda a, b: (a * b * b).sum(), (x, v)), f.vjp(mix, (x, v), (v, x)), f.jvp(mix, (x, v), (v, x)),
        f.vhp(cube, x, v), f.hvp(cube, x, v), f.jacobian(lambda a: a**2, x, create_graph=True),
        f.jacobian(lambda a: a**2, x, vectorize=True), f.hessian(cube, x, vectorize=True),
    ]  # fmt: skip


@program
def functional_wrong_v(t):
    t.autograd.functional.vjp(lambda a: a * 2, t.ones(3), t.ones(2))


@program
def functional_strict(t):
    t.autograd.functional.jacobian(lambda a: t.ones(2), t.ones(2), strict=True)


@program
def functional_hessian_of_vector(t):
    t.autograd.functional.hessian(lambda a: a * 2, t.ones(2))


@program
def gradcheck_passes(t):
    x = t.tensor([0.3, -0.7], dtype=t.float64, requires_grad=True)
    return t.autograd.gradcheck(lambda a: a.sin() * a, (x,)), t.autograd.gradgradcheck(lambda a: a.sin() * a, (x,))


@program
def gradcheck_needs_grad(t):
    t.autograd.gradcheck(lambda a: a, (t.ones(2, dtype=t.float64),))


@program
def gradcheck_fails_quietly(t):
    x = t.tensor([0.3, -0.7], dtype=t.float64, requires_grad=True)
    return t.autograd.gradcheck(lambda a: a * a.detach(), (x,), raise_exception=False)


@program
def checkpointed(t):
    from importlib import import_module

    checkpoint = import_module(f"{t.__name__}.utils.checkpoint").checkpoint
    results = []
    for reentrant in (False, True):
        x, w = leaf(t, 3), leaf(t, 3, seed=1)
        y = checkpoint(lambda a, w=w: (a * w).exp().sin(), x, use_reentrant=reentrant)
        (y * y).sum().backward()
        results.append((x.grad, w.grad))
    return results


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    agree(PROGRAMS[name], strides=False)
