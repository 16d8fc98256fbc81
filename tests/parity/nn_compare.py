"""Runs one module or function in engine and in torch on the same numbers and compares everything that can be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import engine

torch = pytest.importorskip("torch")

F32 = "float32"
# Arguments that torch does not differentiate.
CONSTANT = ("weight", "pos_weight")


def array(rng: np.random.Generator, *shape: int, low: float = -1.0, high: float = 1.0, dtype: str = F32) -> np.ndarray:
    """Uniform numbers of [low, high)."""
    return rng.uniform(low, high, shape).astype(dtype)


def both(value: Any, grad: bool) -> tuple[Any, Any]:
    """The value for engine and for torch; arrays become tensors, floating ones leaves that require gradients."""
    if isinstance(value, np.ndarray):
        pair = engine.tensor(value), torch.tensor(value)
        if grad and value.dtype.kind == "f":
            return tuple(t.requires_grad_(True) for t in pair)
        return pair
    if isinstance(value, (tuple, list)):
        pairs = [both(v, grad) for v in value]
        return type(value)(p[0] for p in pairs), type(value)(p[1] for p in pairs)
    return value, value


def leaves(value: Any) -> list[Any]:
    """All tensors in nested tuples, lists and dicts, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        return [leaf for v in value for leaf in leaves(v)]
    return [value] if hasattr(value, "detach") else []


def as_numpy(tensor: Any) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def assert_same(got: Any, expected: Any, rtol: float = 1e-4, atol: float = 1e-5, what: str = "value") -> None:
    """Equal shape, dtype and (nearly) values."""
    assert tuple(got.shape) == tuple(expected.shape), what
    assert str(got.dtype).split(".")[-1] == str(expected.dtype).split(".")[-1], what
    np.testing.assert_allclose(as_numpy(got), as_numpy(expected), rtol=rtol, atol=atol, err_msg=what)


def compare_results(got: Any, expected: Any, **tolerance: float) -> None:
    ours, theirs = leaves(got), leaves(expected)
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        assert_same(a, b, what=f"result {i}", **tolerance)


def backward_both(rng: np.random.Generator, got: Any, expected: Any) -> bool:
    """Back-propagate the same random gradients through both; False where nothing requires gradients."""
    ours, theirs = leaves(got), leaves(expected)
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if b.requires_grad]
    assert all(a.requires_grad for a, _ in pairs)
    if not pairs:
        return False
    loss_a, loss_b = 0, 0
    for a, b in pairs:
        weights = array(rng, *b.shape, low=0.2, high=1.0, dtype=str(as_numpy(b).dtype))
        loss_a = loss_a + (a * engine.tensor(weights)).sum()
        loss_b = loss_b + (b * torch.tensor(weights)).sum()
    loss_a.backward()
    loss_b.backward()
    return True


def compare_gradients(ours: list[Any], theirs: list[Any], **tolerance: float) -> None:
    for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if not b.requires_grad:
            continue
        if b.grad is None:
            assert a.grad is None, f"gradient {i}"
            continue
        assert_same(a.grad, b.grad, what=f"gradient {i}", **tolerance)


def check_function(
    name: str,
    args: tuple,
    kwargs: dict[str, Any] | None = None,
    seed: int = 0,
    grad: bool = True,
    second: bool = False,
    **tolerance: float,
) -> None:
    """Compare ``nn.functional.<name>``: value and gradients, with ``second`` also second derivatives."""
    kwargs = kwargs or {}
    rng = np.random.default_rng(seed)
    args_e, args_t = both(args, grad)
    kw = {k: both(v, grad and k not in CONSTANT) for k, v in kwargs.items()}
    got = getattr(engine.nn.functional, name)(*args_e, **{k: v[0] for k, v in kw.items()})
    expected = getattr(torch.nn.functional, name)(*args_t, **{k: v[1] for k, v in kw.items()})
    compare_results(got, expected, **tolerance)
    inputs_e = leaves(args_e) + leaves([v[0] for v in kw.values()])
    inputs_t = leaves(args_t) + leaves([v[1] for v in kw.values()])
    if not grad:
        return
    if second:
        _compare_second(got, expected, inputs_e, inputs_t, **tolerance)
        return
    if backward_both(rng, got, expected):
        compare_gradients(inputs_e, inputs_t, **tolerance)


