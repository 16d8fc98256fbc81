"""Activations: one kernel forward, one backward; derivatives of the backward are written with tensor ops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..autograd.variable import Tensor
from ..graph.spec import Spec
from .creation import _rand, draw, zeros_of
from .join import cat
from .op import Op
from .pointwise import binary, check_kind, check_tensor, compute, pointwise_spec, unary, wide
from .publish import function
from .views import wrap_dim

_relu_back = binary(
    "threshold_backward",
    lambda b, g, y: b.where(y <= 0, 0, g),  # a NaN lets the gradient pass, as in torch
    lambda h, g, y, out: _relu_back.tensors(h, y),
    lambda h, g, y, out: zeros_like(y),
    dx="y",
    dy="y",
    publish=False,
)


def zeros_like(x: Tensor) -> Tensor:
    """Zeros of a tensor's shape, dtype and device."""
    return zeros_of(tuple(x._spec.shape), x._spec.dtype, x._spec.device)


def _relu_lower(b: Any, x: Any) -> Any:
    return b.pw("max", x, 0)


relu = unary(
    "relu",
    _relu_lower,
    lambda g, x, out: _relu_back.tensors(g, out),
    result="same",
    saves=(),
    saves_out=True,
    allow="iuf",
)


class Activation:
    """An elementwise function with run-time parameters.

    Args:
        lower: ``lower(b, x, *parameters) -> Ref``, in the dtype arithmetic happens in.
        back: ``back(b, g, x, *parameters) -> Ref``, g times the slope at x.
        curve: ``curve(x, *parameters) -> Tensor``, the second derivative; None where it is zero almost everywhere.
        parameters: how many numbers follow x. kernel: torch's name of the function in dtype errors.
    """

    def __init__(
        self,
        name: str,
        lower: Callable[..., Any],
        back: Callable[..., Any],
        curve: Callable[..., Tensor] | None = None,
        *,
        parameters: int = 0,
        allow: str = "f",
        kernel: str | None = None,
        grad_name: str | None = None,
    ) -> None:
        def rule(x: Spec) -> Spec:
            check_kind(kernel or name, x.dtype, allow)
            return pointwise_spec(x.dtype, x)

        def back_grad(ctx: Any, h: Tensor) -> tuple:
            g, x = ctx.inputs
            numbers = ctx.scalars
            dx = None
            if ctx.needs[1]:
                dx = zeros_like(x) if curve is None else h * g * curve(x, *numbers)
            return self.backward((h, x), (), numbers) if ctx.needs[0] else None, dx

        def scalars(*specs: Spec) -> tuple:
            return (wide(specs[-1].dtype),) * parameters

        self.name = name
        self.forward = Op(
            name, rule, lambda b, x, *numbers: lower(b, compute(x), *numbers).cast(x.dtype),
            lambda ctx, g: (self.backward((g, ctx.inputs[0]), (), ctx.scalars),), saves=(0,), scalars=scalars,
            grad_name=grad_name,
        )  # fmt: skip
        self.backward = Op(
            f"{name}_backward", lambda g, x: pointwise_spec(x.dtype, g, x),
            lambda b, g, x, *numbers: back(b, compute(g), compute(x), *numbers).cast(x.dtype), back_grad, saves=(0, 1),
            scalars=scalars,
        )  # fmt: skip

    def __call__(self, x: Tensor, *numbers: Any) -> Tensor:
        if not isinstance(x, Tensor):
            check_tensor(self.name, x)
        return self.forward((x,), (), numbers)


# -- gelu, silu, mish -------------------------------------------------------------------------------------------------
_ROOT_2_PI = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


def _gelu_back(b: Any, g: Any, x: Any) -> Any:
    return g * (b.normal_cdf(x) + x * (b.exp(x * x * -0.5) * (_ROOT_2_PI / 2)))


def _tanh_gate(b: Any, x: Any) -> Any:
    """(1 + tanh(u)) / 2 with u the cubic of the approximation: sigmoid(2 u), which keeps its digits in the tail."""
    return b.sigmoid((x * x * _CUBIC + 1.0) * x * (2 * _ROOT_2_PI))


