"""The ``_foreach_*`` functions: one op on every tensor of a list, which optimizers and moving averages call.

Each is the op of that name on each tensor; the planner puts kernels of one text into one launch. Out of place they
return a tuple, in place (``_foreach_add_``) the list that they were given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .tensor import Tensor

_UNARY = (
    "abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 neg reciprocal round "
    "rsqrt sigmoid sign sin sinh sqrt tan tanh trunc"
).split()
_BINARY = "clamp_max clamp_min div maximum minimum mul pow".split()


def _tensors(name: str, values: Any, argument: str = "self", position: int = 1) -> Sequence[Tensor]:
    """A list of tensors. Raises TypeError for anything else, RuntimeError for an empty one."""
    if not isinstance(values, (list, tuple)):
        kind = type(values).__name__
        raise TypeError(f"{name}(): argument '{argument}' (position {position}) must be tuple of Tensors, not {kind}")
    if not values:
        raise RuntimeError("Tensor list must have at least one tensor.")
    for i, value in enumerate(values):
        if not isinstance(value, Tensor):
            kind = type(value).__name__
            raise TypeError(
                f"{name}(): argument '{argument}' (position {position}) must be tuple of Tensors, but found element of "
                f"type {kind} at pos {i}"
            )
    return values


def _like(name: str, tensors: Sequence[Tensor], other: Any) -> Sequence[Any]:
    """One operand for each tensor: from a list of tensors or numbers, one number or a 0-dim tensor."""
    if isinstance(other, (list, tuple)):
        if other and isinstance(other[0], Tensor):
            _tensors(name, other, "other", 2)
            _same_length(tensors, other)
        elif len(other) != len(tensors):
            raise RuntimeError("Tensor list must have same number of elements as scalar list.")
        return other
    if isinstance(other, Tensor) and other.dim():
        raise RuntimeError(
            f"scalar tensor expected to be 0 dim but it has {other.dim()} dimensions and {other.numel()} elements."
        )
    return [other] * len(tensors)


def _same_length(tensors: Sequence[Tensor], other: Sequence[Tensor]) -> None:
    if len(other) != len(tensors):
        raise RuntimeError(f"Tensor lists must have the same number of tensors, got {len(tensors)} and {len(other)}")


def _unary(op: str) -> tuple[Callable, Callable]:
    def call(self: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple([getattr(x, op)() for x in _tensors(f"_foreach_{op}", self)])

    def twin(self: Sequence[Tensor]) -> Sequence[Tensor]:
        for x in _tensors(f"_foreach_{op}_", self):
            getattr(x, f"{op}_")()
        return self

    return call, twin


def _call(op: str, x: Tensor, y: Any) -> Tensor:
    """``op`` of a tensor and a tensor or number (maximum and minimum of a number are clamps)."""
    inplace = "_" if op[-1] == "_" else ""
    plain = op.rstrip("_")
    if plain in ("maximum", "minimum"):
        if not isinstance(y, Tensor) or inplace:
            plain = "clamp_min" if plain == "maximum" else "clamp_max"
    return getattr(x, plain + inplace)(y)


def _binary(op: str) -> tuple[Callable, Callable]:
    def call(self: Sequence[Tensor], other: Any) -> tuple[Tensor, ...]:
        if op == "pow" and not isinstance(self, (list, tuple)):
            return tuple([self**x for x in _tensors("_foreach_pow", other, "exponent", 2)])
        tensors = _tensors(f"_foreach_{op}", self)
        return tuple([_call(op, x, y) for x, y in zip(tensors, _like(f"_foreach_{op}", tensors, other))])

    def twin(self: Sequence[Tensor], other: Any) -> Sequence[Tensor]:
        tensors = _tensors(f"_foreach_{op}_", self)
        for x, y in zip(tensors, _like(f"_foreach_{op}_", tensors, other)):
            _call(f"{op}_", x, y)
        return self

    return call, twin


def _sum(op: str) -> tuple[Callable, Callable]:
    """add and sub, which take ``alpha`` with tensors."""

    def options(other: Any, alpha: Any) -> dict[str, Any]:
        return {} if alpha == 1 else {"alpha": alpha}

    def call(self: Sequence[Tensor], other: Any, *, alpha: Any = 1) -> tuple[Tensor, ...]:
        tensors = _tensors(f"_foreach_{op}", self)
        more = options(other, alpha)
        return tuple([getattr(x, op)(y, **more) for x, y in zip(tensors, _like(f"_foreach_{op}", tensors, other))])

    def twin(self: Sequence[Tensor], other: Any, *, alpha: Any = 1) -> Sequence[Tensor]:
        tensors = _tensors(f"_foreach_{op}_", self)
        more = options(other, alpha)
        for x, y in zip(tensors, _like(f"_foreach_{op}_", tensors, other)):
            getattr(x, f"{op}_")(y, **more)
        return self

    return call, twin


def _ternary(op: str) -> tuple[Callable, Callable]:
    """addcmul and addcdiv: ``self + value * tensor1 (* or /) tensor2``; one value, a list or a tensor of them."""

    def each(name: str, self: Any, tensor1: Any, tensor2: Any, value: Any, scalars: Any) -> zip:
        tensors = _tensors(name, self)
        for other in (tensor1, tensor2):
            _same_length(tensors, _tensors(name, other))
        values = scalars if scalars is not None else value
        if isinstance(values, Tensor):
            values = values.tolist()
        return zip(tensors, tensor1, tensor2, _like(name, tensors, values))

    def call(self: Any, tensor1: Any, tensor2: Any, value: Any = 1, *, scalars: Any = None) -> tuple[Tensor, ...]:
        entries = each(f"_foreach_{op}", self, tensor1, tensor2, value, scalars)
        return tuple([getattr(x, op)(a, b, value=v) for x, a, b, v in entries])

    def twin(self: Any, tensor1: Any, tensor2: Any, value: Any = 1, *, scalars: Any = None) -> Any:
        for x, a, b, v in each(f"_foreach_{op}_", self, tensor1, tensor2, value, scalars):
            getattr(x, f"{op}_")(a, b, value=v)
        return self

    return call, twin


def _foreach_lerp(self: Sequence[Tensor], tensors1: Sequence[Tensor], weight: Any) -> tuple[Tensor, ...]:
    """``self + weight * (tensors1 - self)``; weight: a number, or a list of numbers or tensors."""
    tensors = _tensors("_foreach_lerp", self)
    _same_length(tensors, _tensors("_foreach_lerp", tensors1, "tensors1", 2))
    return tuple([x.lerp(y, w) for x, y, w in zip(tensors, tensors1, _like("_foreach_lerp", tensors, weight))])


def _foreach_lerp_(self: Sequence[Tensor], tensors1: Sequence[Tensor], weight: Any) -> Sequence[Tensor]:
    """``_foreach_lerp`` in place."""
    tensors = _tensors("_foreach_lerp_", self)
    _same_length(tensors, _tensors("_foreach_lerp_", tensors1, "tensors1", 2))
    for x, y, w in zip(tensors, tensors1, _like("_foreach_lerp_", tensors, weight)):
        x.lerp_(y, w)
    return self


def _foreach_norm(self: Sequence[Tensor], ord: float = 2, dtype: Any = None) -> tuple[Tensor, ...]:
    """The vector norm of each tensor, 0-dim."""
    return tuple([x.norm(ord, dtype=dtype) for x in _tensors("_foreach_norm", self)])


def _foreach_powsum(self: Sequence[Tensor], ord: float = 2, dtype: Any = None) -> tuple[Tensor, ...]:
    """The sum of ``abs(x) ** ord`` of each tensor, 0-dim."""
    return tuple([x.abs().pow(ord).sum(dtype=dtype) for x in _tensors("_foreach_powsum", self)])


def _foreach_max(self: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The largest element of each tensor."""
    return tuple([x.max() for x in _tensors("_foreach_max", self)])


