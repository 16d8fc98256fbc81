"""The ``_foreach_*`` functions against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch")

SHAPES = ((3, 4), (5,), (), (2, 1, 3))
UNARY = (
    "abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 neg reciprocal round "
    "rsqrt sigmoid sign sin sinh sqrt tan tanh trunc"
).split()


def lists(module, seed=0):
    """A list of tensors with values in (0.1, 0.9)."""
    rng = np.random.default_rng(seed)
    return [module.tensor(rng.uniform(0.1, 0.9, s).astype(np.float32)) for s in SHAPES]


def same(program):
    """A program gives the same under both modules."""
    ours, theirs = program(engine), program(torch)
    assert type(ours) is type(theirs)
    assert len(ours) == len(theirs)
    for x, y in zip(ours, theirs):
        assert tuple(x.shape) == tuple(y.shape)
        np.testing.assert_allclose(x.numpy(), y.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    same(lambda m: getattr(m, f"_foreach_{name}")(lists(m)))

    def inplace(m):
        values = lists(m)
        assert getattr(m, f"_foreach_{name}_")(values) is values
        return values

    same(inplace)


@pytest.mark.parametrize("name", ("add", "sub", "mul", "div", "pow", "maximum", "minimum", "clamp_min", "clamp_max"))
@pytest.mark.parametrize("other", ("number", "numbers", "tensors"))
def test_binary(name, other):
    def operand(m):
        return {"number": 0.5, "numbers": [0.5, 0.25, 2.0, 0.75], "tensors": lists(m, 1)}[other]

    same(lambda m: getattr(m, f"_foreach_{name}")(lists(m), operand(m)))

    def inplace(m):
        values = lists(m)
        getattr(m, f"_foreach_{name}_")(values, operand(m))
        return values

    same(inplace)


def test_alpha_and_a_tensor_of_no_dimensions():
    same(lambda m: m._foreach_add(lists(m), lists(m, 1), alpha=0.5))
    same(lambda m: m._foreach_sub_(lists(m), lists(m, 1), alpha=0.5))
    same(lambda m: m._foreach_mul(lists(m), m.tensor(2.0)))
    same(lambda m: m._foreach_pow(2.0, lists(m)))


@pytest.mark.parametrize("name", ("addcmul", "addcdiv"))
def test_ternary(name):
    for value in (0.5, [0.5, 1.0, 2.0, 3.0]):
        same(lambda m, value=value: getattr(m, f"_foreach_{name}")(lists(m), lists(m, 1), lists(m, 2), value))
        same(lambda m, value=value: getattr(m, f"_foreach_{name}_")(lists(m), lists(m, 1), lists(m, 2), value))
    same(lambda m: getattr(m, f"_foreach_{name}")(lists(m), lists(m, 1), lists(m, 2), m.tensor([0.5, 1.0, 2.0, 3.0])))


def test_the_others():
    same(lambda m: m._foreach_lerp(lists(m), lists(m, 1), 0.25))
    same(lambda m: m._foreach_lerp(lists(m), lists(m, 1), lists(m, 2)))
    same(lambda m: m._foreach_lerp_(lists(m), lists(m, 1), 0.25))
    same(lambda m: m._foreach_norm(lists(m)))
    same(lambda m: m._foreach_norm(lists(m), 1))
    same(lambda m: m._foreach_max(lists(m)))
    same(lambda m: m._foreach_clone(lists(m)))
    same(lambda m: m._foreach_copy_(lists(m), lists(m, 1)))
    same(lambda m: m._foreach_zero_(lists(m)))


@pytest.mark.parametrize(
    "program",
    [
        lambda m: m._foreach_add(lists(m), lists(m)[:2]),
        lambda m: m._foreach_add(lists(m), [1.0]),
        lambda m: m._foreach_add([], 1),
        lambda m: m._foreach_abs(3),
        lambda m: m._foreach_mul(lists(m), m.ones(2)),
        lambda m: m._foreach_add_([m.ones(2, dtype=m.int64)], 1.5),
    ],
)
def test_errors(program):
    with pytest.raises(Exception) as expected:  # noqa: PT011
        program(torch)
    with pytest.raises(expected.type):
        program(engine)


def test_an_average_of_many_weights_is_few_launches():
    averages = [engine.zeros(130 + i) for i in range(40)]
    weights = [engine.ones(130 + i) for i in range(40)]
    engine.synchronize()
    before = engine.launch_count()
    engine._foreach_mul_(averages, 0.75)
    engine._foreach_add_(averages, weights, alpha=0.25)
    engine.synchronize()
    assert engine.launch_count() - before <= 8
    for t in averages:
        np.testing.assert_allclose(t.numpy(), 0.25)