def _gelu_tanh_back(b: Any, g: Any, x: Any) -> Any:
    s = _tanh_gate(b, x)
    slope = (x * x * (3 * _CUBIC) + 1.0) * (2 * _ROOT_2_PI)
    return g * (s * (x * (1.0 - s) * slope + 1.0))


def _gelu_tanh_curve(x: Tensor) -> Tensor:
    square = x * x
    inner = (square * _CUBIC + 1) * x * (2 * _ROOT_2_PI)
    s, rest = inner.sigmoid(), (-inner).sigmoid()
    first = (square * (3 * _CUBIC) + 1) * (2 * _ROOT_2_PI)
    second = x * (12 * _CUBIC * _ROOT_2_PI)
    return s * rest * (first * 2 + x * (second + (rest - s) * first * first))


_gelu = Activation(
    "gelu",
    lambda b, x: x * b.normal_cdf(x),
    _gelu_back,
    lambda x: (x * x * -0.5).exp() * (_ROOT_2_PI / 2) * (2 - x * x),
    kernel="GeluKernelImpl",
)
_gelu_tanh = Activation(
    "gelu", lambda b, x: x * _tanh_gate(b, x), _gelu_tanh_back, _gelu_tanh_curve, kernel="GeluKernelImpl"
)


@function(torch=False, method=False, functional=True, out=True)
def gelu(input: Tensor, *, approximate: str = "none") -> Tensor:
    """x times the normal distribution function of x, exactly ("none") or by the "tanh" formula (Hendrycks 2016)."""
    if approximate == "none":
        return _gelu(input)
    if approximate == "tanh":
        return _gelu_tanh(input)
    raise RuntimeError("approximate argument must be either none or tanh.")


def _silu_back(b: Any, g: Any, x: Any) -> Any:
    s = b.sigmoid(x)
    return g * (s * (x * (1.0 - s) + 1.0))


def _silu_curve(x: Tensor) -> Tensor:
    s = x.sigmoid()
    return s * (1 - s) * (x * (1 - s * 2) + 2)


_silu = Activation("silu", lambda b, x: x * b.sigmoid(x), _silu_back, _silu_curve, kernel="silu_cpu")


@function(torch=False, method=False, functional=True, out=True)
def silu(input: Tensor) -> Tensor:
    """x sigmoid(x)."""
    if input._spec.dtype.is_complex:
        return input * input.sigmoid()
    return _silu(input)


def _mish_terms(b: Any, x: Any) -> tuple[Any, Any]:
    """n and n + 2 with n = e^x (e^x + 2): tanh(log(1 + e^x)) = n / (n + 2), 1 to all digits above the bound."""
    e = b.exp(b.pw("min", x, 20.0))
    n = e * (e + 2.0)
    return n, n + 2.0


def _mish_lower(b: Any, x: Any) -> Any:
    n, m = _mish_terms(b, x)
    return x * (n / m)


def _mish_back(b: Any, g: Any, x: Any) -> Any:
    n, m = _mish_terms(b, x)
    return g * (n / m + x * b.sigmoid(x) * ((n + 1.0) * 4.0 / (m * m)))


def _mish_curve(x: Tensor) -> Tensor:
    e = x.clamp(max=20).exp()
    n = e * (e + 2)
    m, s = n + 2, x.sigmoid()
    first = (n + 1) * 4 / (m * m) * s
    return first * (2 + x * ((1 - s) - n / m * s * 2))


_mish = Activation("mish", _mish_lower, _mish_back, _mish_curve, kernel="mish_cpu")


@function(torch=False, method=False, functional=True, out=True)
def mish(input: Tensor) -> Tensor:
    """x tanh(softplus(x)) (Misra 2019)."""
    return _mish(input)


# -- the exponential linear family ------------------------------------------------------------------------------------
def _elu_lower(b: Any, x: Any, positive: Any, negative: Any, inner: Any) -> Any:
    return b.where(x <= 0, b.expm1(x * inner) * negative, x * positive)


