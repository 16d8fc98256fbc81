"""How numbers are represented: classes of floats, signs, neighbours, exponents, angles; and closeness of tensors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from ..graph.spec import Spec
from .creation import FULL
from .op import Op
from .pointwise import binary, check_kind, check_tensor, compute, float_of, pointwise_spec, unary, wide
from .publish import function
from .reduce import named

_INF = math.inf


def _two_tensors(name: str, input: Any, other: Any, second: str = "other") -> None:
    check_tensor(name, input)
    check_tensor(name, other, second, 2)


def _tensors_only(made: Any) -> Any:
    """Publish a two-operand function that takes no numbers."""

    def call(input: Tensor, other: Tensor) -> Tensor:
        _two_tensors(made.name, input, other)
        return made(input, other)

    call.__name__ = call.__qualname__ = made.name
    call.__doc__ = f"Elementwise ``{made.name}`` of two tensors with broadcasting."
    return function(inplace=made.name in ("gcd", "lcm", "nextafter"), out=True)(call)


# -- classes ----------------------------------------------------------------------------------------------------------
def _class(name: str, of_float: Any, of_other: bool, allow: str = "biufc") -> Any:
    def lower(b: Any, x: Any) -> Any:
        if x.dtype.is_floating_point:
            return of_float(b, x)
        if x.dtype.is_complex:
            real = x.dtype.to_real()
            parts = of_float(b, b.pw("real", x, dtype=real)), of_float(b, b.pw("imag", x, dtype=real))
            return parts[0] & parts[1] if of_other else parts[0] | parts[1]
        return b.eq(x, x) if of_other else b.ne(x, x)

    return unary(name, lower, result="bool", inplace=False, allow=allow)


isfinite = _class("isfinite", lambda b, x: b.lt(b.abs(x), _INF), True)
isinf = _class("isinf", lambda b, x: b.eq(b.abs(x), _INF), False)
isposinf = _class("isposinf", lambda b, x: b.eq(x, _INF), False, "biuf")
isneginf = _class("isneginf", lambda b, x: b.eq(x, -_INF), False, "biuf")


@function()
def isreal(input: Tensor) -> Tensor:
    """Whether each element has no imaginary part."""
    if input._spec.dtype.is_complex:
        return input.imag == 0
    return FULL(input._spec.shape, True, dtypes.bool, input._spec.device)


# -- closeness --------------------------------------------------------------------------------------------------------
def _close_rule(x: Spec, y: Spec, equal_nan: bool, exact: bool) -> Spec:
    if x.dtype is not y.dtype:
        raise RuntimeError(f"{scalar_type_name(x.dtype)} did not match {scalar_type_name(y.dtype)}")
    return pointwise_spec(dtypes.bool, x, y)


def _close_lower(b: Any, x: Any, y: Any, rtol: Any, atol: Any, equal_nan: bool, exact: bool) -> Any:
    x, y = compute(x), compute(y)
    close = b.eq(x, y)
    if equal_nan and x.dtype.is_floating_point:
        close = close | (b.is_nan(x) & b.is_nan(y))
    if exact or x.dtype is dtypes.bool:
        return close
    if x.dtype.is_floating_point:
        actual, bound = b.abs(x - y), b.abs(y)
    else:
        gap = b.pw("max", x, y) - b.pw("min", x, y)
        actual, bound = gap.cast(rtol.dtype), b.abs(y).cast(rtol.dtype)
    allowed = atol.cast(actual.dtype) + rtol.cast(actual.dtype) * bound
    return close | (b.lt(actual, _INF) & b.le(actual, allowed))


def _tolerance(x: Spec, y: Spec, equal_nan: bool, exact: bool) -> tuple:
    dtype = dtypes.float64 if x.dtype is dtypes.float64 else dtypes.float32
    return dtype, dtype


_isclose = Op("isclose", _close_rule, _close_lower, scalars=_tolerance)


@function()
def isclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Whether ``|input - other| <= atol + rtol * |other|``, element by element. dtypes must be equal."""
    _two_tensors("isclose", input, other)
    if rtol < 0:
        raise RuntimeError(f"rtol must be greater than or equal to zero, but got {rtol}")
    if atol < 0:
        raise RuntimeError(f"atol must be greater than or equal to zero, but got {atol}")
    if input._spec.dtype.is_complex:
        if input._spec.dtype is not other._spec.dtype:
            _close_rule(input._spec, other._spec, equal_nan, False)
        close = input == other
        if equal_nan:
            close = close | (input.isnan() & other.isnan())
        actual = (input - other).abs()
        return close | (actual.isfinite() & (actual <= atol + rtol * other.abs()))
    return _isclose((input, other), (bool(equal_nan), rtol == 0 and atol == 0), (float(rtol), float(atol)))