def _compare_second(got: Any, expected: Any, inputs_e: list, inputs_t: list, **tolerance: float) -> None:
    """Gradient of the squared norm of the gradient."""
    for framework, value, inputs in ((engine, got, inputs_e), (torch, expected, inputs_t)):
        wanted = [t for t in inputs if t.requires_grad]
        loss = sum((leaf * leaf).sum() for leaf in leaves(value) if leaf.requires_grad)
        grads = framework.autograd.grad(loss, wanted, create_graph=True)
        sum((g * g).sum() for g in grads).backward()
    compare_gradients(inputs_e, inputs_t, **tolerance)


def load_from_torch(module: Any, reference: Any) -> None:
    """Copy torch's state into the engine module, by name and as NumPy arrays."""
    state = {k: engine.tensor(as_numpy(v).copy()) for k, v in reference.state_dict().items()}
    result = module.load_state_dict(state)
    assert not result.missing_keys
    assert not result.unexpected_keys


def compare_structure(module: Any, reference: Any) -> None:
    """repr, state_dict keys in order, shapes and dtypes, and which parameters require gradients."""
    assert repr(module) == repr(reference)
    ours, theirs = module.state_dict(), reference.state_dict()
    assert list(ours) == list(theirs)
    for key in theirs:
        assert tuple(ours[key].shape) == tuple(theirs[key].shape), key
        assert str(ours[key].dtype).split(".")[-1] == str(theirs[key].dtype).split(".")[-1], key
    assert [n for n, _ in module.named_parameters()] == [n for n, _ in reference.named_parameters()]
    assert [n for n, _ in module.named_buffers()] == [n for n, _ in reference.named_buffers()]
    assert [p.requires_grad for p in module.parameters()] == [p.requires_grad for p in reference.parameters()]
    assert getattr(type(module), "__constants__", None) == getattr(type(reference), "__constants__", None)
    public = {k for k in vars(reference) if not k.startswith("_")}
    assert {k for k in vars(module) if not k.startswith("_")} == public


def check_module(
    name: str,
    args: tuple,
    kwargs: dict[str, Any],
    inputs: Callable[[np.random.Generator], tuple],
    call: dict[str, Any] | None = None,
    modes: tuple[bool, ...] = (True, False),
    grad: bool = True,
    **tolerance: float,
) -> None:
    """Compare ``nn.<name>(*args, **kwargs)``: structure, forward, gradients and buffers in training and evaluation."""
    args_e, args_t = both(args, False)
    kw = {k: both(v, False) for k, v in kwargs.items()}
    torch.manual_seed(0)
    reference = getattr(torch.nn, name)(*args_t, **{k: v[1] for k, v in kw.items()})
    module = getattr(engine.nn, name)(*args_e, **{k: v[0] for k, v in kw.items()})
    compare_structure(module, reference)
    load_from_torch(module, reference)
    for training in modes:
        rng = np.random.default_rng(7)
        values_e, values_t = both(inputs(rng), grad)
        extra = {k: both(v, False) for k, v in (call or {}).items()}
        module.train(training)
        reference.train(training)
        module.zero_grad()
        reference.zero_grad()
        got = module(*values_e, **{k: v[0] for k, v in extra.items()})
        expected = reference(*values_t, **{k: v[1] for k, v in extra.items()})
        compare_results(got, expected, **tolerance)
        if backward_both(rng, got, expected):
            compare_gradients(leaves(values_e), leaves(values_t), **tolerance)
            compare_gradients(list(module.parameters()), list(reference.parameters()), **tolerance)
        for (key, ours), theirs in zip(module.named_buffers(), reference.buffers(), strict=True):
            assert_same(ours, theirs, what=key)