def _elu_back(b: Any, g: Any, x: Any, positive: Any, negative: Any, inner: Any) -> Any:
    return b.where(x <= 0, g * (inner * negative) * b.exp(x * inner), g * positive)


def _elu_curve(x: Tensor, positive: float, negative: float, inner: float) -> Tensor:
    return ((x * inner).exp() * (inner * inner * negative)).masked_fill(~(x < 0), 0)


_elu = Activation("elu", _elu_lower, _elu_back, _elu_curve, parameters=3, kernel="elu_cpu")
_celu = Activation("celu", _elu_lower, _elu_back, _elu_curve, parameters=3, kernel="elu_cpu")
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@function(torch=False, method=False, functional=True, out=True)
def elu(input: Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    """scale * x where positive, scale * alpha (exp(input_scale * x) - 1) elsewhere (Clevert et al. 2016)."""
    return _elu(input, scale, alpha * scale, input_scale)


@function(method=False, inplace=True)
def selu(input: Tensor) -> Tensor:
    """ELU with the self-normalizing constants (Klambauer et al. 2017)."""
    return _elu(input, _SELU_SCALE, _SELU_ALPHA * _SELU_SCALE, 1.0)


@function(method=False, inplace=True)
def celu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """max(0, x) + min(0, alpha (exp(x / alpha) - 1)) (Barron 2017). Raises RuntimeError for alpha 0."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _celu(input, 1.0, alpha, 1.0 / alpha)


# -- piecewise linear -------------------------------------------------------------------------------------------------
_leaky = Activation(
    "leaky_relu",
    lambda b, x, slope: b.where(x > 0, x, x * slope),
    lambda b, g, x, slope: b.where(x > 0, g, g * slope),
    parameters=1,
    kernel="leaky_relu_cpu",
)


@function(torch=False, method=False, functional=True, out=True)
def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where positive, negative_slope * x elsewhere."""
    return _leaky(input, negative_slope)


_rrelu_mean = Activation(
    "rrelu_with_noise",
    lambda b, x, slope: b.where(x > 0, x, x * slope),
    lambda b, g, x, slope: b.where(x > 0, g, g * slope),
    parameters=1,
)
_hardtanh = Activation(
    "hardtanh",
    lambda b, x, low, high: b.pw("min", b.pw("max", x, low), high),
    lambda b, g, x, low, high: b.where((x <= low) | (x >= high), 0, g),
    parameters=2,
    allow="iuf",
)


@function(torch=False, method=False, functional=True, out=True)
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x limited to [min_val, max_val]."""
    seen = input._spec
    if not seen.floating:
        if not seen.dtype.is_signed and min_val < 0:
            raise RuntimeError("Cannot do hardtanh on an unsigned type with negative limits")
        min_val, max_val = int(min_val), int(max_val)
    return _hardtanh(input, min_val, max_val)


@function(torch=False, method=False, functional=True)
def relu6(input: Tensor) -> Tensor:
    """min(max(0, x), 6)."""
    return hardtanh(input, 0.0, 6.0)


def _hard_gate(b: Any, x: Any) -> Any:
    return b.pw("min", b.pw("max", x + 3.0, 0.0), 6.0) * (1 / 6)


_hardsigmoid = Activation("hardsigmoid", _hard_gate, lambda b, g, x: b.where((x > -3.0) & (x < 3.0), g * (1 / 6), 0))
_hardswish = Activation(
    "hardswish",
    lambda b, x: x * _hard_gate(b, x),
    lambda b, g, x: b.where(x <= -3.0, 0, b.where(x < 3.0, g * (x * (1 / 3) + 0.5), g)),
    lambda x: ((x > -3) & (x < 3)).to(x.dtype) * (1 / 3),
)


@function(torch=False, method=False, functional=True, out=True)
def hardsigmoid(input: Tensor) -> Tensor:
    """min(max(x / 6 + 1/2, 0), 1)."""
    return _hardsigmoid(input)


@function(torch=False, method=False, functional=True, out=True)
def hardswish(input: Tensor) -> Tensor:
    """x times hardsigmoid(x) (Howard et al. 2019)."""
    return _hardswish(input)


def _shrink_back(b: Any, g: Any, x: Any, bound: Any) -> Any:
    return b.where((x >= -bound) & (x <= bound), 0, g)


_hardshrink = Activation(
    "hardshrink", lambda b, x, bound: b.where((x >= -bound) & (x <= bound), 0, x), _shrink_back, parameters=1
)
_softshrink = Activation(
    "softshrink",
    lambda b, x, bound: b.where(x > bound, x - bound, b.where(x < -bound, x + bound, x * 0)),
    _shrink_back,
    parameters=1,
)


@function(functional=True, out=True)
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """0 where abs(x) <= lambd, x elsewhere."""
    return _hardshrink(input, lambd)


@function(torch=False, method=False, functional=True, out=True)
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd, 0 where abs(x) <= lambd. Raises RuntimeError for a negative lambd."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd:g}.")
    return _softshrink(input, lambd)


_threshold = Activation(
    "threshold",
    lambda b, x, bound, value: b.where(x <= bound, value, x),
    lambda b, g, x, bound, value: b.where(x <= bound, 0, g),
    parameters=2,
    allow="iuf",
    kernel="threshold_cpu",
)


@function(method=False, inplace=True, out=True)
def threshold(input: Tensor, threshold: float, value: float) -> Tensor:
    """x where x > threshold, ``value`` elsewhere."""
    if not input._spec.floating:
        threshold, value = math.floor(threshold), int(value)
    return _threshold(input, threshold, value)


# -- logarithmic ------------------------------------------------------------------------------------------------------
def _softplus_curve(x: Tensor, beta: float, bound: float) -> Tensor:
    s = (x * beta).sigmoid()
    return (s * (1 - s) * beta).masked_fill(x * beta > bound, 0)


_softplus = Activation(
    "softplus",
    lambda b, x, beta, bound: b.where(x * beta > bound, x, b.log1p(b.exp(x * beta)) / beta),
    lambda b, g, x, beta, bound: b.where(x * beta > bound, g, g * b.sigmoid(x * beta)),
    _softplus_curve,
    parameters=2,
    kernel="softplus_cpu",
)


@function(torch=False, method=False, functional=True, out=True)
def softplus(input: Tensor, beta: float = 1, threshold: float = 20) -> Tensor:
    """log(1 + exp(beta x)) / beta; x itself where beta * x > threshold."""
    return _softplus(input, beta, threshold)


def _logsigmoid_curve(x: Tensor) -> Tensor:
    s = x.sigmoid()
    return s * (s - 1)


_logsigmoid = Activation(
    "log_sigmoid",
    lambda b, x: b.pw("min", x, 0.0) - b.log1p(b.exp(-b.abs(x))),
    lambda b, g, x: g * b.sigmoid(-x),
    _logsigmoid_curve,
    kernel="log_sigmoid_cpu",
)


@function(torch=False, method=False, functional=True, out=True)
def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x)), without overflow."""
    return _logsigmoid(input)


@function(torch=False, method=False, functional=True)
def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return input - input.tanh()


@function(torch=False, method=False, functional=True)
def softsign(input: Tensor) -> Tensor:
    """x / (1 + abs(x))."""
    return input / (input.abs() + 1)


# -- with weights or random slopes ------------------------------------------------------------------------------------
def _prelu_rule(x: Spec, w: Spec) -> Spec:
    check_kind("prelu_cpu", x.dtype, "f")
    return pointwise_spec(x.dtype, x, w)


def _prelu_lower(b: Any, x: Any, w: Any) -> Any:
    v = compute(x)
    return b.where(v > 0, v, v * compute(w)).cast(x.dtype)


def _prelu_grad(ctx: Any, g: Tensor) -> tuple:
    x, w = ctx.inputs
    return (
        _prelu_dx((g, x, w)) if ctx.needs[0] else None,
        (x * g).masked_fill(x > 0, 0) if ctx.needs[1] else None,
    )


def _prelu_dx_grad(ctx: Any, h: Tensor) -> tuple:
    g, x, w = ctx.inputs
    return _prelu_dx((h, x, w)), zeros_like(x), (h * g).masked_fill(x > 0, 0)


def _prelu_dx_lower(b: Any, g: Any, x: Any, w: Any) -> Any:
    h = compute(g)
    return b.where(compute(x) > 0, h, h * compute(w)).cast(x.dtype)


_prelu = Op("_prelu_kernel", _prelu_rule, _prelu_lower, _prelu_grad, saves=(0, 1))
_prelu_dx = Op(
    "_prelu_kernel_backward", lambda g, x, w: pointwise_spec(x.dtype, g, x, w), _prelu_dx_lower, _prelu_dx_grad,
    saves=(0, 1, 2),
)  # fmt: skip


@function(functional=True)
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where positive, weight * x elsewhere; one weight, or one a channel (dimension 1)."""
    x, w = input._spec, weight._spec
    if x.dtype is not w.dtype:
        raise RuntimeError(f"prelu: Type promoting not supported. Got {x.dtype} and {w.dtype}")
    if w.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {w.ndim}")
    if w.numel != 1:
        if not x.ndim:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = x.shape[1] if x.ndim > 1 else 1
        if channels != w.numel:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {w.numel} and "
                f"channel size = {channels}."
            )
        weight = weight.reshape((1, -1) + (1,) * (x.ndim - 2))
    elif w.ndim != x.ndim:
        weight = weight.reshape((1,) * x.ndim)
    return _prelu((input, weight))


@function(method=False, inplace=True)
def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, generator: Any = None
) -> Tensor:
    """Leaky ReLU whose slope is drawn from U(lower, upper) in training and is their mean otherwise (Xu et al. 2015)."""
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if not training:
        return _rrelu_mean(input, (lower + upper) / 2)
    seen = input._spec
    check_kind("rrelu_with_noise_out_cpu", seen.dtype, "f")
    slopes = draw(_rand, seen.shape, seen.dtype, seen.device, generator) * (upper - lower) + lower
    return _rrelu((input, slopes))


_rrelu = Op(
    "rrelu_with_noise",
    lambda x, r: pointwise_spec(x.dtype, x, r),
    lambda b, x, r: b.where(compute(x) <= 0, compute(x) * compute(r), compute(x)).cast(x.dtype),
    lambda ctx, g: (_prelu_dx((g, *ctx.inputs)), None),
    saves=(0, 1),
)


# -- gated ------------------------------------------------------------------------------------------------------------
def _glu_rule(x: Spec, dim: int) -> Any:
    check_kind("glu_cpu", x.dtype, "f")
    return tuple(n // 2 if d == dim else n for d, n in enumerate(x.shape)), x.dtype


def _glu_lower(b: Any, x: Any, dim: int) -> Any:
    half = x.shape[dim] // 2
    value, gate = compute(x.slice(dim, 0, half)), compute(x.slice(dim, half, half))
    return (value * b.sigmoid(gate)).cast(x.dtype)


def _glu_grad(ctx: Any, g: Tensor) -> tuple:
    (x,), (dim,) = ctx.inputs, ctx.static
    half = x._spec.shape[dim] // 2
    value, gate = x.narrow(dim, 0, half), x.narrow(dim, half, half).sigmoid()
    opened = g * gate
    return (cat((opened, opened * value * (1 - gate)), dim),)


_glu = Op("glu", _glu_rule, _glu_lower, _glu_grad, saves=(0,))


@function(torch=False, method=False, functional=True, out=True)
def glu(input: Tensor, dim: int = -1) -> Tensor:
    """First half times the sigmoid of the second half along ``dim``, whose size must be even (Dauphin et al. 2016)."""
    seen = input._spec
    if not seen.ndim:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    d = wrap_dim(dim, seen.ndim)
    if seen.shape[d] % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {d} is size {seen.shape[d]}")
    return _glu((input,), (d,))


__all__ = ["Activation", "Tensor", "relu", "zeros_like"]