@function()
def allclose(input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all elements are close, see isclose."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all().item())


@function()
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether shapes and all elements are equal."""
    check_tensor("equal", input)
    check_tensor("equal", other, "other", 2)
    if input._spec.dtype is not other._spec.dtype:
        raise RuntimeError(
            f"Expected object of data type {input._spec.dtype} but got data type {other._spec.dtype} for argument #2 "
            "'other' "
            f"in call to equal"
        )
    if input._spec.shape != other._spec.shape:
        return False
    return bool((input == other).all().item())


# -- signs and neighbours ---------------------------------------------------------------------------------------------
def _copysign_dx(g: Tensor, x: Any, y: Any, out: Tensor) -> Tensor:
    if not isinstance(x, Tensor):
        return g * 0
    return g * (out / x).masked_fill(x == 0, 0)


copysign = binary(
    "copysign", lambda b, x, y: b.copysign(x, y), _copysign_dx, lambda g, x, y, out: g * 0, dx="x", saves_out=True,
    result="float", allow="biuf",
)  # fmt: skip
nextafter = _tensors_only(binary("nextafter", lambda b, x, y: b.nextafter(x, y), allow="f", publish=False))


def _sgn_grad(g: Tensor, x: Tensor, out: Tensor) -> Tensor:
    """z / |z| turns with the phase only: (g - Re(conj(g) s) s) / |z|, and 0 at 0."""
    if not x._spec.dtype.is_complex:
        return g * 0
    size = x.abs()
    along = (g.conj() * out).real * out
    return ((g - along) / size.masked_fill(size == 0, 1)).masked_fill(size == 0, 0)


sgn = unary(
    "sgn", lambda b, x: b.sgn(x) if x.dtype.is_complex else b.sign(x), _sgn_grad, result="same", saves_out=True,
    holomorphic=False,
)  # fmt: skip


def _heaviside_lower(b: Any, x: Any, y: Any) -> Any:
    return b.where(b.eq(x, 0), y, b.gt(x, 0).cast(x.dtype))


_heaviside = binary("heaviside", _heaviside_lower, allow="biuf", publish=False)


@function(inplace=True, out=True)
def heaviside(input: Tensor, values: Tensor) -> Tensor:
    """0 for negative elements, 1 for positive ones, ``values`` for zeros."""
    _two_tensors("heaviside", input, values, "values")
    if input._spec.dtype is not values._spec.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return _heaviside(input, values)


# -- exponents --------------------------------------------------------------------------------------------------------
@function(inplace=True, out=True)
def ldexp(input: Tensor, other: Tensor) -> Tensor:
    """``input * 2 ** other``."""
    _two_tensors("ldexp", input, other)
    return input * (2.0**other)


def _frexp_rule(x: Spec) -> list:
    check_kind("frexp", x.dtype, "f")
    return [(tuple(x.shape), x.dtype), (tuple(x.shape), dtypes.int32)]


def _frexp_lower(b: Any, x: Any) -> list:
    def split(values: np.ndarray) -> tuple:
        mantissa, exponent = np.frexp(values)
        return mantissa, exponent.astype(np.int32)

    return b.host(split, (x,), ((x.shape, x.dtype), (x.shape, dtypes.int32)), "frexp")


_frexp = Op(
    "frexp", _frexp_rule, _frexp_lower, lambda ctx, g, _=None: (g / (2.0 ** ctx.outputs[1]).to(g._spec.dtype),),
    saves_out=(1,), differentiable=(0,),
)  # fmt: skip
FrexpResult = named("frexp", "mantissa exponent")


@function(out=True)
def frexp(input: Tensor) -> Any:
    """(mantissa in [0.5, 1), int32 exponent) with ``input = mantissa * 2 ** exponent``."""
    return FrexpResult(*_frexp((input,)))


# -- replacing --------------------------------------------------------------------------------------------------------
def _replace_lower(b: Any, x: Any, nan: Any, high: Any, low: Any) -> Any:
    if not x.dtype.is_floating_point:
        return x
    v = compute(x)
    out = b.where(b.is_nan(v), nan.cast(v.dtype), v)
    out = b.where(b.eq(v, _INF), high.cast(v.dtype), out)
    return b.where(b.eq(v, -_INF), low.cast(v.dtype), out).cast(x.dtype)


_replace = Op(
    "nan_to_num",
    lambda x: pointwise_spec(x.dtype, x),
    _replace_lower,
    lambda ctx, g: (g * ctx.inputs[0].isfinite(),),
    saves=(0,),
    scalars=lambda x: (dtypes.float64 if x.dtype is dtypes.float64 else dtypes.float32,) * 3,
)


@function(inplace=True, out=True)
def nan_to_num(input: Tensor, nan: Any = None, posinf: Any = None, neginf: Any = None) -> Tensor:
    """NaN and infinities replaced by numbers (0 and the dtype's extremes by default)."""
    seen = input._spec
    if not seen.dtype.is_floating_point:
        return input.clone()
    info = dtypes.finfo(seen.dtype)
    numbers = (
        0.0 if nan is None else float(nan), info.max if posinf is None else float(posinf),
        info.min if neginf is None else float(neginf),
    )  # fmt: skip
    return _replace((input,), (), numbers)


# -- angles and ratios ------------------------------------------------------------------------------------------------
def _scaled(name: str, factor: float) -> Any:
    return unary(name, lambda b, x: x * factor, lambda g, x, out: g * factor, saves=(), allow="biuf")


deg2rad, rad2deg = _scaled("deg2rad", math.pi / 180), _scaled("rad2deg", 180 / math.pi)


def _sinc_lower(b: Any, x: Any) -> Any:
    angle = x * math.pi
    return b.where(b.eq(x, 0.0), 1.0, b.sin(angle) / angle)


def _sinc_grad(g: Tensor, x: Tensor, out: Any) -> Tensor:
    angle = x * math.pi
    return g * ((angle * angle.cos() - angle.sin()) / (angle * x)).masked_fill(x == 0, 0)


sinc = unary("sinc", _sinc_lower, _sinc_grad, allow="biufc", special=True)


def _logit_lower(b: Any, x: Any, *args: Any) -> Any:
    dtype = float_of(x.dtype)
    v = x.cast(wide(dtype))
    if args[-1]:
        low = args[0].cast(v.dtype)
        v = b.pw("max", b.pw("min", v, 1.0 - low), low)
    return b.log(v / (1.0 - v)).cast(dtype)


def _logit_grad(ctx: Any, g: Tensor) -> tuple:
    x = ctx.inputs[0]
    low = ctx.scalars[0] if ctx.static[0] else 0.0
    outside = (x < low) | (x > 1.0 - low)
    return ((g / (x * (1 - x))).masked_fill(outside, 0.0 if ctx.static[0] else math.nan),)


_logit = Op(
    "logit",
    lambda x, bounded: (check_kind("logit", x.dtype, "biuf"), pointwise_spec(float_of(x.dtype), x))[1],
    _logit_lower,
    _logit_grad,
    saves=(0,),
    scalars=lambda x, bounded: (wide(float_of(x.dtype)),) if bounded else (),
)


@function(inplace=True, out=True, special=True)
def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """log(x / (1 - x)) with x first limited to [eps, 1 - eps] if eps is given."""
    return _logit((input,), (eps is not None,), () if eps is None else (float(eps),))


# -- logarithms of two operands ---------------------------------------------------------------------------------------
def _log_add(name: str, exp: str, log1p: Any) -> Any:
    def lower(b: Any, x: Any, y: Any) -> Any:
        top = b.pw("max", x, y)
        same = b.eq(x, y) & b.eq(b.abs(x), _INF)
        return b.where(same, x, top + log1p(b, b.pw(exp, -b.abs(x - y))))

    def share(x: Any, y: Any) -> Any:
        gap = y - x
        return 1 / (1 + (gap.exp() if exp == "exp" else gap.exp2()))

    dx, dy = (lambda g, x, y, out: g * share(x, y)), (lambda g, x, y, out: g * share(y, x))
    return _tensors_only(binary(name, lower, dx, dy, dx="xy", dy="xy", allow="f", publish=False))


logaddexp = _log_add("logaddexp", "exp", lambda b, e: b.log1p(e))
logaddexp2 = _log_add("logaddexp2", "exp2", lambda b, e: b.log1p(e) * (1 / math.log(2)))


def _xlogy_lower(b: Any, x: Any, y: Any) -> Any:
    out = b.where(b.eq(x, 0), 0.0, x * b.log(y))
    return b.where(b.is_nan(y), y, out)


def _xlogy_dx(g: Tensor, x: Any, y: Any, out: Any) -> Tensor:
    if isinstance(y, Tensor):
        return (g * y.log()).masked_fill((x == 0) & (y <= 0), 0)
    log = math.log(y) if y > 0 else (-_INF if y == 0 else math.nan)
    return (g * log).masked_fill(x == 0, 0) if y <= 0 else g * log


xlogy = binary(
    "xlogy", _xlogy_lower, _xlogy_dx, lambda g, x, y, out: g * (x / y), dx="xy", dy="xy", result="float", allow="biuf",
    special=True,
)  # fmt: skip

# -- integers ---------------------------------------------------------------------------------------------------------
gcd = _tensors_only(binary("gcd", lambda b, x, y: b.gcd(x, y), allow="iu", publish=False))


def _lcm_lower(b: Any, x: Any, y: Any) -> Any:
    common = b.gcd(x, y)
    return b.where(b.eq(common, 0), 0, b.abs(b.tdiv_int(x, common) * y))


lcm = _tensors_only(binary("lcm", _lcm_lower, allow="iu", publish=False))
