"""Helpers that distributed training code imports from ``torch._utils``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from . import ops
from .tensor import Tensor


def _flatten_dense_tensors(tensors: Iterable[Tensor]) -> Tensor:
    """All elements of tensors of one dtype in one vector."""
    return ops.cat([t.contiguous().view(-1) for t in tensors])


def _unflatten_dense_tensors(flat: Tensor, tensors: Iterable[Tensor]) -> tuple[Tensor, ...]:
    """Views of a vector in the shapes of ``tensors``, in turn."""
    parts, start = [], 0
    for t in tensors:
        parts.append(flat.narrow(0, start, t.numel()).view_as(t))
        start += t.numel()
    return tuple(parts)


def _take_tensors(tensors: Iterable[Tensor], size_limit: int) -> Iterator[list[Tensor]]:
    """Lists of tensors of one dtype, each of at most ``size_limit`` bytes where that is possible."""
    open_lists: dict[str, tuple[list[Tensor], int]] = {}
    for t in tensors:
        group, size = open_lists.get(t.type(), ([], 0))
        added = t.numel() * t.element_size()
        if group and size + added > size_limit:
            yield group
            group, size = [], 0
        group.append(t)
        open_lists[t.type()] = group, size + added
    for group, _ in open_lists.values():
        if group:
            yield group


def _reorder_tensors_as(tensors: Iterable[Tensor], ordered_tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """``tensors``, given in groups by type, in the order of types of ``ordered_tensors``."""
    by_type: dict[str, list[Tensor]] = {}
    for t in tensors:
        by_type.setdefault(t.type(), []).append(t)
    queues = {kind: iter(group) for kind, group in by_type.items()}
    return tuple(next(queues[t.type()]) for t in ordered_tensors)
