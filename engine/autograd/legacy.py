"""``Variable``, which tensors were wrapped in until 2018: now another name for a tensor."""

from __future__ import annotations

from typing import Any

from .variable import Tensor


class _VariableMeta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)

    def __call__(cls, data: Tensor, requires_grad: bool = False, volatile: bool = False) -> Tensor:
        made = data.detach()
        return made.requires_grad_() if requires_grad else made


class Variable(metaclass=_VariableMeta):
    """``Variable(tensor, requires_grad)`` is a tensor over the same memory."""
