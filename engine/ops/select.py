"""Choosing between values: where, clamp, masked_fill."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from ..graph.spec import Spec
from .op import Op
from .pointwise import check_kind, compute, is_number, pointwise_spec, promoted, wide
from .publish import function

_KIND_DTYPE = {bool: "b", int: "i", float: "f", complex: "c"}


def _where_rule(c: Spec, x: Spec, y: Spec) -> Spec:
    if c.dtype is not dtypes.bool and c.dtype is not dtypes.uint8:
        raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype {c.dtype}")
    return pointwise_spec(promoted((x, y)), c, x, y)


def _where_lower(b: Any, c: Any, x: Any, y: Any) -> Any:
    dtype = promoted((x, y))
    return b.where(c.cast(dtypes.bool), x.cast(dtype), y.cast(dtype))


def _where_grad(ctx: Any, g: Tensor) -> tuple:
    c = ctx.inputs[0]
    return (
        None,
        _where((c, g, _zero(g))) if ctx.needs[1] else None,
        _where((c, _zero(g), g)) if ctx.needs[2] else None,
    )


_where = Op("where", _where_rule, _where_lower, _where_grad, saves=(0,))


def _zero(like: Tensor) -> Tensor:
    return SCALAR(0, like._spec.dtype, like._spec.device)


SCALAR: Any = None  # set by creation: a 0-dim tensor


@function(out=True)
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """``input`` where the condition holds, else ``other``; with the condition alone, the indices where it holds."""
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    device = condition._spec.device
    operands = []
    for v, w in ((input, other), (other, input)):
        if not isinstance(v, Tensor):
            kinds = (_KIND_DTYPE[type(v)],) if type(v) in _KIND_DTYPE else ("f",)
            if isinstance(w, Tensor):
                dtype = promoted((w._spec,), kinds)
                if not w._spec.ndim and dtype is not w._spec.dtype:
                    dtype = promoted((), kinds)
            else:
                dtype = promoted((), kinds)
            v = SCALAR(v, dtype, device)
        operands.append(v)
    return _where((condition, *operands))


# -- clamp ------------------------------------------------------------------------------------------------------------
def _clamp_rule(x: Spec, low: str, high: str) -> Spec:
    dtype = promoted((x,), tuple(k for k in (low, high) if k))
    check_kind("clamp", dtype, "iuf")
    return pointwise_spec(dtype, x)


def _clamp_scalars(x: Spec, low: str, high: str) -> tuple:
    dtype = wide(promoted((x,), tuple(k for k in (low, high) if k)))
    return tuple(dtype for k in (low, high) if k)


def _clamp_lower(b: Any, x: Any, *args: Any) -> Any:
    *bounds, low, high = args
    kinds = tuple(k for k in (low, high) if k)
    dtype = promoted((x,), kinds)
    out = x.cast(wide(dtype))
    at = 0
    if low:
        out = b.pw("max", out, bounds[0])
        at = 1
    if high:
        out = b.pw("min", out, bounds[at])
    return out.cast(dtype)


def _clamp_grad(ctx: Any, g: Tensor) -> tuple:
    x = ctx.inputs[0]
    low, high = ctx.static
    inside = None
    at = 0
    if low:
        inside = x >= ctx.scalars[0]
        at = 1
    if high:
        below = x <= ctx.scalars[at]
        inside = below if inside is None else inside & below
    return (_where((inside, g, _zero(g))),)


_clamp = Op(
    "clamp", _clamp_rule, _clamp_lower, _clamp_grad, saves=(0,), scalars=_clamp_scalars, grad_name="ClampBackward1"
)


@function(inplace=True, out=True, aliases=("clip",))
def clamp(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Limit to [min, max] (numbers or tensors). Raises RuntimeError when both are None."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        out = input
        if min is not None:
            out = clamp_min(out, min)
        return out if max is None else clamp_max(out, max)
    kinds = []
    for v in (min, max):
        if v is None:
            kinds.append("")
        elif is_number(v):
            kinds.append("b" if isinstance(v, bool) else "i" if isinstance(v, int) else "f")
        else:
            raise TypeError(f"clamp(): argument 'min' must be Number or Tensor, not {type(v).__name__}")
    numbers = tuple(v for v in (min, max) if v is not None)
    return _clamp((input,), tuple(kinds), numbers)


@function(inplace=True, out=True)
def clamp_min(input: Tensor, min: Any) -> Tensor:
    """Limit from below."""
    if isinstance(min, Tensor):
        return _tensor_bound(input, min, True)
    return clamp(input, min=min)


@function(inplace=True, out=True)
def clamp_max(input: Tensor, max: Any) -> Tensor:
    """Limit from above."""
    if isinstance(max, Tensor):
        return _tensor_bound(input, max, False)
    return clamp(input, max=max)


def _bound_rule(x: Spec, bound: Spec, lower: bool) -> Spec:
    return pointwise_spec(promoted((x, bound)), x, bound)


def _bound_lower(b: Any, x: Any, bound: Any, lower: bool) -> Any:
    dtype = promoted((x, bound))
    return b.pw("max" if lower else "min", x.cast(wide(dtype)), bound.cast(wide(dtype))).cast(dtype)


def _bound_grad(ctx: Any, g: Tensor) -> tuple:
    x, bound = ctx.inputs
    keep = x >= bound if ctx.static[0] else x <= bound
    return (
        _where((keep, g, _zero(g))) if ctx.needs[0] else None,
        _where((keep, _zero(g), g)) if ctx.needs[1] else None,
    )


_bound = Op("clamp", _bound_rule, _bound_lower, _bound_grad, saves=(0, 1))


def _tensor_bound(x: Tensor, bound: Tensor, lower: bool) -> Tensor:
    return _bound((x, bound), (lower,))


# -- masked_fill ------------------------------------------------------------------------------------------------------
def _fill_rule(x: Spec, mask: Spec) -> Spec:
    if mask.dtype is not dtypes.bool:
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    return pointwise_spec(x.dtype, x, mask)


_fill = Op(
    "masked_fill",
    _fill_rule,
    lambda b, x, mask, value: b.where(mask, value.cast(x.dtype), x),
    lambda ctx, g: (masked_fill(g, ctx.inputs[1], 0), None),
    saves=(1,),
    scalars=lambda x, mask: (wide(x.dtype) if x.dtype is not dtypes.bool else dtypes.int64,),
)


@function(inplace=True)
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """``value`` where the mask holds, else ``input``. The value is a number or a 0-dim tensor."""
    if isinstance(value, Tensor):
        if value._spec.ndim:
            raise RuntimeError(
                f"masked_fill only supports a 0-dimensional value tensor, but got tensor with {value._spec.ndim} "
                f"dimension(s)."
            )
        return _where((mask, value.to(input._spec.dtype), input))
    if not input._spec.floating and isinstance(value, float) and value != int(value):
        raise RuntimeError(f"value cannot be converted to type {input._spec.dtype} without overflow")
    return _fill((input, mask), (), (value,))


__all__ = ["clamp", "clamp_max", "clamp_min", "compute", "masked_fill", "where"]
