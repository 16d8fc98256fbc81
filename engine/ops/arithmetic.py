"""Arithmetic, comparison, logic and rounding, element by element."""

from __future__ import annotations

import cmath
import math
from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from .pointwise import Binary, binary, is_number, unary
from .publish import function

_ONE = 1
_add = binary(
    "add",
    lambda b, x, y: b.add(x, y),
    lambda g, x, y, out: g,
    lambda g, x, y, out: g,
    publish=False,
)


def _sub(b: Any, x: Any, y: Any) -> Any:
    if x.dtype is dtypes.bool:
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
            "operator "
            "instead."
        )
    return b.sub(x, y)


_sub = binary("sub", _sub, lambda g, x, y, out: g, lambda g, x, y, out: -g, publish=False)


def _with_number(edges: Any, static: tuple) -> Any:
    """torch counts the number operand of these ops as an input."""
    return [*edges, None] if static else edges


_sub.op.variant = lambda specs, static: "RsubBackward1" if static and static[0] == "r" else "SubBackward0"
_mul = binary(
    "mul",
    lambda b, x, y: b.mul(x, y),
    lambda g, x, y, out: g * y if not _is_complex(y) else g * _conj(y),
    lambda g, x, y, out: g * x if not _is_complex(x) else g * _conj(x),
    dx="y",
    dy="x",
    aliases=("multiply",),
)


def _conj(value: Any) -> Any:
    """Conjugate of a complex tensor or number; others as they are."""
    if isinstance(value, Tensor):
        return value.conj() if value._spec.dtype.is_complex else value
    return value.conjugate()


def _is_complex(value: Any) -> bool:
    return isinstance(value, complex) or (isinstance(value, Tensor) and value._spec.dtype.is_complex)


def _scaled(other: Any, alpha: Any, dtype: Any) -> Any:
    if isinstance(alpha, bool) is False and isinstance(alpha, float) and not _floating(dtype, other):
        raise RuntimeError("For integral input tensors, argument alpha must not be a floating point number.")
    return other * alpha


def _floating(input: Any, other: Any) -> bool:
    return any(isinstance(v, (float, complex)) or (isinstance(v, Tensor) and v._spec.floating) for v in (input, other))


@function(inplace=True, out=True)
def add(input: Any, other: Any, old_other: Any = None, *, alpha: Any = _ONE) -> Tensor:
    """``input + alpha * other`` with broadcasting and promotion; also in the old form ``add(input, alpha, other)``."""
    if old_other is not None:
        other, alpha = old_other, other
    if alpha is not _ONE:  # the default object itself: the common case, without a comparison of values
        other = _scaled(other, alpha, input)
    return _add(input, other)


@function(inplace=True, out=True, aliases=("subtract",))
def sub(input: Any, other: Any, old_other: Any = None, *, alpha: Any = _ONE) -> Tensor:
    """``input - alpha * other`` with broadcasting and promotion; also in the old form ``sub(input, alpha, other)``."""
    if old_other is not None:
        other, alpha = old_other, other
    if alpha is not _ONE:
        other = _scaled(other, alpha, input)
    return _sub(input, other)


@function(torch=True, method=False)
def rsub(input: Tensor, other: Any, *, alpha: Any = 1) -> Tensor:
    """``other - alpha * input``."""
    return _sub(other, input if alpha == 1 else input * alpha)


_true_div = binary(
    "div",
    lambda b, x, y: b.div(x, y),
    lambda g, x, y, out: g / y if not _is_complex(y) else g / _conj(y),
    lambda g, x, y, out: -g * _conj((x / y) / y),
    dx="y",
    dy="xy",
    result="float",
    publish=False,
)
_floor_div = binary(
    "floor_divide",
    lambda b, x, y: b.fdiv_int(x, y) if not x.dtype.is_floating_point else b.floor_divide(x, y),
    allow="iuf",
    inplace=True,
)
_trunc_div = binary(
    "div_trunc",
    lambda b, x, y: b.tdiv_int(x, y) if not x.dtype.is_floating_point else b.trunc(b.div(x, y)),
    allow="iuf",
    publish=False,
)


