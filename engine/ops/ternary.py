"""Elementwise functions of three operands: lerp, addcmul, addcdiv."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from ..graph.spec import Spec
from .op import Op
from .pointwise import check_kind, pointwise_spec, promoted, wide
from .publish import function


# -- lerp -------------------------------------------------------------------------------------------------------------
def _lerp_rule(x: Spec, end: Spec, weight: Spec | None = None) -> Spec:
    check_kind("lerp_kernel_scalar" if weight is None else "lerp_kernel_tensor", x.dtype, "fc")
    for what, s in (("end", end), ("weight", weight)):
        if s is not None and s.dtype is not x.dtype:
            raise RuntimeError(f"expected dtype {x.dtype} for `{what}` but got dtype {s.dtype}")
    return pointwise_spec(x.dtype, *(s for s in (x, end, weight) if s is not None))


def _lerp_lower(b: Any, x: Any, end: Any, weight: Any) -> Any:
    dtype = x.dtype
    x, end, weight = (v.cast(wide(dtype)) for v in (x, end, weight))
    gap = end - x
    near = b.lt(b.pw("abs", weight, dtype=weight.dtype.to_real() if weight.dtype.is_complex else weight.dtype), 0.5)
    return b.where(near, x + weight * gap, end - gap * (1.0 - weight)).cast(dtype)


def _lerp_grad(ctx: Any, g: Tensor) -> tuple:
    needs = ctx.needs
    if len(ctx.specs) == 2:
        weight = ctx.scalars[0]
        if g._spec.dtype.is_complex:
            weight = weight.conjugate()
        return g * (1 - weight) if needs[0] else None, g * weight if needs[1] else None
    x, end, weight = ctx.inputs
    if g._spec.dtype.is_complex:
        x, end, weight = (t if t is None else t.conj() for t in (x, end, weight))
    return (
        g * (1 - weight) if needs[0] else None,
        g * weight if needs[1] else None,
        g * (end - x) if needs[2] else None,
    )


_lerp = Op(
    "lerp", _lerp_rule, _lerp_lower, _lerp_grad, scalars=lambda x, end: (wide(x.dtype),), grad_name="LerpBackward0"
)
_lerp_tensor = Op(
    "lerp", _lerp_rule, _lerp_lower, _lerp_grad, saves={0: (2,), 1: (2,), 2: (0, 1)}, grad_name="LerpBackward1"
)


@function(inplace=True, out=True)
def lerp(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """``input + weight * (end - input)``; the weight is a number or a tensor. All tensors have one floating dtype."""
    if isinstance(weight, Tensor):
        if not weight._spec.ndim and weight._spec.device is not input._spec.device:
            weight = weight.to(input._spec.device)
        return _lerp_tensor((input, end, weight))
    return _lerp((input, end), (), (weight,))


# -- addcmul, addcdiv -------------------------------------------------------------------------------------------------
def _scale_dtype(*specs: Spec) -> tuple:
    dtype = wide(promoted(specs))
    return (dtypes.int64 if dtype is dtypes.bool else dtype,)


def _addcmul_rule(x: Spec, a: Spec, c: Spec) -> Spec:
    dtype = promoted((x, a, c))
    check_kind("addcmul_cpu_out", dtype, "iufc")
    return pointwise_spec(dtype, x, a, c)


def _operands(x: Any, a: Any, c: Any) -> tuple:
    dtype = promoted((x, a, c))
    return dtype, *(v.cast(wide(dtype)) for v in (x, a, c))


def _addcmul_lower(b: Any, x: Any, a: Any, c: Any, value: Any) -> Any:
    dtype, x, a, c = _operands(x, a, c)
    return (x + value * a * c).cast(dtype)


def _addcmul_grad(ctx: Any, g: Tensor) -> tuple:
    _, a, c = ctx.inputs
    (value,) = ctx.scalars
    needs = ctx.needs
    if g._spec.dtype.is_complex:
        return (
            g if needs[0] else None,
            g * (c * value).conj() if needs[1] else None,
            g * (a * value).conj() if needs[2] else None,
        )
    return (
        g if needs[0] else None,
        g * (c * value if value != 1 else c) if needs[1] else None,
        g * (a * value if value != 1 else a) if needs[2] else None,
    )


_addcmul = Op("addcmul", _addcmul_rule, _addcmul_lower, _addcmul_grad, saves={1: (2,), 2: (1,)}, scalars=_scale_dtype)


@function(inplace=True, out=True)
def addcmul(input: Tensor, tensor1: Any, tensor2: Tensor, old_tensor2: Any = None, *, value: Any = 1) -> Tensor:
    """``input + value * tensor1 * tensor2`` with broadcasting and promotion."""
    if old_tensor2 is not None:  # the old form: addcmul(input, value, tensor1, tensor2)
        value, tensor1, tensor2 = tensor1, tensor2, old_tensor2
    return _addcmul((input, tensor1, tensor2), (), (value,))


def _addcdiv_rule(x: Spec, a: Spec, c: Spec) -> Spec:
    dtype = promoted((x, a, c))
    if not (a.floating or c.floating):
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future release addcdiv will perform a "
            "true division "
            "of tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + value * "
            "torch.trunc(tensor1 / "
            "tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / tensor2) for float "
            "inputs. The "
            "future addcdiv behavior is just the latter implementation: (input + value * tensor1 / tensor2), for all "
            "dtypes."
        )
    return pointwise_spec(dtype, x, a, c)


def _addcdiv_lower(b: Any, x: Any, a: Any, c: Any, value: Any) -> Any:
    dtype, x, a, c = _operands(x, a, c)
    return (x + value * (a / c)).cast(dtype)


def _addcdiv_grad(ctx: Any, g: Tensor) -> tuple:
    _, a, c = ctx.inputs
    (value,) = ctx.scalars
    needs = ctx.needs
    if g._spec.dtype.is_complex:
        return (
            g if needs[0] else None,
            g * (value / c).conj() if needs[1] else None,
            -g * (a * value / (c * c)).conj() if needs[2] else None,
        )
    return (
        g if needs[0] else None,
        g * (value / c) if needs[1] else None,
        -g * (a * value / (c * c)) if needs[2] else None,
    )


_addcdiv = Op("addcdiv", _addcdiv_rule, _addcdiv_lower, _addcdiv_grad, saves={1: (2,), 2: (1, 2)}, scalars=_scale_dtype)


@function(inplace=True, out=True)
def addcdiv(input: Tensor, tensor1: Any, tensor2: Tensor, old_tensor2: Any = None, *, value: Any = 1) -> Tensor:
    """``input + value * tensor1 / tensor2`` with broadcasting. Raises RuntimeError for two integer operands."""
    if old_tensor2 is not None:  # the old form: addcdiv(input, value, tensor1, tensor2)
        value, tensor1, tensor2 = tensor1, tensor2, old_tensor2
    return _addcdiv((input, tensor1, tensor2), (), (value,))


__all__ = ["addcdiv", "addcmul", "lerp"]
