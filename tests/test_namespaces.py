"""Namespaces of torch that programs touch: jit, compiler, distributed, library, pytree, checkpoint and others."""

from __future__ import annotations

import warnings
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import engine
from engine import distributed, jit, library, nn
from engine.nn.attention import SDPBackend, sdpa_kernel
from engine.utils import _pytree as pytree
from engine.utils.checkpoint import checkpoint, checkpoint_sequential
from engine.version import TorchVersion

Point = namedtuple("Point", "x y")


def test_versions_compare_by_number() -> None:
    version = TorchVersion("2.13.0")
    assert version > "2.9" and version >= (2, 13) and version < "2.13.1" and version == "2.13.0" != "2.13"[:3]
    assert TorchVersion("2.0.0a0+git123") < "2.0.0" and TorchVersion("2.1.0+cpu") == (2, 1, 0)
    assert {version: 1}["2.13.0"] == 1


def test_jit_returns_what_it_is_given() -> None:
    layer = nn.Linear(2, 2).eval()

    @jit.script
    def double(x: engine.Tensor) -> engine.Tensor:
        return x * 2

    @jit.ignore(drop=True)
    def ignored() -> int:
        return 1

    assert double(engine.ones(2)).tolist() == [2, 2] and ignored() == 1
    assert jit.script(layer) is layer and jit.trace(layer, engine.ones(1, 2)) is layer and jit.freeze(layer) is layer
    assert not jit.is_scripting() and not isinstance(layer, jit.ScriptModule)
    assert jit.annotate(list[int], [1]) == [1] and jit.isinstance([1], list[int])
    assert jit.wait(jit.fork(double, engine.ones(1))).item() == 2
    with pytest.raises(RuntimeError, match="state_dict"):
        jit.save(layer, "x.pt")


def test_compiler_names() -> None:
    @engine.compiler.disable
    def one() -> int:
        return 1

    @engine._dynamo.disable(recursive=False)
    def two() -> int:
        return 2

    assert one() == 1 and two() == 2 and not engine.compiler.is_compiling()
    engine._dynamo.config.suppress_errors = True


def test_a_group_of_one_process() -> None:
    assert not distributed.is_available() and not distributed.is_initialized()
    assert distributed.get_rank() == 0 and distributed.get_world_size() == 1
    with pytest.raises(RuntimeError, match="one process"):
        distributed.init_process_group("gloo", rank=0, world_size=2)
    distributed.init_process_group("gloo", rank=0, world_size=1)
    try:
        value = engine.ones(2)
        distributed.all_reduce(value, op=distributed.ReduceOp.SUM)
        gathered = [engine.zeros(2)]
        assert distributed.all_gather(gathered, value * 3, async_op=True).wait()
        assert value.tolist() == [1, 1] and gathered[0].tolist() == [3, 3]
    finally:
        distributed.destroy_process_group()


def test_attention_backends() -> None:
    q = engine.ones(1, 1, 3, 4)
    with sdpa_kernel([SDPBackend.MATH, SDPBackend.FLASH_ATTENTION]):
        out = nn.functional.scaled_dot_product_attention(q, q, q)
    np.testing.assert_allclose(out.numpy(), 1.0)
    with pytest.raises(TypeError), sdpa_kernel("math"):
        pass


def test_custom_operators() -> None:
    @library.custom_op("tests::cube", mutates_args=())
    def cube(x: engine.Tensor, scale: float = 1.0) -> engine.Tensor:
        return x**3 * scale

    @cube.register_fake
    def _(x: engine.Tensor, scale: float = 1.0) -> engine.Tensor:
        return engine.empty_like(x)

    x = engine.tensor([2.0, 3.0], requires_grad=True)
    assert not cube(x).requires_grad  # no derivative was given
    cube.register_autograd(
        lambda ctx, grad: (grad * 3 * ctx.saved_tensors[0] ** 2 * ctx.scale, None),
        setup_context=lambda ctx, inputs, output: (
            ctx.save_for_backward(inputs[0]),
            setattr(ctx, "scale", inputs[1]),
        )[1],
    )
    engine.ops.tests.cube(x, scale=2.0).sum().backward()
    assert x.grad.tolist() == [24, 54]
    assert cube(engine.ones(4, device="meta")).shape == (4,)
    owner = library.Library("tests", "FRAGMENT")
    owner.define("twice(Tensor x) -> Tensor")
    owner.impl("twice", lambda x: x + x, "CPU")
    assert engine.ops.tests.twice(engine.ones(1)).item() == 2


def test_pytree() -> None:
    tree = {"b": [1, (2, None)], "a": Point(3, OrderedDict(z=4))}
    leaves, spec = pytree.tree_flatten(tree)
    assert leaves == [1, 2, None, 3, 4] and spec.num_leaves == 5
    assert pytree.tree_unflatten(leaves, spec) == tree and pytree.tree_structure(tree) == spec
    doubled = pytree.tree_map_only(int, lambda x: 2 * x, tree)
    assert doubled == {"b": [2, (4, None)], "a": Point(6, OrderedDict(z=8))}
    assert pytree.tree_map(lambda a, b: a + b, [1, (2,)], [10, (20,)]) == [11, (22,)]
    assert [pytree.keystr(path) for path, _ in pytree.tree_flatten_with_path(tree)[0]] == [
        "['b'][0]", "['b'][1][0]", "['b'][1][1]", "['a'].x", "['a'].y['z']",
    ]  # fmt: skip
    assert pytree.tree_all(bool, [1, True]) and not pytree.tree_any(bool, [0, []])
    assert pytree._broadcast_to_and_flatten([0, 1], pytree.tree_structure([(1, 2), 3])) == [0, 0, 1]
    with pytest.raises(ValueError, match="arity"):
        pytree.tree_map(lambda a, b: a, [1, 2], [1])


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint(reentrant: bool) -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 2))
    x = engine.linspace(-1, 1, 12).reshape(3, 4).requires_grad_()
    results = []
    for call in (model, lambda v: checkpoint(model, v, use_reentrant=reentrant)):
        engine.manual_seed(3)
        model.zero_grad()
        x.grad = None
        call(x).pow(2).sum().backward()
        results.append([x.grad.numpy(), *[p.grad.numpy() for p in model.parameters()]])
    for plain, again in zip(*results):
        np.testing.assert_allclose(plain, again, rtol=1e-5, atol=1e-7)
    parts = checkpoint_sequential(model.eval(), 2, x, use_reentrant=reentrant)
    np.testing.assert_allclose(parts.detach().numpy(), model(x).detach().numpy(), rtol=1e-6)


def test_old_forms() -> None:
    x = engine.autograd.Variable(engine.ones(2), requires_grad=True)
    assert x.requires_grad and isinstance(x, engine.autograd.Variable)
    assert engine.ones(2).add_(0.5, engine.ones(2)).tolist() == [1.5, 1.5]
    assert engine.ones(2).addcmul_(2.0, engine.ones(2), engine.ones(2)).tolist() == [3, 3]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with engine.cuda.amp.autocast(enabled=False):
            assert engine.ones(1).dtype is engine.float32