@function(inplace=True, out=True, aliases=("divide",))
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """``input / other``; with ``rounding_mode`` "trunc" or "floor" the rounded quotient in the promoted dtype."""
    if rounding_mode is None:
        return _true_div(input, other)
    if rounding_mode == "floor":
        return _with_zero_grad(_floor_div, input, other)
    if rounding_mode == "trunc":
        return _with_zero_grad(_trunc_div, input, other)
    raise RuntimeError(f"div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{rounding_mode}'")


def _with_zero_grad(op: Binary, input: Any, other: Any) -> Tensor:
    out = op(input, other)
    if out._spec.floating and any(isinstance(v, Tensor) and v._rg for v in (input, other)):
        return out + (input - input) * 0 if isinstance(input, Tensor) else out + (other - other) * 0
    return out


@function(inplace=True, out=True)
def true_divide(input: Any, other: Any) -> Tensor:
    """``input / other``."""
    return _true_div(input, other)


_remainder = binary(
    "remainder",
    lambda b, x, y: b.rem_int(x, y) if not x.dtype.is_floating_point else b.remainder(x, y),
    lambda g, x, y, out: g,
    lambda g, x, y, out: -g * div(x, y, rounding_mode="floor"),
    dy="xy",
    allow="iuf",
)
_fmod = binary(
    "fmod",
    lambda b, x, y: b.mod_int(x, y) if not x.dtype.is_floating_point else b.fmod(x, y),
    lambda g, x, y, out: g,
    lambda g, x, y, out: -g * div(x, y, rounding_mode="trunc"),
    dy="xy",
    allow="iuf",
)


# -- powers -----------------------------------------------------------------------------------------------------------
def _pow_lower(b: Any, x: Any, y: Any) -> Any:
    if x.dtype is dtypes.bool:
        return x | ~y
    if x.dtype.is_floating_point or x.dtype.is_complex:
        return b.pow(x, y)
    return b.pow_int(x, y)


def _pow_dx(g: Tensor, x: Any, y: Any, out: Any) -> Tensor:
    if not isinstance(y, Tensor):
        return g * 0 if y == 0 else g * (y * pow(x, y - 1))
    return (g * (y * pow(x, y - 1))).masked_fill(y == 0, 0)


def _pow_dy(g: Tensor, x: Any, y: Any, out: Tensor) -> Tensor:
    if not isinstance(x, Tensor):
        if x == 0:
            if out._spec.dtype.is_complex:
                return g * 0
            return (g * out * 0).masked_fill(y < 0, float("nan")) if isinstance(y, Tensor) else g * 0
        return g * (out * _log_of(x, out))
    zero = (x == 0) & ((y.real if y._spec.dtype.is_complex else y) >= 0)
    return (g * (out * x.log())).masked_fill(zero, 0)


def _log_of(value: complex, like: Tensor) -> complex:
    if isinstance(value, complex):
        return cmath.log(value)
    if like._spec.dtype.is_complex and value < 0:
        return cmath.log(value)
    return math.log(value) if value > 0 else float("nan")


_pow = binary("pow", _pow_lower, _pow_dx, _pow_dy, dx="xy", dy="xy", saves_out=True, publish=False, holomorphic=True)
_remainder.op.variant = lambda specs, static: f"RemainderBackward{int(not static)}"
for _op in (_add, _mul, _true_div):
    _op.op.shown = _with_number
_sub.op.shown = lambda edges, static: _with_number(edges, static) if static[:1] == ("s",) else edges
_pow.op.variant = lambda specs, static: f"PowBackward{1 if not static else 0 if static[0] == 's' else 2}"
_square = unary("square", lambda b, x: x * x, lambda g, x, out: g * (x * 2), result="same", grad_name="PowBackward0")
_pow_cases = {}


