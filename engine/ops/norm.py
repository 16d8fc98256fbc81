"""Normalisations: layer, group, batch, instance and RMS norm.

All are one pattern: y = (x - mean) * rstd * weight + bias with statistics over some dimensions of x, and weight and
bias broadcast against x. Forward and backward are row patterns, one kernel each (plus one for the parameters'
gradients); mean and rstd are kept for the backward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from .. import dtypes
from ..autograd.mode import no_grad
from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from ..graph.spec import Spec
from .op import Op
from .pointwise import check_kind, compute, wide
from .publish import function
from .storing import store

Shape = tuple[int, ...]


# -- the pattern ------------------------------------------------------------------------------------------------------
# Static arguments: how x is seen (``shape``), the dimensions of that which are averaged over, the shape in which weight
# and bias are broadcast against it, which of the two there are ("wb", "w", "b", ""), eps, and whether to centre.
def _forward_rule(x: Spec, *args: Any) -> list:
    *params, shape, dims, _, _, _, centre = args
    kept = tuple(1 if d in dims else n for d, n in enumerate(shape))
    acc = wide(x.dtype)
    rows = (kept, acc)
    return [(tuple(x.shape), x.dtype), rows, rows, rows] if centre else [(tuple(x.shape), x.dtype), rows]


def _affine(refs: Sequence[Any], shape: Shape, has: str) -> tuple[Any, Any]:
    found = dict(zip(has, refs, strict=True))
    return tuple(compute(found[k]).reshape(shape) if k in found else None for k in "wb")


def _forward_lower(b: Any, x: Any, *args: Any) -> Any:
    *params, shape, dims, wshape, has, eps, centre = args
    w, bias = _affine(params, wshape, has)
    v = compute(x).reshape(shape)
    count = float(prod(shape[d] for d in dims))
    mean = None
    if centre:
        mean = b.sum(v, dims, True) / count
        v = v - mean
    var = b.sum(v * v, dims, True) / count
    rstd = b.rsqrt(var + eps)
    y = v * rstd
    y = y if w is None else y * w
    y = y if bias is None else y + bias
    y = y.cast(x.dtype).reshape(x.shape)
    return [y, mean, rstd, var] if centre else [y, rstd]


def _forward_grad(ctx: Any, g: Tensor, *_: Any) -> tuple:
    has = ctx.static[3]
    saved, stats = ctx.inputs, ctx.outputs[1:3]
    if not ctx.static[5]:
        stats = stats[:1]
    needs = tuple(ctx.needs)
    operands = [g, saved[0], *stats]
    if "w" in has:
        operands.append(saved[1])
    found = iter(_backward(operands, (*ctx.static, needs)))
    grads = [next(found) if n else None for n in needs]
    for i, seen in enumerate(ctx.specs):
        if i and seen.ndim != 1 and grads[i] is not None:
            grads[i] = grads[i].reshape(seen.shape)
    return tuple(grads)


def _backward_rule(g: Spec, x: Spec, *args: Any) -> list:
    *_, shape, dims, wshape, has, eps, centre, needs = args
    params = ((prod(wshape),), wide(x.dtype))
    return [(tuple(x.shape), x.dtype) if i == 0 else params for i, n in enumerate(needs) if n]


def _backward_lower(b: Any, g: Any, x: Any, *args: Any) -> Any:
    *stats, shape, dims, wshape, has, eps, centre, needs = args
    w = compute(stats.pop()).reshape(wshape) if "w" in has else None
    g = compute(g).reshape(shape)
    v = compute(x).reshape(shape)
    rstd = stats[-1]
    xhat = (v - stats[0] if centre else v) * rstd
    outs = []
    if needs[0]:
        count = float(prod(shape[d] for d in dims))
        gw = g if w is None else g * w
        dx = gw - xhat * (b.sum(gw * xhat, dims, True) / count)
        if centre:
            dx = dx - b.sum(gw, dims, True) / count
        outs.append((dx * rstd).cast(x.dtype).reshape(x.shape))
    for kind, wanted in zip(has, needs[1:], strict=True):
        if wanted:
            terms = g * xhat if kind == "w" else g
            over = [d for d in range(len(shape)) if wshape[d] == 1 and shape[d] != 1]
            outs.append(b.sum(terms, over, True).reshape((prod(wshape),)))
    return outs


def _backward_grad(ctx: Any, *upstream: Tensor) -> tuple:
    """Second derivatives, with the statistics computed again from x so that they take part.

    With A(h) = rstd (h - mean h - xhat mean(h xhat)), the (symmetric) derivative of xhat: dx = A(g w), dw = sum g xhat.
    """
    shape, dims, wshape, has, eps, centre, needs = ctx.static
    g, x = (t.reshape(shape) for t in ctx.inputs[:2])
    w = ctx.inputs[-1].reshape(wshape) if "w" in has else None
    found = iter(upstream)
    h, *hp = (next(found) if n else None for n in needs)
    hp = {k: t.reshape(wshape) for k, t in zip(has, hp, strict=True) if t is not None}
    centred = x - x.mean(dims, True) if centre else x
    rstd = ((centred * centred).mean(dims, True) + eps).rsqrt()
    xhat = centred * rstd

    def curve(t: Tensor) -> Tensor:
        out = t - xhat * (t * xhat).mean(dims, True)
        return (out - t.mean(dims, True) if centre else out) * rstd

    dg = dx = dw = None
    inner = None  # gradient with respect to xhat
    if h is not None:
        h = h.reshape(shape)
        gw = g if w is None else g * w
        ah = curve(h)
        dg = ah if w is None else ah * w
        dw = ah * g
        inner = -(gw * (h * xhat).mean(dims, True) + h * (gw * xhat).mean(dims, True)) * rstd
        dx = xhat * rstd * (gw * ah).mean(dims, True) * -1
    if "w" in hp:
        dg = xhat * hp["w"] + (0 if dg is None else dg)
        inner = g * hp["w"] + (0 if inner is None else inner)
    if "b" in hp:
        dg = hp["b"].expand(shape) + (0 if dg is None else dg)
    if inner is not None:
        dx = curve(inner) + (0 if dx is None else dx)
    out = [None if t is None else t.reshape(ctx.specs[0].shape) for t in (dg, dx)]
    stats = [None] * (2 if centre else 1)
    if w is None:
        return (*out, *stats)
    over = tuple(d for d in range(len(shape)) if wshape[d] == 1)
    dw = None if dw is None else (dw.sum(over, True) if over else dw).reshape(ctx.specs[-1].shape)
    return (*out, *stats, dw)


class _Back(Op):
    """Saves what the second derivative reads: g, x and the weight, which is the last operand if there is one."""

    def record(self, call: Any, tensors: Any, results: Any, static: tuple, scalars: tuple, saves: Any = None) -> None:
        saves = (0, 1, len(tensors) - 1) if "w" in static[3] else (0, 1)
        super().record(call, tensors, results, static, scalars, saves)


_backward = _Back("norm_backward", _backward_rule, _backward_lower, _backward_grad)


class _Norm(Op):
    """Saves x and the weight, its first parameter if it has one."""

    def record(self, call: Any, tensors: Any, results: Any, static: tuple, scalars: tuple, saves: Any = None) -> None:
        saves = (0, 1) if "w" in static[3] else (0,)
        super().record(call, tensors, results, static, scalars, saves)


def _norm(name: str, grad_name: str, outputs: tuple[int, ...] = (1, 2)) -> Op:
    return _Norm(
        name, _forward_rule, _forward_lower, _forward_grad, saves_out=outputs, grad_name=grad_name, differentiable=(0,)
    )


def _apply(
    op: Op, x: Tensor, weight: Tensor | None, bias: Tensor | None, shape: Shape, dims: Shape, wshape: Shape, eps: float,
    centre: bool = True,
) -> tuple:  # fmt: skip
    has = ("w" if weight is not None else "") + ("b" if bias is not None else "")
    operands = [t for t in (x, weight, bias) if t is not None]
    return op(operands, (shape, dims, wshape, has, eps, centre))


def _check_same(name: str, x: Spec, *params: Tensor | None) -> None:
    check_kind(name, x.dtype, "f")
    for p in params:  # 16-bit inputs may have float32 parameters
        if p is not None and p._spec.dtype is not x.dtype and p._spec.dtype is not wide(x.dtype):
            raise RuntimeError(
                f"expected scalar type {scalar_type_name(x.dtype)} but found {scalar_type_name(p._spec.dtype)}"
            )


# -- layer norm, RMS norm ---------------------------------------------------------------------------------------------
_layer_norm = _norm("native_layer_norm", "NativeLayerNormBackward0")
_rms_norm = _norm("rms_norm", "MulBackward0", (1,))


def _check_normalized(name: str, x: Spec, normalized: Shape, **params: Tensor | None) -> None:
    if not normalized:
        raise RuntimeError(
            f"Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got "
            f"normalized_shape = {list(normalized)}"
        )
    for kind, p in params.items():
        if p is not None and tuple(p._spec.shape) != normalized:
            raise RuntimeError(
                f"Expected {kind} to be of same shape as normalized_shape, but got {kind} of shape "
                f"{list(p._spec.shape)} and normalized_shape = {list(normalized)}"
            )
    if tuple(x.shape[x.ndim - len(normalized) :]) != normalized or len(normalized) > x.ndim:
        raise RuntimeError(
            f"Given normalized_shape={list(normalized)}, expected input with shape "
            f"[*, {', '.join(map(str, normalized))}], but got input of size{list(x.shape)}"
        )


def _rows(x: Spec, normalized: Shape) -> tuple[Shape, Shape, Shape]:
    """x as (rows, elements of a row), the reduced dimension and the weight's shape."""
    n = prod(normalized)
    return (x.numel // n if n else prod(x.shape[: x.ndim - len(normalized)]), n), (1,), (1, n)


@function(method=False)
def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
    cudnn_enable: bool = True,
) -> Tensor:
    """Normalise over the last dimensions, whose sizes are ``normalized_shape`` (Ba et al. 2016)."""
    return native_layer_norm(input, normalized_shape, weight, bias, eps)[0]


