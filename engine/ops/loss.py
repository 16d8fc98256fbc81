"""Losses that compare elements: one fused kernel forward, reduction included, and one backward."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from math import prod
from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from ..graph.spec import Spec
from .activation import zeros_like
from .creation import cast
from .op import Op
from .pointwise import broadcast_shapes, check_kind, compute, pointwise_spec, wide
from .publish import function

_REDUCTIONS = ("none", "mean", "sum")


def check_reduction(reduction: Any) -> str:
    """The name of a reduction ("none", "mean", "sum", or torch's numbers 0, 1, 2). Raises ValueError for others."""
    if reduction in _REDUCTIONS:
        return reduction
    if type(reduction) is int and 0 <= reduction < 3:
        return _REDUCTIONS[reduction]
    raise ValueError(f"{reduction} is not a valid value for reduction")


def reduce_loss(loss: Tensor, reduction: str) -> Tensor:
    """Apply "none", "mean" or "sum" to elements."""
    return loss if reduction == "none" else loss.mean() if reduction == "mean" else loss.sum()


def legacy_reduction(size_average: Any, reduce: Any, reduction: Any) -> str:
    """The reduction that the old ``size_average`` and ``reduce`` arguments mean, or ``reduction``, checked."""
    if size_average is None and reduce is None:
        return check_reduction(reduction)
    return deprecated_reduction(size_average, reduce)


def deprecated_reduction(size_average: Any, reduce: Any) -> str:
    """The reduction that the old arguments mean; warns on behalf of the caller's caller's caller."""
    size_average = True if size_average is None else size_average
    reduce = True if reduce is None else reduce
    found = "mean" if size_average and reduce else "sum" if reduce else "none"
    warnings.warn(
        f"size_average and reduce args will be deprecated, please use reduction='{found}' instead.", stacklevel=4
    )
    return found


class PairLoss:
    """A loss of two tensors, element by element, with its reduction.

    Args:
        lower: ``lower(b, x, y, *parameters) -> Ref``: the loss of an element, in the dtype arithmetic happens in.
        back: ``back(b, x, y, *parameters) -> Ref``: its derivative by x.
        second: ``second(x, y, *parameters) -> Tensor`` pair (or None for zeros): second derivatives by x x and x y.
        other: ``other(x, y, *parameters) -> Tensor``: derivative by y. None: minus the one by x.
        parameters: how many run-time numbers follow.
    """

    def __init__(
        self,
        name: str,
        lower: Callable[..., Any],
        back: Callable[..., Any],
        second: Callable[..., tuple],
        other: Callable[..., Tensor] | None = None,
        *,
        parameters: int = 0,
        kernel: str | None = None,
    ) -> None:
        self.other, self.second = other, second

        def rule(x: Spec, y: Spec, reduction: str) -> Any:
            check_kind(kernel or name, x.dtype, "f")
            return pointwise_spec(x.dtype, x, y) if reduction == "none" else ((), x.dtype)

        def low(b: Any, x: Any, y: Any, *args: Any) -> Any:
            *numbers, reduction = args
            out = lower(b, compute(x), compute(y), *numbers)
            if reduction != "none":
                count = out.size
                out = b.sum(out, range(out.ndim))
                out = out / float(count) if reduction == "mean" else out
            return out.cast(x.dtype)

        def low_back(b: Any, g: Any, x: Any, y: Any, *args: Any) -> Any:
            *numbers, reduction = args
            d = back(b, compute(x), compute(y), *numbers)
            scale = compute(g)
            if reduction == "mean":
                scale = scale / float(prod(d.shape))
            return (scale * d).cast(x.dtype)

        def scalars(*args: Any) -> tuple:
            return (wide(args[-2].dtype),) * parameters

        self.op = Op(name, rule, low, self._grad, saves=(0, 1), scalars=scalars)
        self.back = Op(
            f"{name}_backward", lambda g, x, y, reduction: pointwise_spec(x.dtype, x, y), low_back, self._back_grad,
            saves=(0, 1, 2), scalars=scalars,
        )  # fmt: skip

    def _grad(self, ctx: Any, g: Tensor) -> tuple:
        x, y = ctx.inputs
        numbers = ctx.scalars
        needs_x, needs_y = ctx.needs
        dx = self.back((g, x, y), ctx.static, numbers) if needs_x or (needs_y and self.other is None) else None
        dy = None
        if needs_y:
            dy = -dx if self.other is None else _scaled(g, x, y, ctx.static[0]) * self.other(x, y, *numbers)
        return dx if needs_x else None, dy

    def _back_grad(self, ctx: Any, h: Tensor) -> tuple:
        g, x, y = ctx.inputs
        numbers, (reduction,) = ctx.scalars, ctx.static
        one = zeros_like(g) + 1
        dg = h * self.back((one, x, y), ctx.static, numbers) if ctx.needs[0] else None
        h = h * _scaled(g, x, y, reduction)
        dx, dy = (zeros_like(h) if d is None else h * d for d in self.second(x, y, *numbers))
        return dg, dx, dy

    def __call__(self, x: Tensor, y: Tensor, reduction: Any, *numbers: float) -> Tensor:
        a, c = x._spec, y._spec
        if a.dtype is not c.dtype:
            dtype = dtypes.result_type([_category(a), _category(c)])
            x, y = cast(x, dtype), cast(y, dtype)
        return self.op((x, y), (check_reduction(reduction),), numbers)


def _category(s: Spec) -> tuple:
    return s.dtype, dtypes.Category.DIMENSIONED if s.ndim else dtypes.Category.ZERO_DIM


def _scaled(g: Tensor, x: Tensor, y: Tensor, reduction: str) -> Tensor:
    """The gradient that reaches each element."""
    return g / prod(broadcast_shapes(x._spec.shape, y._spec.shape)) if reduction == "mean" else g


def _warn_sizes(input: Tensor, target: Tensor) -> None:
    if target._spec.shape != input._spec.shape:
        warnings.warn(
            f"Using a target size ({target._spec.shape}) that is different to the input size ({input._spec.shape}). "
            f"This will likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )


# -- differences ------------------------------------------------------------------------------------------------------
def _square(b: Any, x: Any, y: Any) -> Any:
    d = x - y
    return d * d


_mse = PairLoss("mse_loss", _square, lambda b, x, y: (x - y) * 2.0, lambda x, y: (2.0, -2.0), kernel="mse_cpu")


def _both(value: Tensor) -> tuple:
    """Second derivatives of a function of x - y."""
    return value, -value


@function(torch=False, method=False, functional=True)
def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(x - y)^2; an optional ``weight`` has the result's size."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _warn_sizes(input, target)
    if weight is None:
        return _mse(input, target, reduction)
    loss = _mse(input, target, "none") * weight
    return loss.sum() / weight.sum() if reduction == "mean" else reduce_loss(loss, reduction)


@function(torch=False, method=False, functional=True)
def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """abs(x - y); an optional ``weight`` has the result's size."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _warn_sizes(input, target)
    loss = (input - target).abs()
    if weight is None:
        return reduce_loss(loss, reduction)
    loss = loss * weight
    return loss.sum() / weight.sum() if reduction == "mean" else reduce_loss(loss, reduction)


def _smooth_lower(b: Any, x: Any, y: Any, beta: Any) -> Any:
    d = b.abs(x - y)
    return b.where(d < beta, d * d * 0.5 / beta, d - beta * 0.5)


def _smooth_back(b: Any, x: Any, y: Any, beta: Any) -> Any:
    d = x - y
    return b.where(d <= -beta, -1.0, b.where(d >= beta, 1.0, d / beta))


_smooth = PairLoss(
    "smooth_l1_loss",
    _smooth_lower,
    _smooth_back,
    lambda x, y, beta: _both(((x - y).abs() < beta).to(x.dtype) / beta),
    parameters=1,
    kernel="smooth_l1_cpu",
)


@function(torch=False, method=False, functional=True)
def smooth_l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:
    """(x - y)^2 / (2 beta) where abs(x - y) < beta, abs(x - y) - beta / 2 elsewhere (Girshick 2015)."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _warn_sizes(input, target)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    if beta == 0:
        return reduce_loss((input - target).abs(), reduction)
    return _smooth(input, target, reduction, beta)


def _huber_lower(b: Any, x: Any, y: Any, delta: Any) -> Any:
    d = b.abs(x - y)
    return b.where(d <= delta, d * d * 0.5, delta * (d - delta * 0.5))


def _huber_back(b: Any, x: Any, y: Any, delta: Any) -> Any:
    d = x - y
    return b.where(d <= -delta, -delta, b.where(d >= delta, delta, d))


_huber = PairLoss(
    "huber_loss",
    _huber_lower,
    _huber_back,
    lambda x, y, delta: _both(((x - y).abs() < delta).to(x.dtype)),
    parameters=1,
    kernel="huber_cpu",
)


@function(torch=False, method=False, functional=True)
def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """(x - y)^2 / 2 where abs(x - y) <= delta, delta (abs(x - y) - delta / 2) elsewhere (Huber 1964)."""
    reduction = check_reduction(reduction)
    _warn_sizes(input, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    if weight is None:
        return _huber(input, target, reduction, delta)
    return reduce_loss(_huber(input, target, "none", delta) * weight, reduction)


# -- probabilities ----------------------------------------------------------------------------------------------------
def _bce_lower(b: Any, x: Any, y: Any) -> Any:
    """-(y log x + (1 - y) log(1 - x)) with logarithms bounded below by -100."""
    low = b.const(-100.0, x.dtype)
    return (y - 1.0) * b.pw("max", b.log1p(-x), low) - y * b.pw("max", b.log(x), low)


def _bce_back(b: Any, x: Any, y: Any) -> Any:
    return (x - y) / b.pw("max", (1.0 - x) * x, 1e-12)


def _bce_second(x: Tensor, y: Tensor) -> tuple:
    d = ((1 - x) * x).clamp(min=1e-12)
    return 1 / d - (x - y) * (1 - x * 2) / (d * d), -1 / d


_bce = PairLoss(
    "binary_cross_entropy", _bce_lower, _bce_back, _bce_second, lambda x, y: (-x).log1p() - x.log(),
    kernel="binary_cross_entropy",
)  # fmt: skip


@function(torch=False, method=False, functional=True)
def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """-w (y log x + (1 - y) log(1 - x)); logarithms are bounded below by -100. Input and target have equal shapes."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    x, y = input._spec, target._spec
    if y.shape != x.shape:
        raise ValueError(
            f"Using a target size ({y.shape}) that is different to the input size ({x.shape}) is deprecated. Please "
            f"ensure they have the same size."
        )
    if y.dtype is not x.dtype:
        raise RuntimeError(f"Found dtype {scalar_type_name(y.dtype)} but expected {scalar_type_name(x.dtype)}")
    if weight is None:
        return _bce(input, target, reduction)
    broadcast_shapes(weight._spec.shape, y.shape)
    return reduce_loss(_bce(input, target, "none") * weight, reduction)


def _logits_lower(b: Any, x: Any, y: Any) -> Any:
    """max(x, 0) - x y + log(1 + exp(-abs(x)))."""
    return b.pw("max", x, 0.0) - x * y + b.log1p(b.exp(-b.abs(x)))


def _logits_second(x: Tensor, y: Tensor) -> tuple:
    s = x.sigmoid()
    return s * (1 - s), zeros_like(x) - 1


_bce_logits = PairLoss(
    "binary_cross_entropy_with_logits", _logits_lower, lambda b, x, y: b.sigmoid(x) - y, _logits_second,
    lambda x, y: -x,
)  # fmt: skip


@function(method=False)
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: Any = "mean",
) -> Tensor:
    """Binary cross entropy of sigmoid(x), computed stably; ``pos_weight`` scales the positive term."""
    reduction = check_reduction(reduction)
    if target._spec.shape != input._spec.shape:
        raise ValueError(f"Target size ({target._spec.shape}) must be the same as input size ({input._spec.shape})")
    if pos_weight is None:
        if weight is None:
            return _bce_logits(input, target, reduction)
        loss = _bce_logits(input, target, "none")
    else:
        # log(1 + exp(-x)) without overflow, with the positive term's weight on it.
        positive = (-input).clamp(min=0) + (-input.abs()).exp().log1p()
        loss = (1 - target) * input + ((pos_weight - 1) * target + 1) * positive
    return reduce_loss(loss if weight is None else loss * weight, reduction)


# -- divergence -------------------------------------------------------------------------------------------------------
def _kl_lower(b: Any, x: Any, y: Any) -> Any:
    return b.where(y.eq(0.0), 0.0, y * b.log(y)) - y * x


_kl = PairLoss(
    "kl_div", _kl_lower, lambda b, x, y: -y, lambda x, y: (None, zeros_like(y) - 1),
    lambda x, y: y.log().masked_fill(y == 0, 0) + 1 - x,
)  # fmt: skip
_kl_log = PairLoss(
    "kl_div", lambda b, x, y: b.exp(y) * (y - x), lambda b, x, y: -b.exp(y), lambda x, y: (None, -y.exp()),
    lambda x, y: y.exp() * (y - x + 1),
)  # fmt: skip


@function(method=False)
def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: Any = None,
    reduce: Any = None,
    reduction: Any = "mean",
    *,
    log_target: bool = False,
) -> Tensor:
    """y (log y - x) for log probabilities x (target y given as logarithms with ``log_target``)."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return (_kl_log if log_target else _kl)(input, target, reduction)
