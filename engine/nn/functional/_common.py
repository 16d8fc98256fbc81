"""Helpers of the functional files: argument lists, reductions, and in-place variants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from engine import autograd
from engine.ops.loss import deprecated_reduction
from engine.tensor import Tensor

__all__ = ["as_list", "in_place", "legacy_reduction", "reduce_loss", "spatial_pair"]


def as_list(value: Any, n: int, name: str) -> list:
    """``n`` numbers from one number, a sequence of one, or a sequence of ``n``."""
    if not isinstance(value, (tuple, list)):
        return [value] * n
    values = list(value)
    if len(values) == 1:
        return values * n
    if len(values) != n:
        raise RuntimeError(f"{name} should consist of {n} elements, but got {len(values)}")
    return values


def spatial_pair(value: Any, name: str) -> list:
    """Two numbers; the error text is that of fold and unfold."""
    return as_list(value, 2, name)


def in_place(input: Tensor, fn: Callable[[Tensor], Tensor]) -> Tensor:
    """Overwrite ``input`` with ``fn(input)``; differentiable, as ``fn`` then sees a copy that is not overwritten."""
    source = input.clone() if autograd.is_grad_enabled() and input.requires_grad else input.detach()
    return input.copy_(fn(source))


def legacy_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """The reduction that the deprecated pair (size_average, reduce) asks for, or ``reduction`` when both are None."""
    if size_average is None and reduce is None:
        return reduction
    return deprecated_reduction(size_average, reduce)


def check_reduction(reduction: str) -> str:
    """``reduction`` itself when it is one of 'none', 'mean' and 'sum'; ValueError otherwise."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def reduce_loss(loss: Tensor, reduction: str) -> Tensor:
    """Apply 'none', 'mean' or 'sum' to an elementwise loss."""
    check_reduction(reduction)
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()
