"""Strided views: the algebra of affine maps from an index to a position in a flat buffer."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides, in elements, of a contiguous array of ``shape`` (size-0 dimensions count as 1, as in torch)."""
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


def is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether the view walks memory in row-major order without gaps (dimensions of size 1 do not matter)."""
    step = 1
    for size, stride in zip(reversed(shape), reversed(strides)):
        if size == 0:
            return True
        if size != 1 and stride != step:
            return False
        step *= size
    return True


class View(NamedTuple):
    """Index ``(i0, i1, ...)`` of an array of ``shape`` lies at ``offset + sum(strides[d] * i[d])``."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @staticmethod
    def of(shape: tuple[int, ...]) -> View:
        """The contiguous view of ``shape``."""
        return View(shape, row_major(shape), 0)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def contiguous(self) -> bool:
        """Row-major without gaps (the offset may be anything)."""
        return is_contiguous(self.shape, self.strides)

    def expand(self, shape: tuple[int, ...]) -> View:
        """Broadcast to ``shape``: new leading dimensions and size-1 dimensions get stride 0."""
        if shape == self.shape:
            return self
        lead = len(shape) - len(self.shape)
        strides = [0] * lead
        for have, want, stride in zip(self.shape, shape[lead:], self.strides):
            if have != want and have != 1:
                raise ValueError(f"cannot expand a view of shape {self.shape} to {shape}")
            strides.append(stride if have == want and have != 1 else 0)
        return View(shape, tuple(strides), self.offset)

    def permute(self, dims: tuple[int, ...]) -> View:
        """Dimension ``d`` of the result is dimension ``dims[d]`` of this view."""
        return View(tuple(self.shape[d] for d in dims), tuple(self.strides[d] for d in dims), self.offset)

    def reshape(self, shape: tuple[int, ...]) -> View | None:
        """The same elements under another shape, or None where that needs a copy."""
        if shape == self.shape:
            return self
        if self.size == 0:
            return View(shape, row_major(shape), self.offset)
        strides = reshape_strides(self.shape, self.strides, shape)
        return None if strides is None else View(shape, strides, self.offset)


def reshape_strides(shape: tuple[int, ...], strides: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...] | None:
    """Strides that show a view of ``shape`` as ``new`` (equal element counts, no zero), or None where a copy is needed.

    Runs of old dimensions that are contiguous among themselves are matched, from the right, with runs of new ones.
    """
    chunks: list[list[int]] = []  # [elements, innermost stride] of each mergeable run, right to left
    for size, stride in zip(reversed(shape), reversed(strides)):
        if size == 1:
            continue
        if chunks and stride == chunks[-1][0] * chunks[-1][1]:
            chunks[-1][0] *= size
        else:
            chunks.append([size, stride])
    out = []
    at = 0
    left, step = chunks[0] if chunks else (1, 1)
    for size in reversed(new):
        if size == 1:
            out.append(step * 1)
            continue
        if left == 1:
            at += 1
            if at >= len(chunks):
                return None
            left, step = chunks[at]
        if left % size:
            return None
        out.append(step)
        left //= size
        step *= size
    return tuple(reversed(out))


@lru_cache(maxsize=1 << 16)  # planning asks for the same composition again and again
def compose(outer: View, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> View | None:
    """Read through ``outer`` an array of ``shape`` whose own elements are read through ``(strides, offset)``.

    ``outer`` addresses the row-major flat positions of an array of ``shape``; the result addresses, for the same
    index, the buffer behind that array. None where the composition is not affine.
    """
    if 0 in outer.shape:  # nothing is read
        return View(outer.shape, (0,) * len(outer.shape), offset)
    sizes, inner = _merge(shape, strides)
    if len(sizes) == 0:
        return View(outer.shape, (0,) * len(outer.shape), offset)
    if len(sizes) == 1:
        step = inner[0]
        return View(outer.shape, tuple(s * step for s in outer.strides), offset + outer.offset * step)
    steps = row_major(sizes)
    low = _digits(outer.offset, steps)
    if low is None:
        return None
    high = list(low)
    out = []
    for size, stride in zip(outer.shape, outer.strides):
        if size == 1 or stride == 0:
            out.append(0)
            continue
        digits = _digits(abs(stride), steps)
        sign = 1 if stride > 0 else -1
        total = 0
        for d, q in enumerate(digits):
            if sign > 0:
                high[d] += q * (size - 1)
            else:
                low[d] -= q * (size - 1)
            total += sign * q * inner[d]
        out.append(total)
    if any(h >= n for h, n in zip(high, sizes)) or any(v < 0 for v in low):
        return None
    start = offset + sum(q * s for q, s in zip(_digits(outer.offset, steps), inner))
    return View(outer.shape, tuple(out), start)


def _merge(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    sizes: list[int] = []
    steps: list[int] = []
    for size, stride in zip(shape, strides):
        if size == 1:
            continue
        if sizes and steps[-1] == stride * size:
            sizes[-1] *= size
            steps[-1] = stride
        else:
            sizes.append(size)
            steps.append(stride)
    return tuple(sizes), tuple(steps)


def _digits(position: int, steps: tuple[int, ...]) -> list[int] | None:
    if position < 0:
        return None
    out = []
    for step in steps:
        digit, position = divmod(position, step)
        out.append(digit)
    return out