@function(method=False)
def native_layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """(layer norm, mean, reciprocal standard deviation), the last two of shape (*leading, 1, ...)."""
    x = input._spec
    normalized = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    _check_normalized("layer_norm", x, normalized, weight=weight, bias=bias)
    _check_same("LayerNormKernelImpl", x, weight, bias)
    y, mean, rstd, _ = _apply(_layer_norm, input, weight, bias, *_rows(x, normalized), float(eps))
    kept = (*x.shape[: x.ndim - len(normalized)], *(1 for _ in normalized))
    return y, mean.reshape(kept), rstd.reshape(kept)


@function(method=False)
def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Divide by the root mean square over the last dimensions (Zhang and Sennrich 2019); eps None: the dtype's."""
    x = input._spec
    normalized = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    _check_normalized("rms_norm", x, normalized, weight=weight)
    check_kind("rms_norm", x.dtype, "f")
    if eps is None:
        eps = dtypes.finfo(wide(x.dtype)).eps
    if weight is not None and weight._spec.dtype is not x.dtype:
        return _apply(_rms_norm, input, None, None, *_rows(x, normalized), float(eps), False)[0] * weight
    return _apply(_rms_norm, input, weight, None, *_rows(x, normalized), float(eps), False)[0]


# -- group norm -------------------------------------------------------------------------------------------------------
_group_norm = _norm("native_group_norm", "NativeGroupNormBackward0")