def _foreach_clone(self: Sequence[Tensor], *, memory_format: Any = None) -> tuple[Tensor, ...]:
    """A copy of each tensor."""
    more = {} if memory_format is None else {"memory_format": memory_format}
    return tuple([x.clone(**more) for x in _tensors("_foreach_clone", self)])


def _foreach_mm(self: Sequence[Tensor], mat2: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The matrix product of each pair."""
    tensors = _tensors("_foreach_mm", self)
    _same_length(tensors, _tensors("_foreach_mm", mat2, "mat2", 2))
    return tuple([x.mm(y) for x, y in zip(tensors, mat2)])


def _foreach_copy_(self: Sequence[Tensor], src: Sequence[Tensor], non_blocking: bool = False) -> Sequence[Tensor]:
    """Copy each tensor of ``src`` into its counterpart."""
    tensors = _tensors("_foreach_copy_", self)
    _same_length(tensors, _tensors("_foreach_copy_", src, "src", 2))
    for x, y in zip(tensors, src):
        x.copy_(y, non_blocking)
    return self


def _foreach_zero_(self: Sequence[Tensor]) -> Sequence[Tensor]:
    """Set every element of each tensor to zero."""
    for x in _tensors("_foreach_zero_", self):
        x.zero_()
    return self


def _publish() -> None:
    for make, names in (
        (_unary, _UNARY),
        (_binary, _BINARY),
        (_sum, ("add", "sub")),
        (_ternary, ("addcmul", "addcdiv")),
    ):
        for op in names:
            call, twin = make(op)
            for name, function, what in (("", call, "a tuple of new tensors"), ("_", twin, "in place")):
                function.__name__ = function.__qualname__ = f"_foreach_{op}{name}"
                function.__doc__ = f"``{op}`` of every tensor of a list; {what}."
                globals()[function.__name__] = function


_publish()
