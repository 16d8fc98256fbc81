"""Elementwise update rules and what runs them.

A rule is a pure function of one parameter:

    rule(p, g, *state tensors, **scalars, **flags) -> (new p, *new state tensors)

It uses arithmetic operators and the functions of ``expr`` only. Scalars are Python floats or 0-dim tensors, ready
made: a rule never combines two scalars, so that nothing is lost when they reach a kernel as float32 arguments (``1 -
beta2`` is a scalar of its own). Flags are Python bools and choose the formula.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from .. import ops
from ..autograd.mode import mode
from ..graph.spec import Spec
from ..ops.creation import convert
from ..ops.op import Op, store
from ..ops.pointwise import wide
from ..tensor import Tensor

Rule: TypeAlias = Callable[..., tuple[Tensor, ...]]


def as_scalar(value: Any) -> float | Tensor:
    """A rule's scalar from an option: a Python float, or a tensor in 0 dimensions."""
    if type(value) is float:
        return value
    if isinstance(value, Tensor):
        return value.reshape(()) if value.dim() else value
    return float(value)  # ints and NumPy's scalars


def apply_rule(
    rule: Rule,
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Sequence[Sequence[Tensor]],
    scalars: Mapping[str, Any],
    flags: Mapping[str, bool],
) -> None:
    """Write ``rule`` of every parameter into the parameter and its state tensors.

    One op updates all of them, unless the update itself is recorded (grad mode on) or parameters are complex: then the
    rule runs on tensors, complex ones as pairs of reals.
    """
    if not mode.grad:
        fusable = {p.dtype for p in params if p.dtype.is_floating_point}
        for dtype in fusable:
            chosen = [i for i, p in enumerate(params) if p.dtype is dtype]
            for at in range(0, len(chosen), _MOST):
                _apply_fused(rule, chosen[at : at + _MOST], params, grads, states, scalars, flags)
        if not any(p.is_complex() for p in params):
            return
        rest = [i for i, p in enumerate(params) if p.is_complex()]
        params, grads, states = ([x[i] for i in rest] for x in (params, grads, states))
    for p, grad, state in zip(params, grads, states):
        old = (p, *state)
        if p.is_complex():
            grad = ops.view_as_real(grad)
            old = tuple(ops.view_as_real(t) if t.is_complex() else t for t in old)
        new = rule(old[0], grad, *old[1:], **scalars, **flags)
        for target, value in zip(old, new):
            if value is not target:
                target.copy_(value)


_MOST = 256  # parameters updated by one op: bounds the size of a call's description


def _apply_fused(
    rule: Rule,
    chosen: list[int],
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Sequence[Sequence[Tensor]],
    scalars: Mapping[str, Any],
    flags: Mapping[str, bool],
) -> None:
    first = params[chosen[0]]
    numbers = tuple(k for k, v in scalars.items() if not isinstance(v, Tensor))
    given = {k: v for k, v in scalars.items() if isinstance(v, Tensor)}
    operands = [params[i] for i in chosen]
    for k in range(len(states[chosen[0]])):
        operands += [states[i][k] for i in chosen]
    targets = list(operands)
    operands += [grads[i] for i in chosen]
    operands += [convert(v, None, first.device) for v in given.values()]
    static = (rule, len(chosen), len(states[chosen[0]]), numbers, tuple(given), tuple(flags.items()))
    for target, value in zip(targets, _update(operands, static, tuple([scalars[k] for k in numbers]))):
        storage = target._storage
        if target._spec is value._spec and storage.pin is None and storage.size == value._spec.numel:
            storage.put(value._storage.node)
        else:
            store(target, value, True)


def _update_rule(*args: Any) -> list[Spec]:
    *specs, _rule, count, kept, numbers, given, flags = args
    return list(specs[: count * (1 + kept)])


def _update_lower(b: Any, *args: Any) -> list[Any]:
    *refs, rule, count, kept, numbers, given, flags = args
    scalars = refs[len(refs) - len(numbers) :]
    refs = refs[: len(refs) - len(numbers)]
    held = count * (1 + kept)
    compute = wide(refs[0].dtype)
    named = dict(zip(numbers, scalars))
    named.update(zip(given, (r.cast(compute) for r in refs[held + count :])))
    rows = []
    for i in range(count):
        p, *state = (refs[i + k * count].cast(compute) for k in range(1 + kept))
        g = refs[held + i].cast(compute)
        rows.append(rule(p, g, *state, **named, **dict(flags)))
    out = []
    for k in range(1 + kept):
        for i in range(count):
            value = rows[i][k] if k < len(rows[i]) else refs[i + k * count]
            old = refs[i + k * count]
            out.append(value.expand(old.shape).cast(old.dtype))
    return out


_update = Op(
    "optimizer_step",
    _update_rule,
    _update_lower,
    scalars=lambda *args: (wide(args[0].dtype),) * len(args[-3]),
)