def _number_pow(name: str, lower: Any, grad: Any, saves_out: bool = False) -> Any:
    return unary(
        name, lower, grad, result="float", saves=() if saves_out else (0,), saves_out=saves_out, torch=False,
            method=False,
        inplace=False, grad_name="PowBackward0",
    )  # fmt: skip


_cube = _number_pow("_pow3", lambda b, x: x * x * x, lambda g, x, out: g * (square(x) * 3))


@function(inplace=True, out=True)
def pow(input: Any, exponent: Any) -> Tensor:
    """``input ** exponent``. Integers to negative integer powers raise RuntimeError."""
    if isinstance(exponent, Tensor) or not isinstance(input, Tensor):
        return _pow(input, exponent)
    if not input._spec.floating and isinstance(exponent, int):
        if exponent < 0 and not isinstance(exponent, bool):
            raise RuntimeError("Integers to negative integer powers are not allowed.")
    elif input._spec.floating and is_number(exponent):
        if exponent == 2:
            return square(input)
        if exponent == 3:
            return _cube(input)
        if exponent == 1:
            return _pow(input, exponent)
    return _pow(input, exponent)


@function(inplace=True, out=True)
def square(input: Tensor) -> Tensor:
    """``input * input``."""
    return _square(input if input._spec.dtype is not dtypes.bool else input.to(dtypes.int64))


@function(inplace=True, out=True)
def float_power(input: Any, exponent: Any) -> Tensor:
    """``input ** exponent`` in float64, or complex128 if one of them is complex."""
    wide = any(_is_complex(v) for v in (input, exponent))

    def as_double(v: Any) -> Any:
        if isinstance(v, Tensor):
            return v.to(dtypes.complex128 if wide else dtypes.float64)
        return complex(v) if wide else float(v)

    return pow(as_double(input), as_double(exponent))


# -- one operand ------------------------------------------------------------------------------------------------------
def _neg_lower(b: Any, x: Any) -> Any:
    if x.dtype is dtypes.bool:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use "
            "the `~` "
            "or `logical_not()` operator instead."
        )
    return -x


neg = unary("neg", _neg_lower, lambda g, x, out: -g, result="same", saves=(), aliases=("negative",))


def _abs_grad(g: Tensor, x: Tensor, out: Any) -> Tensor:
    return g * (x.sgn() if x._spec.dtype.is_complex else x.sign())


_abs = unary(
    "abs", lambda b, x: b.pw("abs", x, dtype=x.dtype.to_real() if x.dtype.is_complex else x.dtype), _abs_grad,
    result="real", aliases=("absolute",), holomorphic=False,
)  # fmt: skip
sign = unary("sign", lambda b, x: b.sign(x), lambda g, x, out: g * 0, result="same", saves=(), allow="biuf")


def _rounding(name: str, **more: Any) -> Any:
    def lower(b: Any, x: Any) -> Any:
        return b.pw(name, x) if x.dtype.is_floating_point else x

    return unary(name, lower, lambda g, x, out: g * 0, result="same", saves=(), allow="iuf", **more)


floor, ceil, trunc = _rounding("floor"), _rounding("ceil"), _rounding("trunc", aliases=("fix",))
_round = unary(
    "round", lambda b, x: b.round(x) if x.dtype.is_floating_point else x, lambda g, x, out: g * 0, result="same",
        saves=(),
    allow="iuf", torch=False, method=False, inplace=False,
)  # fmt: skip


@function(inplace=True, out=True)
def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """Nearest integer, halves to even; or to ``decimals`` places."""
    if decimals == 0:
        return _round(input)
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        return _round(input * scale) / scale
    return _round(input / scale) * scale


