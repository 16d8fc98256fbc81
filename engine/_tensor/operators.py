"""Python operators and indexing."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..autograd.variable import Tensor
from ..ops import arithmetic, creation, indexing
from ..ops.pointwise import is_number
from .attach import method

_NUMBERS = (int, float, bool, complex)


def _operator(name: str, op: Any, reverse: bool) -> None:
    tensors, number, side = op.tensors, op.number, ("r" if reverse else "s")

    def forward(self: Tensor, other: Any) -> Any:
        kind = type(other)
        if kind is Tensor:
            return tensors(self, other)
        if kind in _NUMBERS:
            return number(self, other, side)
        return _other(self, other)

    def backward(self: Tensor, other: Any) -> Any:
        if isinstance(other, Tensor):
            return tensors(other, self)
        if is_number(other):
            return number(self, other, "r")
        if isinstance(other, np.ndarray):
            return tensors(creation.from_array(other), self)
        return NotImplemented

    def _other(self: Tensor, other: Any) -> Any:
        if isinstance(other, Tensor):
            return tensors(self, other)
        if is_number(other):
            return number(self, other, "s")
        if isinstance(other, np.ndarray):
            return tensors(self, creation.from_array(other))
        return NotImplemented

    call = backward if reverse else forward
    call.__name__ = call.__qualname__ = name
    setattr(Tensor, name, call)


for _word, _op in {
    "add": arithmetic._add, "sub": arithmetic._sub, "mul": arithmetic._mul, "truediv": arithmetic._true_div,
    "floordiv": arithmetic._floor_div, "mod": arithmetic._remainder, "and": arithmetic.bitwise_and,
    "or": arithmetic.bitwise_or, "xor": arithmetic.bitwise_xor, "lshift": arithmetic.bitwise_left_shift,
    "rshift": arithmetic.bitwise_right_shift,
}.items():  # fmt: skip
    _operator(f"__{_word}__", _op, False)
    _operator(f"__r{_word}__", _op, True)
for _word in ("eq", "ne", "lt", "le", "gt", "ge"):
    _operator(f"__{_word}__", getattr(arithmetic, _word), False)


@method
def __rtruediv__(self: Tensor, other: Any) -> Any:
    """``other / self``; a number times the reciprocal, as in PyTorch."""
    if isinstance(other, Tensor):
        return arithmetic._true_div.tensors(other, self)
    if is_number(other):
        return arithmetic._mul.number(arithmetic.reciprocal(self), other, "s")
    if isinstance(other, np.ndarray):
        return arithmetic._true_div.tensors(creation.from_array(other), self)
    return NotImplemented


def _inplace_operator(name: str, method: str) -> None:
    def call(self: Tensor, other: Any) -> Tensor:
        if not isinstance(other, Tensor) and not is_number(other):
            return NotImplemented
        return getattr(self, method)(other)

    call.__name__ = name
    setattr(Tensor, name, call)


for _name, _twin in {
    "__iadd__": "add_", "__isub__": "sub_", "__imul__": "mul_", "__itruediv__": "div_",
        "__ifloordiv__": "floor_divide_",
    "__imod__": "remainder_", "__iand__": "bitwise_and_", "__ior__": "bitwise_or_", "__ixor__": "bitwise_xor_",
    "__ilshift__": "bitwise_left_shift_", "__irshift__": "bitwise_right_shift_",
}.items():  # fmt: skip
    _inplace_operator(_name, _twin)


@method
def where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """This tensor where the condition holds, else ``other``."""
    return ops.where(condition, self, other)


@method
def __pow__(self: Tensor, other: Any) -> Tensor:
    return arithmetic.pow(self, other)


@method
def __rpow__(self: Tensor, other: Any) -> Tensor:
    return arithmetic.pow(other, self)


@method
def __ipow__(self: Tensor, other: Any) -> Tensor:
    return self.pow_(other)


@method
def __matmul__(self: Tensor, other: Any) -> Tensor:
    return ops.matmul(self, other) if isinstance(other, Tensor) else NotImplemented


@method
def __neg__(self: Tensor) -> Tensor:
    return arithmetic.neg(self)


@method
def __pos__(self: Tensor) -> Tensor:
    return self


@method
def __abs__(self: Tensor) -> Tensor:
    return self.abs()


@method
def __invert__(self: Tensor) -> Tensor:
    return arithmetic.bitwise_not(self)


Tensor.__getitem__ = indexing.getitem
Tensor.__setitem__ = indexing.setitem
