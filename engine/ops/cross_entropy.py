"""Cross entropy and negative log likelihood: row patterns over the class dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from ..graph.spec import Spec
from .creation import arange_of, cast
from .indexing import _gather_positions
from .loss import legacy_reduction, reduce_loss
from .on_host import host_values
from .op import Op
from .pointwise import check_kind, compute, wide
from .publish import function
from .softmax import log_softmax, softmax


# -- targets ----------------------------------------------------------------------------------------------------------
def _class_dim(x: Spec) -> int:
    return 0 if x.ndim == 1 else 1


def _check_targets(x: Spec, target: Tensor, weight: Tensor | None, ignore: int) -> Tensor:
    """The target in int64 and of x's shape without the class dimension. Raises torch's errors for what does not fit."""
    t = target._spec
    if not x.ndim:
        raise ValueError(f"Expected 1 or more dimensions (got {x.ndim})")
    if x.ndim == 1:
        if t.ndim > 1 or t.numel != 1:
            raise ValueError(f"For 1D input, 1D target must have size 1, but got target size: {t.numel}")
        target = target if not t.ndim else target.reshape(())
    elif not t.ndim or t.shape[0] != x.shape[0]:
        raise ValueError(
            f"Expected input batch_size ({x.shape[0]}) to match target batch_size ({t.shape[0] if t.ndim else 0})."
        )
    elif x.ndim == 2 and t.ndim != 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    elif x.ndim == 4 and t.ndim != 3:
        raise RuntimeError(
            f"only batches of spatial targets supported (3D tensors) but got targets of dimension: {t.ndim}"
        )
    elif t.shape != (x.shape[0], *x.shape[2:]):
        if x.ndim == 4:
            raise RuntimeError(f"size mismatch (got input: {list(x.shape)} , target: {list(t.shape)}")
        raise RuntimeError(f"Expected target size {[x.shape[0], *x.shape[2:]]}, got {list(t.shape)}")
    if t.dtype is not dtypes.int64:
        if t.dtype is not dtypes.uint8:
            raise RuntimeError(f"expected target dtype to be Long or Byte, but got {scalar_type_name(t.dtype)}")
        target = cast(target, dtypes.int64)
    _check_weight(x, weight)
    _check_range(target, x.shape[_class_dim(x)], ignore)
    return target


def _check_weight(x: Spec, weight: Tensor | None) -> None:
    if weight is None:
        return
    w, classes = weight._spec, x.shape[_class_dim(x)]
    if tuple(w.shape) != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of "
            f"shape: {list(w.shape)}"
        )
    if w.dtype is not x.dtype:
        raise RuntimeError(f"expected scalar type {scalar_type_name(x.dtype)} but found {scalar_type_name(w.dtype)}")


def _check_range(target: Tensor, classes: int, ignore: int) -> None:
    """Raise at once for a class out of range where the target is on the host (the device checks it otherwise)."""
    values = host_values(target)
    if values is None:
        return
    bad = values[((values < 0) | (values >= classes)) & (values != ignore)]
    if bad.size:
        raise IndexError(f"Target {int(bad[0])} is out of bounds.")


def _picked(b: Any, x: Any, t: Any, ignore: int) -> tuple[Any, Any, Any]:
    """(mask of targets that count, class with 0 for the others, x at the class), in the target's shape."""
    dim = 0 if x.ndim == 1 else 1
    valid = t.ne(ignore)
    index = b.where(valid, t, 0)
    return valid, index, b.take(x, _gather_positions(b, x.shape, index.unsqueeze(dim), dim)).squeeze(dim)


def _row_weight(b: Any, valid: Any, index: Any, w: Any, acc: dtypes.dtype) -> Any:
    """The weight of each target's class, 0 for targets that do not count."""
    if w is None:
        return valid.cast(acc)
    return b.where(valid, b.take(w, index).cast(acc), 0.0)


def _reduced(b: Any, rows: Any, total: Any, reduction: str) -> Any:
    if reduction == "none":
        return rows
    out = b.sum(rows, range(rows.ndim))
    return out / total if reduction == "mean" else out


# -- negative log likelihood ------------------------------------------------------------------------------------------
# Operands x, target and, if given, weight; static: ignore_index, reduction. Results: loss, sum of weights.
def _nll_rule(x: Spec, t: Spec, *args: Any) -> list:
    check_kind("nll_loss_out_frame", x.dtype, "f")
    reduction = args[-1]
    return [(tuple(t.shape) if reduction == "none" else (), x.dtype), ((), wide(x.dtype))]


def _nll_lower(b: Any, x: Any, t: Any, *args: Any) -> Any:
    *w, ignore, reduction = args
    acc = wide(x.dtype)
    valid, index, value = _picked(b, x, t, ignore)
    weight = _row_weight(b, valid, index, w[0] if w else None, acc)
    rows = b.where(valid, -(value.cast(acc)) * weight, 0.0)
    total = b.sum(weight, range(weight.ndim))
    return [_reduced(b, rows, total, reduction).cast(x.dtype), total]