@function(method=False)
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-05,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Normalise each of ``num_groups`` groups of channels of each sample of (N, C, ...) (Wu and He 2018)."""
    x = input._spec
    if x.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {x.ndim}")
    n, channels = x.shape[:2]
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    if channels % num_groups:
        raise RuntimeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(x.shape)} and num_groups={num_groups}"
        )
    for kind, p in (("weight", weight), ("bias", bias)):
        if p is not None and tuple(p._spec.shape) != (channels,):
            raise RuntimeError(
                f"Expected {kind} to be a vector of size equal to the number of channels in input, but got {kind} of "
                f"shape {list(p._spec.shape)} and input of shape {list(x.shape)}"
            )
    _check_same("GroupNormKernelImpl", x, weight, bias)
    shape = (n, num_groups, channels // num_groups, prod(x.shape[2:]))
    wshape = (1, num_groups, channels // num_groups, 1)
    return _apply(_group_norm, input, weight, bias, shape, (2, 3), wshape, float(eps))[0]


# -- batch norm, instance norm ----------------------------------------------------------------------------------------
_batch_norm = _norm("native_batch_norm", "NativeBatchNormBackward0")


def _eval_lower(b: Any, x: Any, mean: Any, var: Any, *args: Any) -> Any:
    *params, shape, wshape, has, eps = args
    w, bias = _affine(params, wshape, has)
    scale = b.rsqrt(compute(var).reshape(wshape) + eps)
    scale = scale if w is None else scale * w
    y = (compute(x).reshape(shape) - compute(mean).reshape(wshape)) * scale
    y = y if bias is None else y + bias
    return y.cast(x.dtype).reshape(x.shape)


def _eval_grad(ctx: Any, g: Tensor) -> tuple:
    shape, wshape, has, eps = ctx.static
    x, mean, var, *params = ctx.inputs
    g = g.reshape(shape)
    rstd = (var.reshape(wshape) + eps).rsqrt()
    dx = None
    if ctx.needs[0]:
        dx = (g * (rstd * params[0].reshape(wshape) if "w" in has else rstd)).reshape(ctx.specs[0].shape)
    over = tuple(d for d in range(len(shape)) if wshape[d] == 1)
    outs = []
    for kind, wanted in zip(has, ctx.needs[3:], strict=True):
        terms = g
        if wanted and kind == "w":
            terms = g * ((x.reshape(shape) - mean.reshape(wshape)) * rstd)
        outs.append(terms.sum(over, True).reshape(-1) if wanted else None)
    return (dx, None, None, *outs)


class _Eval(Op):
    def record(self, call: Any, tensors: Any, results: Any, static: tuple, scalars: tuple, saves: Any = None) -> None:
        saves = (0, 1, 2, 3) if "w" in static[2] else (1, 2)
        super().record(call, tensors, results, static, scalars, saves)


_batch_norm_eval = _Eval(
    "native_batch_norm", lambda x, *_: (tuple(x.shape), x.dtype), _eval_lower, _eval_grad,
    grad_name="NativeBatchNormBackward0",
)  # fmt: skip


def _running_lower(b: Any, old_mean: Any, old_var: Any, mean: Any, var: Any, momentum: Any, unbias: float) -> Any:
    """Both running statistics moved towards the batch's, instances (leading dimension of ``mean``) averaged."""
    size = old_mean.shape[0]
    m, v = (t.reshape((t.size // size, size)) for t in (mean, var))
    m, v = (t.squeeze(0) if t.shape[0] == 1 else b.mean(t, [0]) for t in (m, v))
    v = v * unbias
    keep = 1.0 - momentum
    new_mean = compute(old_mean) * keep + m * momentum
    new_var = compute(old_var) * keep + v * momentum
    return [new_mean.cast(old_mean.dtype), new_var.cast(old_var.dtype)]


_running = Op(
    "running_statistics",
    lambda om, ov, m, v, unbias: [om, ov],
    _running_lower,
    scalars=lambda om, ov, m, v, unbias: (m.dtype,),
)


def _update(
    running_mean: Tensor | None, running_var: Tensor | None, mean: Tensor, var: Tensor, momentum: float, count: int
) -> None:
    """Move the running statistics in place; ``count`` elements went into each mean."""
    if running_mean is None and running_var is None:
        return
    unbias = count / (count - 1) if count > 1 else float("nan")
    with no_grad():
        first = running_mean if running_mean is not None else running_var
        second = running_var if running_var is not None else running_mean
        new = _running((first, second, mean, var), (unbias,), (momentum,))
        for old, value in ((running_mean, new[0]), (running_var, new[1])):
            if old is not None:
                store(old, value)


def _check_vectors(channels: int, **vectors: Tensor | None) -> None:
    for kind, p in vectors.items():
        if p is not None and p._spec.numel != channels:
            raise RuntimeError(f"{kind} should contain {channels} elements not {p._spec.numel}")


@function(method=False)
def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Normalise each channel of (N, C, ...) with the batch's statistics (training) or the running ones.

    In training the running statistics, where given, move in place by ``momentum`` towards the batch's (Ioffe and
    Szegedy 2015), with the unbiased variance.
    """
    x = input._spec
    if x.ndim < 2:
        if not x.numel and x.ndim:
            return input.clone()
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {x.ndim}")
    channels = x.shape[1]
    _check_vectors(channels, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    shape = (x.shape[0], channels, prod(x.shape[2:]))
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("running_mean and running_var must be defined in evaluation mode")
        return _evaluate(input, weight, bias, running_mean, running_var, shape, (1, channels, 1), float(eps))
    _check_same("batch_norm", x, weight, bias)
    y, mean, _, var = _apply(_batch_norm, input, weight, bias, shape, (0, 2), (1, channels, 1), float(eps))
    _update(running_mean, running_var, mean, var, momentum, shape[0] * shape[2])
    return y


def _evaluate(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, mean: Tensor, var: Tensor, shape: Shape, wshape: Shape,
    eps: float,
) -> Tensor:  # fmt: skip
    _check_same("batch_norm", input._spec, weight, bias)
    has = ("w" if weight is not None else "") + ("b" if bias is not None else "")
    operands = [t for t in (input, mean, var, weight, bias) if t is not None]
    return _batch_norm_eval(operands, (shape, wshape, has, eps))


@function(method=False)
def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
) -> Tensor:
    """Normalise each channel of each sample of (N, C, ...) (Ulyanov et al. 2016)."""
    x = input._spec
    if x.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {x.ndim}")
    channels = x.shape[1]
    _check_vectors(channels, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    shape = (x.shape[0], channels, prod(x.shape[2:]))
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError("Expected running_mean and running_var to be defined when use_input_stats is false")
        return _evaluate(input, weight, bias, running_mean, running_var, shape, (1, channels, 1), float(eps))
    _check_same("batch_norm", x, weight, bias)
    y, mean, _, var = _apply(_batch_norm, input, weight, bias, shape, (2,), (1, channels, 1), float(eps))
    _update(running_mean, running_var, mean, var, momentum, shape[2])
    return y
