"""Losses that compare margins, distances or rankings."""

from __future__ import annotations

from collections.abc import Callable

from engine import ops
from engine.autograd.labels import shows
from engine.tensor import Tensor

from ._common import check_reduction, legacy_reduction, reduce_loss
from .distance import pairwise_distance

__all__ = [
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def cosine_embedding_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """1 - cos(x1, x2) where target is 1, max(0, cos(x1, x2) - margin) where it is -1.

    Inputs (N, D) with target (N,), or (D,) with ().
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if target.dim() not in (0, 1):
        raise RuntimeError(
            f"0D or 1D target tensor expected, multi-target not supported, but got target of {target.dim()} dimensions"
        )
    if input1.dim() != target.dim() + 1 or input2.dim() != target.dim() + 1:
        raise RuntimeError(
            f"{target.dim()}D target tensor expects {target.dim() + 1}D input tensors, but found inputs with sizes "
            f"{list(input1.shape)} and {list(input2.shape)}."
        )
    dim = target.dim()
    # Adding to the squared norms keeps the gradient finite at zero vectors.
    tiny = 1e-12
    product = (input1 * input2).sum(dim)
    square1 = (input1 * input1).sum(dim) + tiny
    square2 = (input2 * input2).sum(dim) + tiny
    cosine = product / (square1 * square2).sqrt()
    zeros = ops.zeros_like(cosine)
    loss = ops.where(target == 1, 1 - cosine, zeros)
    loss = loss + ops.where(target == -1, (cosine - margin).clamp_min(0), zeros)
    return reduce_loss(loss, reduction)


def hinge_embedding_loss(
    input: Tensor,
    target: Tensor,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """x where target is 1, max(0, margin - x) where it is -1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    zeros = ops.zeros_like(input)
    hinge = ops.where(target != 1, (margin - input).clamp_min(0), zeros)
    return reduce_loss(hinge + ops.where(target != -1, input, zeros), reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, -y (x1 - x2) + margin)."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    if not input1.dim() == input2.dim() == target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: input1: "
            f"{input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return reduce_loss((-target * (input1 - input2) + margin).clamp_min(0), reduction)


@shows("SoftMarginLossBackward0")
def soft_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """log(1 + exp(-y x)) for y in {-1, 1}."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    return reduce_loss((-target * input).exp().log1p(), reduction)


def multilabel_soft_margin_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Mean over the last dimension (classes) of the binary cross entropy with logits; ``weight`` scales the classes."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    loss = -(target * ops.logsigmoid(input) + (1 - target) * ops.logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduce_loss(loss.mean(-1), reduction)


def _as_batch(name: str, input: Tensor) -> Tensor:
    if input.dim() > 2 or (input.dim() == 2 and input.size(1) == 0) or (input.dim() == 1 and input.size(0) == 0):
        raise RuntimeError(
            f"{name}: Expected non-empty vector or matrix with optional 0-dim batch size, but got: {list(input.shape)}"
        )
    return input if input.dim() == 2 else input.reshape(1, -1)


@shows("MultilabelMarginLossBackward0")
def multilabel_margin_loss(
    input: Tensor,
    target: Tensor,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Hinge of every pair (target class, other class), summed and divided by the number of classes.

    input (N, C) or (C,); target has its shape and lists class indices, ended by the first -1.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    x = _as_batch("multilabel_margin_loss", input)
    if tuple(target.reshape(x.shape[0], -1).shape) != tuple(x.shape):
        raise RuntimeError(f"inconsistent target size: {list(target.shape)} for input size: {list(input.shape)}")
    labels = target.reshape(x.shape)
    listed = (labels >= 0).to(x.dtype).cumprod(1)
    labels = labels.clamp_min(0)
    is_target = ops.zeros_like(x).scatter_add(1, labels, listed) > 0
    scores = x.gather(1, labels)
    hinge = (1 - scores.unsqueeze(2) + x.unsqueeze(1)).clamp_min(0)
    counted = listed.unsqueeze(2) * (~is_target).to(x.dtype).unsqueeze(1)
    loss = (hinge * counted).sum((1, 2)) / x.size(1)
    return reduce_loss(loss if input.dim() == 2 else loss.squeeze(0), reduction)


@shows("MultiMarginLossBackward0")
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Sum over wrong classes of max(0, margin - x[y] + x[i])^p, times weight[y], divided by the number of classes.

    input (N, C) or (C,); target (N,) or a single class; p is 1 or 2.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    check_reduction(reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    x = _as_batch("multi_margin_loss", input)
    if weight is not None and (weight.dim() != 1 or weight.numel() != x.size(1)):
        raise ValueError("weight must be one-dimensional" if weight.dim() != 1 else "inconsistent weight size")
    if target.numel() != x.size(0) or target.dim() > 1:
        raise RuntimeError(f"inconsistent target size, expected {x.size(0)} but got {list(target.shape)}")
    labels = target.reshape(-1, 1)
    hinge = (margin - x.gather(1, labels) + x).clamp_min(0)
    if p == 2:
        hinge = hinge * hinge
    if weight is not None:
        hinge = hinge * weight.index_select(0, labels.reshape(-1)).unsqueeze(1)
    classes = ops.arange(x.size(1), device=x.device)
    loss = hinge.masked_fill(labels == classes, 0.0).sum(1) / x.size(1)
    return reduce_loss(loss if target.dim() else loss.squeeze(0), reduction)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """max(0, d(a, p) - d(a, n) + margin) for p-norm distances over the last dimension (Balntas et al. 2016).

    With ``swap`` d(p, n) replaces d(a, n) where it is smaller.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.dim()}D, positive {positive.dim()}D, and negative {negative.dim()}D inputs"
        )

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return pairwise_distance(a, b, p, eps)

    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    distance: Callable[[Tensor, Tensor], Tensor],
    margin: float,
    swap: bool,
    reduction: str,
) -> Tensor:
    to_positive, to_negative = distance(anchor, positive), distance(anchor, negative)
    if swap:
        to_negative = ops.minimum(to_negative, distance(positive, negative))
    return reduce_loss((to_positive - to_negative + margin).clamp_min(0), reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Tensor, Tensor], Tensor] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """:func:`triplet_margin_loss` with any distance; None means :func:`pairwise_distance`."""
    check_reduction(reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.dim()}D, positive {positive.dim()}D, and negative {negative.dim()}D inputs"
        )
    return _triplet(anchor, positive, negative, distance_function or pairwise_distance, margin, swap, reduction)
