"""Distances and similarities of vectors."""

from __future__ import annotations

from engine import dtypes, ops
from engine.autograd.labels import shows
from engine.tensor import Tensor

__all__ = ["cosine_similarity", "pairwise_distance", "pdist"]


@shows("NormBackward1")
def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """p-norm of x1 - x2 + eps over the last dimension; the shapes broadcast."""
    difference = x1 - x2 + eps
    return difference.norm(p, -1, keepdim=keepdim)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along ``dim``; the shapes broadcast."""
    dtype = dtypes.promote_types(x1.dtype, x2.dtype)
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {dtype}")
    x1, x2 = ops.broadcast_tensors(x1.to(dtype), x2.to(dtype))
    unit1 = x1 / x1.norm(2, dim, keepdim=True).clamp_min(eps)
    unit2 = x2 / x2.norm(2, dim, keepdim=True).clamp_min(eps)
    return (unit1 * unit2).sum(dim)


@shows("PdistBackward0")
def pdist(input: Tensor, p: float = 2) -> Tensor:
    """p-norm distances of all pairs i < j of rows of (N, M): shape (N (N - 1) / 2,)."""
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if not input.is_floating_point():
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    rows = input.size(0)
    if rows <= 1:
        return ops.empty(0, dtype=input.dtype, device=input.device)
    i, j = ops.triu_indices(rows, rows, 1, device=input.device).unbind(0)
    return (input.index_select(0, i) - input.index_select(0, j)).norm(p, -1)
