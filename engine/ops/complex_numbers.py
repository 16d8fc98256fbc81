"""Complex numbers: parts and views of them as real pairs, conjugates, angles, construction from real tensors."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from ..graph.spec import Spec, spec
from .pointwise import binary, unary
from .publish import function
from .view_gradients import scatter_view
from .view_op import ViewOp


# -- views ------------------------------------------------------------------------------------------------------------
def _by_geometry(ctx: Any, g: Tensor) -> tuple:
    return (scatter_view(g, ctx.specs[0], ctx.call.out),)


def _pairs_rule(x: Spec) -> Spec:
    return spec(x.dtype.to_real(), x.device, (*x.shape, 2), (*(2 * s for s in x.stride), 1), 2 * x.offset)


def _from_pairs_rule(x: Spec) -> Spec:
    if not x.ndim:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if x.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if x.stride[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(s % 2 for s in x.stride[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    if x.offset % 2:
        raise RuntimeError("Tensor must have a storage_offset divisible by 2")
    return spec(
        x.dtype.to_complex(), x.device, tuple(x.shape[:-1]), tuple(s // 2 for s in x.stride[:-1]), x.offset // 2
    )


def _part_rule(number: int) -> Any:
    return lambda x: spec(
        x.dtype.to_real(), x.device, tuple(x.shape), tuple(2 * s for s in x.stride), 2 * x.offset + number
    )


_pairs = ViewOp("view_as_real", _pairs_rule, _by_geometry)
_from_pairs = ViewOp("view_as_complex", _from_pairs_rule, _by_geometry)
_real_part = ViewOp("real", _part_rule(0), _by_geometry, "SelectBackward0")
_imag_part = ViewOp("imag", _part_rule(1), _by_geometry, "SelectBackward0")


@function(method=False)
def view_as_real(input: Tensor) -> Tensor:
    """The same memory as real numbers: a last dimension of size 2 with real and imaginary parts."""
    if not input._spec.dtype.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return _pairs(input)


@function(method=False)
def view_as_complex(input: Tensor) -> Tensor:
    """The same memory as complex numbers; the last dimension (size 2, stride 1) disappears."""
    if not input._spec.dtype.is_floating_point or input._spec.dtype is dtypes.bfloat16:
        raise RuntimeError(
            f"view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: "
            f"{scalar_type_name(input._spec.dtype)}"
        )
    return _from_pairs(input)


@function(method=False)
def real(input: Tensor) -> Tensor:
    """View of the real part; a real tensor itself."""
    return _real_part(input) if input._spec.dtype.is_complex else input


@function(method=False)
def imag(input: Tensor) -> Tensor:
    """View of the imaginary part. Raises RuntimeError for real tensors."""
    if not input._spec.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return _imag_part(input)


# -- conjugates -------------------------------------------------------------------------------------------------------
_conj = unary(
    "conj_physical", lambda b, x: b.conj(x) if x.dtype.is_complex else x, lambda g, x, out: _conjugated(g),
    result="same", saves=(), holomorphic=False, grad_name="ConjBackward0",
)  # fmt: skip


def _conjugated(g: Tensor) -> Tensor:
    return _conj(g) if g._spec.dtype.is_complex else g


@function()
def conj(input: Tensor) -> Tensor:
    """Complex conjugate; a real tensor itself. Computed at once: there is no lazy conjugate bit."""
    return _conj(input) if input._spec.dtype.is_complex else input


@function()
def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself: conjugates are never pending."""
    return input


@function()
def resolve_neg(input: Tensor) -> Tensor:
    """The tensor itself: negations are never pending."""
    return input


# -- polar form -------------------------------------------------------------------------------------------------------
def _angle_lower(b: Any, x: Any) -> Any:
    if x.dtype.is_complex:
        return b.pw("angle", x, dtype=x.dtype.to_real())
    x = x if x.dtype.is_floating_point else x.cast(dtypes.default.get())
    return b.where(b.is_nan(x), x, b.where(b.lt(x, 0), b.const(math.pi, x.dtype), b.const(0, x.dtype)))


def _angle_grad(g: Tensor, x: Tensor, out: Any) -> Tensor:
    """d atan2(y, x) = (-y dx + x dy) / |z|^2, 0 at the origin."""
    if not x._spec.dtype.is_complex:
        return g * 0
    square = x.real * x.real + x.imag * x.imag
    scale = (g / square).masked_fill(square == 0, 0)
    return make_complex(-x.imag * scale, x.real * scale)


_angle = unary(
    "angle", lambda b, x: _angle_lower(b, x), _angle_grad, result="angle", holomorphic=False, inplace=False,
)  # fmt: skip


def _complex_lower(b: Any, re: Any, im: Any) -> Any:
    return b.pw("complex", re, im, dtype=re.dtype.to_complex())


_complex = binary(
    "_complex", _complex_lower, lambda g, x, y, out: real(g), lambda g, x, y, out: imag(g), result="complex", allow="f",
    publish=False, grad_name="ComplexBackward0",
)  # fmt: skip


def _check_pair(what: str, first: Tensor, second: Tensor, names: tuple[str, str]) -> None:
    a, b = first._spec.dtype, second._spec.dtype
    for d in (a, b):
        if d not in (dtypes.float16, dtypes.float32, dtypes.float64):
            raise RuntimeError(
                f"Expected both inputs to be Half, Float or Double tensors but got {scalar_type_name(a)} and "
                f"{scalar_type_name(b)}"
            )
    if a is not b:
        raise RuntimeError(
            f"Expected object of scalar type {scalar_type_name(a)} but got scalar type "
            f"{scalar_type_name(b)} for second "
            f"argument"
        )


@function(method=False, out=True, name="complex")
def make_complex(real: Tensor, imag: Tensor) -> Tensor:
    """Complex numbers from their parts (equal float dtypes)."""
    _check_pair("complex", real, imag, ("real", "imag"))
    return _complex.tensors(real, imag)


@function(method=False, out=True)
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """``abs * exp(i * angle)`` for real tensors of equal float dtype."""
    _check_pair("polar", abs, angle, ("abs", "angle"))
    return make_complex(abs * angle.cos(), abs * angle.sin())