def _nll_grad(ctx: Any, g: Tensor, *_: Any) -> tuple:
    operands = [g, *ctx.inputs[1:], ctx.outputs[1]]
    return (_nll_back(operands, (*ctx.static, tuple(ctx.specs[0].shape))), *(None for _ in ctx.specs[1:]))


def _scale_lower(b: Any, g: Any, weight: Any, total: Any, reduction: str) -> Any:
    """What multiplies the derivative of each row."""
    scale = compute(g) * weight
    return scale / total if reduction == "mean" else scale


def _nll_back_lower(b: Any, g: Any, t: Any, *args: Any) -> Any:
    *w, total, ignore, reduction, shape = args
    acc = total.dtype
    dim = 0 if len(shape) == 1 else 1
    valid = t.ne(ignore)
    weight = _row_weight(b, valid, b.where(valid, t, 0), w[0] if w else None, acc)
    scale = -_scale_lower(b, g, weight, total, reduction)
    return b.where(b.iota(shape, dim).eq(t.unsqueeze(dim)), scale.unsqueeze(dim), 0.0).cast(g.dtype)


def _nll_back_grad(ctx: Any, h: Tensor) -> tuple:
    """The backward pass is linear in g: its derivative is the loss of h itself."""
    t, *w = ctx.inputs[1:-1]
    ignore, reduction, _ = ctx.static
    return (_nll((h, t, *w), (ignore, reduction))[0], *(None for _ in ctx.specs[1:]))


class _SavesTargets(Op):
    """Saves everything but the operands numbered in ``skip``."""

    skip: tuple[int, ...] = ()

    def record(self, call: Any, tensors: Any, results: Any, static: tuple, scalars: tuple, saves: Any = None) -> None:
        saves = tuple(i for i in range(len(tensors)) if i not in self.skip)
        super().record(call, tensors, results, static, scalars, saves)


_nll_back = _SavesTargets("nll_loss_backward", lambda g, t, *args: (args[-1], g.dtype), _nll_back_lower, _nll_back_grad)
_nll_back.skip = (0,)


def _two(name: str, *args: Any, **more: Any) -> tuple[Op, Op]:
    """The op under its two names: for plain rows and for targets with trailing dimensions."""
    return tuple(_SavesTargets(n, *args, grad_name=g, **more) for n, g in (
        (name, "NllLossBackward0"), (f"{name}2d", "NllLoss2DBackward0"),
    ))  # fmt: skip


_nll, _nll2d = _two("nll_loss", _nll_rule, _nll_lower, _nll_grad, saves_out=(1,), differentiable=(0,))
_nll.skip = _nll2d.skip = (0,)


