"""Elementwise update rules and what runs them.

A rule is a pure function of one parameter:

    rule(p, g, *state tensors, **scalars, **flags) -> (new p, *new state tensors)

It uses arithmetic operators and ``ops.sqrt/where/maximum/abs`` only. Scalars are Python floats or 0-dim tensors, ready
made: a rule never combines two scalars, so that nothing is lost when they reach a kernel as float32 arguments (``1 -
beta2`` is a scalar of its own). Flags are Python bools and choose the formula.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from .. import ops
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
    """Write ``rule`` of every parameter into the parameter and its state tensors, in the caller's grad mode.

    Complex tensors are updated as pairs of reals.
    """
    for p, grad, state in zip(params, grads, states):
        old = (p, *state)
        if p.is_complex():
            grad = ops.view_as_real(grad)
            old = tuple(ops.view_as_real(t) if t.is_complex() else t for t in old)
        new = rule(old[0], grad, *old[1:], **scalars, **flags)
        for target, value in zip(old, new):
            if value is not target:
                target.copy_(value)