frac = unary("frac", lambda b, x: x - b.trunc(x), lambda g, x, out: g, result="same", saves=(), allow="f")
reciprocal = unary(
    "reciprocal", lambda b, x: b.div(b.const(1, x.dtype), x), lambda g, x, out: -g * (out * out), saves=(),
    saves_out=True,
)  # fmt: skip
sqrt = unary("sqrt", lambda b, x: b.sqrt(x), lambda g, x, out: g / (out * 2), saves=(), saves_out=True)
rsqrt = unary("rsqrt", lambda b, x: b.rsqrt(x), lambda g, x, out: g * (-0.5 * out.pow(3)), saves=(), saves_out=True)
positive = function("positive")(lambda input: input)
registry_positive = positive
isnan = unary(
    "isnan",
    lambda b, x: b.is_nan(x) if x.dtype.is_floating_point or x.dtype.is_complex else b.ne(x, x),
    result="bool",
    inplace=False,
)
signbit = unary("signbit", lambda b, x: b.signbit(x), result="bool", inplace=False, allow="biuf")
bitwise_not = unary("bitwise_not", lambda b, x: ~x, result="same", allow="biu")
logical_not = unary("logical_not", lambda b, x: b.eq(x, 0), result="bool")


# -- comparison and logic ---------------------------------------------------------------------------------------------
def _compare(name: str, *aliases: str) -> Binary:
    allow = "biufc" if name in ("eq", "ne") else "biuf"
    return binary(name, lambda b, x, y: b.pw(name, x, y), result="bool", aliases=aliases, allow=allow)


eq, ne = _compare("eq"), _compare("ne", "not_equal")
lt, le = _compare("lt", "less"), _compare("le", "less_equal")
gt, ge = _compare("gt", "greater"), _compare("ge", "greater_equal")


def _logical(name: str, fn: str) -> Binary:
    return binary(name, lambda b, x, y: b.pw(fn, b.ne(x, 0), b.ne(y, 0)), result="bool", numbers=False)


logical_and, logical_or, logical_xor = (
    _logical("logical_and", "and"), _logical("logical_or", "or"), _logical("logical_xor", "xor"),
)  # fmt: skip


def _bitwise(name: str, fn: str) -> Binary:
    return binary(name, lambda b, x, y: b.pw(fn, x, y), allow="biu")


bitwise_and, bitwise_or, bitwise_xor = (
    _bitwise("bitwise_and", "and"), _bitwise("bitwise_or", "or"), _bitwise("bitwise_xor", "xor"),
)  # fmt: skip
bitwise_left_shift = binary("bitwise_left_shift", lambda b, x, y: b.shl(x, y), allow="iu")
bitwise_right_shift = binary("bitwise_right_shift", lambda b, x, y: b.shr(x, y), allow="iu")


def _choose(name: str, fn: str, first: Any, **more: Any) -> Binary:
    """max-like functions; where the operands tie each gets half of the gradient, as in torch."""

    def dx(g: Tensor, x: Any, y: Any, out: Any) -> Tensor:
        return g * (first(x, y) + (x == y) * 0.5)

    def dy(g: Tensor, x: Any, y: Any, out: Any) -> Tensor:
        return g * (first(y, x) + (x == y) * 0.5)

    return binary(
        name,
        lambda b, x, y: b.pw(fn, x, y),
        dx,
        dy,
        dx="xy",
        dy="xy",
        allow="biuf",
        inplace=False,
        numbers=False,
        **more,
    )


maximum = _choose("maximum", "max", lambda x, y: x > y)
minimum = _choose("minimum", "min", lambda x, y: x < y)
fmax = binary(
    "fmax", lambda b, x, y: b.fmax(x, y), lambda g, x, y, out: g * ((x >= y) | (y != y)),
    lambda g, x, y, out: g * ~((x >= y) | (y != y)), dx="xy", dy="xy", inplace=False, allow="biuf", numbers=False,
)  # fmt: skip
fmin = binary(
    "fmin", lambda b, x, y: b.fmin(x, y), lambda g, x, y, out: g * ((x <= y) | (y != y)),
    lambda g, x, y, out: g * ~((x <= y) | (y != y)), dx="xy", dy="xy", inplace=False, allow="biuf", numbers=False,
)  # fmt: skip


def integral_only(name: str, x: Tensor) -> None:
    """Raise for floating operands."""
    if x._spec.floating:
        raise RuntimeError(f'"{name}" not implemented for {scalar_type_name(x._spec.dtype)!r}')
