"""Exponentials, logarithms, trigonometry and their relatives, element by element."""

from __future__ import annotations

import math
from typing import Any

from ..autograd.variable import Tensor
from ..graph.scalar import lookup
from .pointwise import binary, unary


def _acosh_slope(x: Tensor) -> Tensor:
    """1 / sqrt(x^2 - 1); in the complex plane as two roots, which have the branch cut of acosh."""
    return (x - 1).rsqrt() * (x + 1).rsqrt() if x._spec.dtype.is_complex else (x * x - 1).rsqrt()


def _fn(name: str, grad: Any, *, saves_out: bool = False, **more: Any) -> Any:
    return unary(
        name, lambda b, x: b.pw(name, x), grad, saves=() if saves_out else (0,), saves_out=saves_out,
        allow=more.pop("allow", "biufc" if "c" in lookup(name).forms else "biuf"), **more,
    )  # fmt: skip


exp = _fn("exp", lambda g, x, out: g * out, saves_out=True)
exp2 = _fn("exp2", lambda g, x, out: g * out * math.log(2), saves_out=True, special=True)
expm1 = _fn("expm1", lambda g, x, out: g * (out + 1), saves_out=True, special=True)
log = _fn("log", lambda g, x, out: g / x)
log2 = _fn("log2", lambda g, x, out: g / (x * math.log(2)))
log10 = _fn("log10", lambda g, x, out: g / (x * math.log(10)))
log1p = _fn("log1p", lambda g, x, out: g / (x + 1), special=True)
sin = _fn("sin", lambda g, x, out: g * x.cos())
cos = _fn("cos", lambda g, x, out: g * -x.sin())
tan = _fn("tan", lambda g, x, out: g * (out * out + 1), saves_out=True)
asin = _fn("asin", lambda g, x, out: g * (1 - x * x).rsqrt(), aliases=("arcsin",))
acos = _fn("acos", lambda g, x, out: g * -(1 - x * x).rsqrt(), aliases=("arccos",))
atan = _fn("atan", lambda g, x, out: g / (x * x + 1), aliases=("arctan",))
sinh = _fn("sinh", lambda g, x, out: g * x.cosh())
cosh = _fn("cosh", lambda g, x, out: g * x.sinh())
asinh = _fn("asinh", lambda g, x, out: g * (x * x + 1).rsqrt(), aliases=("arcsinh",))
acosh = _fn("acosh", lambda g, x, out: g * _acosh_slope(x), aliases=("arccosh",))
atanh = _fn("atanh", lambda g, x, out: g / (1 - x * x), aliases=("arctanh",))
erf = _fn("erf", lambda g, x, out: g * ((-x * x).exp() * (2 / math.sqrt(math.pi))), special=True)
erfc = _fn("erfc", lambda g, x, out: g * ((-x * x).exp() * (-2 / math.sqrt(math.pi))), special=True)
tanh = _fn("tanh", lambda g, x, out: _tanh_backward(g, out), saves_out=True, functional=True)
sigmoid = _fn("sigmoid", lambda g, x, out: _sigmoid_backward(g, out), saves_out=True, functional=True)

# Backward of the two as ops of their own: one node instead of three on the hot path.
_tanh_back = binary(
    "tanh_backward",
    lambda b, g, y: g * (1 - y * y),
    lambda h, g, y, out: _tanh_backward(h, y),
    lambda h, g, y, out: h * g * (y * -2),
    dx="y",
    dy="xy",
    publish=False,
    holomorphic=True,
)
_sigmoid_back = binary(
    "sigmoid_backward",
    lambda b, g, y: g * ((1 - y) * y),
    lambda h, g, y, out: _sigmoid_backward(h, y),
    lambda h, g, y, out: h * g * (1 - y * 2),
    dx="y",
    dy="xy",
    publish=False,
    holomorphic=True,
)


def _tanh_backward(g: Tensor, out: Tensor) -> Tensor:
    return _tanh_back.tensors(g, out)


def _sigmoid_backward(g: Tensor, out: Tensor) -> Tensor:
    return _sigmoid_back.tensors(g, out)


atan2 = binary(
    "atan2",
    lambda b, x, y: b.atan2(x, y),
    lambda g, x, y, out: g * (y / (x * x + y * y)),
    lambda g, x, y, out: g * (-x / (x * x + y * y)),
    dx="xy",
    dy="xy",
    result="float",
    allow="biuf",
    numbers=False,
    aliases=("arctan2",),
)
hypot = binary(
    "hypot",
    lambda b, x, y: b.hypot(x, y),
    lambda g, x, y, out: g * (x / out),
    lambda g, x, y, out: g * (y / out),
    dx="x",
    dy="y",
    saves_out=True,
    result="float",
    allow="biuf",
    numbers=False,
)
