"""Reductions of much into little: partial results first, so that all of the device works and rounding errors are small.

A kernel's parallel work is its rows. Where a reduction leaves fewer rows than the device wants, the reduced dimensions
are cut: a first reduction makes a partial result a piece, a second one combines them.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING

from .view import View

if TYPE_CHECKING:
    from .ir import Ref

LEAST = 1 << 18  # elements from which a second kernel costs less than what idles without it
_PIECE = 512  # elements of a piece, at least
_MOST = 1 << 13  # pieces a row, at most
_LANES = 64  # columns that fill vectors: with fewer side by side, several elements of a column take their place
_COMBINE = {"sum": "add", "prod": "mul", "max": "max", "min": "min"}


def reduce_in_parts(fn: str, x: Ref, lead: int, wanted: int, longest: int = 0) -> Ref | None:
    """``x`` reduced over all dimensions from ``lead`` on, or None where one reduction does as well.

    Args:
        wanted: rows that keep the device busy.
        longest: turns a loop may have on the device (0: any number).
    """
    shape = x.shape
    rows, length = prod(shape[:lead]), prod(shape[lead:])
    if not rows or not wanted:
        return None
    few = rows < wanted and x.size >= LEAST and length >= 2 * _PIECE
    if not few and (not longest or length <= longest):
        return None
    need = max(-(-4 * wanted // rows) if few else 2, -(-length // longest) if longest else 0)
    pieces = 1
    for d in range(lead, len(shape)):
        rest = prod(shape[d + 1 :])
        if pieces >= need:
            return _combine(fn, x, lead, d) if pieces <= _MOST and rest * shape[d] >= _PIECE else None
        count = -(-need // pieces)
        if pieces * shape[d] > _MOST or rest < _PIECE:
            return _cut(fn, x, lead, d, count) if shape[d] >= 2 * count else None
        pieces *= shape[d]
    return None


def _combine(fn: str, x: Ref, lead: int, upto: int) -> Ref:
    """Dimensions from ``upto`` on, then those from ``lead`` on."""
    b = x.b
    parts = b.reduce_once(fn, x, len(x.shape) - upto)
    return b.reduce_once(fn, parts, upto - lead)


def _cut(fn: str, x: Ref, lead: int, dim: int, count: int) -> Ref:
    """Dimension ``dim`` in at least ``count`` equal pieces; what remains of it is reduced by itself."""
    size = x.shape[dim]
    even = next((n for n in range(count, min(16 * count, size) + 1) if size % n == 0), 0)
    pieces = even or count
    length = size // pieces
    whole = x if even else x.slice(dim, 0, pieces * length)
    side = _beside(whole, lead, dim, length)
    split = _split(whole, dim, (pieces, length // side, side))
    order = [*range(lead), *range(lead, dim + 1), dim + 2, dim + 1, *range(dim + 3, split.ndim)]
    out = _combine(fn, split.permute(*order), lead, dim + 2)
    if even:
        return out
    rest = _at_once(fn, x.slice(dim, pieces * length, size - pieces * length), lead)
    return x.b.pw(_COMBINE[fn], out, rest)


def _at_once(fn: str, x: Ref, lead: int) -> Ref:
    """All dimensions from ``lead`` on, at once."""
    return x.b.reduce_once(fn, x, len(x.shape) - lead)


def _beside(x: Ref, lead: int, dim: int, length: int) -> int:
    """How many elements of a narrow column lie side by side with the columns in one kernel's rows (1: no columns)."""
    view = x.view
    columns = view.shape[lead - 1] if lead else 0
    if not lead or view.strides[lead - 1] != 1 or view.strides[dim] != columns or columns >= _LANES:
        return 1
    most = 2 * _LANES // columns
    return next(n for n in range(min(most, length), 0, -1) if length % n == 0)


def _split(x: Ref, dim: int, sizes: tuple[int, ...]) -> Ref:
    """Dimension ``dim`` as several, row-major."""
    v = x.view
    steps = [v.strides[dim] * prod(sizes[i + 1 :]) for i in range(len(sizes))]
    shape = v.shape[:dim] + sizes + v.shape[dim + 1 :]
    return type(x)(x.b, x.val, View(shape, v.strides[:dim] + tuple(steps) + v.strides[dim + 1 :], v.offset))