@function(torch=True, method=False, functional=True)
def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """Minus the target class's entry of log probabilities (C,), (N, C) or (N, C, *), weighted by class."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    target = _check_targets(input._spec, target, weight, ignore_index)
    op = _nll if input._spec.ndim < 3 else _nll2d
    return op((input, target) if weight is None else (input, target, weight), (ignore_index, reduction))[0]


# -- cross entropy with class indices ---------------------------------------------------------------------------------
# As above with scores x; static has the label smoothing too. Results: loss, logsumexp of each row, sum of weights.
def _ce_rule(x: Spec, t: Spec, *args: Any) -> list:
    loss, total = _nll_rule(x, t, *args[:-1])
    return [loss, (tuple(t.shape), wide(x.dtype)), total]


def _ce_lower(b: Any, x: Any, t: Any, *args: Any) -> Any:
    *w, ignore, reduction, smoothing = args
    acc = wide(x.dtype)
    dim = 0 if x.ndim == 1 else 1
    v = x.cast(acc)
    top = b.max(v, [dim], True)
    lse = (b.log(b.sum(b.exp(v - top), [dim], True)) + top).squeeze(dim)
    valid, index, value = _picked(b, x, t, ignore)
    weight = _row_weight(b, valid, index, w[0] if w else None, acc)
    rows = (lse - value.cast(acc)) * weight
    if smoothing:
        spread = _along(b, w[0].cast(acc), x.shape, dim) if w else None
        uniform = b.sum((lse.unsqueeze(dim) - v) * (1.0 if spread is None else spread), [dim])
        rows = rows * (1.0 - smoothing) + uniform * (smoothing / x.shape[dim])
    rows = b.where(valid, rows, 0.0)
    total = b.sum(weight, range(weight.ndim))
    return [_reduced(b, rows, total, reduction).cast(x.dtype), lse, total]


def _along(b: Any, w: Any, shape: Sequence[int], dim: int) -> Any:
    """A vector over the classes, broadcast to ``shape``."""
    return w.reshape(tuple(n if d == dim else 1 for d, n in enumerate(shape))).expand(tuple(shape))


def _ce_grad(ctx: Any, g: Tensor, *_: Any) -> tuple:
    x, *rest = ctx.inputs
    return (_ce_back((g, x, *ctx.outputs[1:], *rest), ctx.static), *(None for _ in rest))


def _ce_back_lower(b: Any, g: Any, x: Any, lse: Any, total: Any, t: Any, *args: Any) -> Any:
    """(softmax - onehot) * scale, and the uniform part of the smoothed target likewise."""
    *w, ignore, reduction, smoothing = args
    acc = total.dtype
    dim = 0 if x.ndim == 1 else 1
    valid = t.ne(ignore)
    weight = _row_weight(b, valid, b.where(valid, t, 0), w[0] if w else None, acc)
    scale = _scale_lower(b, g, weight, total, reduction).unsqueeze(dim)
    p = b.exp(x.cast(acc) - lse.unsqueeze(dim))
    hit = b.iota(x.shape, dim).eq(t.unsqueeze(dim))
    out = b.where(hit, p - 1.0, p) * scale
    if smoothing:
        part = _scale_lower(b, g, valid.cast(acc), total, reduction).unsqueeze(dim) * (smoothing / x.shape[dim])
        if w:
            v = w[0].cast(acc)
            uniform = p * b.sum(v, [0]) - _along(b, v, x.shape, dim)
        else:
            uniform = p * float(x.shape[dim]) - 1.0
        out = out * (1.0 - smoothing) + uniform * part
    return b.where(valid.unsqueeze(dim), out, 0.0).cast(x.dtype)


def _ce_back_grad(ctx: Any, h: Tensor) -> tuple:
    """With dx = g s (a p - q), p the softmax and a, q fixed by the target: derivatives by g and by x."""
    g, x, _, _, t, *w = ctx.inputs
    ignore, reduction, smoothing = ctx.static
    dim, classes = _class_dim(x._spec), x._spec.shape[_class_dim(x._spec)]
    shape = tuple(classes if d == dim else 1 for d in range(x._spec.ndim))
    dtype = x._spec.dtype
    valid = (t != ignore).unsqueeze(dim)
    hit = arange_of(0, classes, 1, dtypes.int64, x._spec.device).reshape(shape) == t.unsqueeze(dim)
    weights = w[0].reshape(shape) if w else hit.to(dtype) * 0 + 1
    q = hit.to(dtype) * weights
    rows = q.sum(dim, True)
    total = rows.sum() if reduction == "mean" else 1
    if smoothing:
        q = q * (1 - smoothing) + weights * (smoothing / classes)
    q = q.masked_fill(~valid, 0)
    a = q.sum(dim, True)
    p = softmax(x, dim)
    hp = (h * p).masked_fill(~valid, 0)
    dg = (a * hp - h * q).sum(dim) / total
    if reduction != "none":
        dg = dg.sum()
    scale = (g.unsqueeze(dim) if reduction == "none" else g) / total
    dx = (hp - p * hp.sum(dim, True)) * (a * scale)
    return (dg, dx, *(None for _ in ctx.specs[2:]))


_ce_back = _SavesTargets(
    "cross_entropy_backward", lambda g, x, *_: (tuple(x.shape), x.dtype), _ce_back_lower, _ce_back_grad
)
_ce, _ce2d = _two("cross_entropy", _ce_rule, _ce_lower, _ce_grad, saves_out=(1, 2), differentiable=(0,))


# -- cross entropy with class probabilities ---------------------------------------------------------------------------
def _soft_cross_entropy(x: Tensor, y: Tensor, weight: Tensor | None, reduction: str, smoothing: float) -> Tensor:
    seen = x._spec
    dim = _class_dim(seen)
    classes = seen.shape[dim]
    if smoothing:
        y = y * (1 - smoothing) + smoothing / classes
    if weight is not None:
        y = y * weight.reshape(tuple(classes if d == dim else 1 for d in range(seen.ndim)))
    rows = -(log_softmax(x, dim) * y).sum(dim)
    if reduction == "mean":  # over the batch and trailing dimensions, whatever the weights are
        return rows.sum() / (seen.numel // classes if classes else float("nan"))
    return reduce_loss(rows, reduction)


@function(torch=False, method=False, functional=True)
def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross entropy of scores (C,), (N, C) or (N, C, *) with class indices or, in the scores' shape, probabilities.

    ``weight`` (C,) scales the classes; class ``ignore_index`` does not count; ``label_smoothing`` in [0, 1] mixes the
    target with the uniform distribution (Szegedy et al. 2016).
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    x, t = input._spec, target._spec
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if x.shape == t.shape and x.ndim and (t.floating or x.ndim > 1):
        if not t.floating:
            raise RuntimeError(
                f"Expected floating point type for target with class probabilities, got {scalar_type_name(t.dtype)}"
            )
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        _check_weight(x, weight)
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    check_kind("log_softmax_lastdim_kernel_impl", x.dtype, "f")
    target = _check_targets(x, target, weight, ignore_index)
    op = _ce if x.ndim < 3 else _ce2d
    operands = (input, target) if weight is None else (input, target, weight)
    return op(operands, (ignore_index, reduction, float(label_smoothing)))[0]
