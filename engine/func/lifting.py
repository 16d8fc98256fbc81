"""Batching of primitives: an op's lowering, written for one example, run for a whole batch of them.

``BatchedBuilder`` is handed to a lowering function in place of the planner's Builder. Its references show the shape of
one example while the value behind has the batch as its outermost dimension, so every primitive of the closed set needs
one rule here and every op of the library is batched by it. Hand-written kernels without a rule run once an example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from .. import dtypes
from ..graph.ir import Builder, Ref, broadcast
from ..graph.view import View, row_major

_GOLDEN = 0x9E3779B97F4A7C15  # odd, far from small multiples: keys of the examples' random streams


class BatchedRef(Ref):
    """One example's view of ``inner``, which has the batch in front if ``batched``."""

    __slots__ = ("inner", "batched")

    def __init__(self, builder: BatchedBuilder, inner: Ref, batched: bool) -> None:
        view = inner.view
        if batched:
            view = View(view.shape[1:], view.strides[1:], view.offset)
        super().__init__(builder, inner.val, view)
        self.inner = inner
        self.batched = batched

    def _of(self, inner: Ref) -> BatchedRef:
        return BatchedRef(self.b, inner, self.batched)

    def _with(self, view: View) -> BatchedRef:
        if self.batched:
            whole = self.inner.view
            view = View((whole.shape[0], *view.shape), (whole.strides[0], *view.strides), view.offset)
        return self._of(self.inner._with(view))

    def reshape(self, shape: Sequence[int]) -> BatchedRef:
        """Another shape for the same elements."""
        shape = tuple(shape)
        if -1 in shape:
            known = prod(s for s in shape if s != -1)
            shape = tuple(self.size // known if s == -1 else s for s in shape)
        return self._of(self.inner.reshape((self.b.count, *shape) if self.batched else shape))

    def contiguous(self) -> BatchedRef:
        """The same elements in row-major order from the start of a value of their own."""
        return self._of(self.inner.contiguous())

    def in_front(self) -> Ref:
        """With the batch in front in any case."""
        inner = self.inner
        return inner if self.batched else inner.unsqueeze(0).expand((self.b.count, *inner.shape))


class BatchedBuilder(Builder):
    """The array language over ``count`` examples at once; makes its values with ``base``.

    ``random``: "same" draws serve all examples, "different" ones each its own; "error" raises RuntimeError.
    """

    lifts = True

    def __init__(self, base: Builder, count: int, random: str) -> None:
        super().__init__()
        self.base = base
        self.count = count
        self.random = random

    def wrap(self, ref: Ref, batched: bool) -> BatchedRef:
        """A reference for the lowering function."""
        return BatchedRef(self, ref, batched)

    # -- sources ----------------------------------------------------------------------------------------------------
    def const(self, value: complex, dtype: dtypes.dtype, shape: tuple[int, ...] = ()) -> Ref:
        """A number, the same for all."""
        return self.wrap(self.base.const(value, dtype, shape), False)

    def empty(self, shape: tuple[int, ...], dtype: dtypes.dtype) -> Ref:
        """Memory to be written."""
        return self.wrap(self.base.empty(shape, dtype), False)

    def iota(self, shape: tuple[int, ...], dim: int) -> Ref:
        """Positions, the same for all."""
        return self.wrap(self.base.iota(shape, dim), False)

    # -- computing --------------------------------------------------------------------------------------------------
    def pw(self, fn: str, *operands: Any, dtype: dtypes.dtype | None = None) -> Ref:
        """A scalar function."""
        refs = [o for o in operands if isinstance(o, BatchedRef)]
        batched = any(r.batched for r in refs)
        if not batched:
            return self.wrap(self.base.pw(fn, *(getattr(o, "inner", o) for o in operands), dtype=dtype), False)
        shape = broadcast(*(r.shape for r in refs))
        inner = [
            o if not isinstance(o, BatchedRef) else o.expand(shape).inner if o.batched else o.inner for o in operands
        ]
        return self.wrap(self.base.pw(fn, *inner, dtype=dtype), True)

    def random_number(self, fn: str, position: Ref, seed: Ref, offset: Ref) -> Ref:
        """Random numbers; with "different" each example has a key of its own."""
        if self.random == "error":
            raise RuntimeError(
                "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
                "'different' "
                "randomness flags on vmap or perform the randomness operation out of vmap"
            )
        if self.random == "different":
            number = self.base.iota((self.count,), 0).cast(dtypes.uint64)
            keys = self.base.pw("mul", number, self.base.const(_GOLDEN, dtypes.uint64))
            for _ in range(seed.ndim):
                keys = keys.unsqueeze(keys.ndim)
            seed = self.pw("add", seed, self.wrap(keys, True))
        return self.pw(fn, position, seed, offset)

    def reduce(self, fn: str, x: Ref, dims: Sequence[int], keepdim: bool = False) -> Ref:
        """Combine along dimensions of one example."""
        dims = [d % x.ndim for d in dims]
        shift = int(x.batched)
        return self.wrap(self.base.reduce(fn, x.inner, [d + shift for d in dims], keepdim), x.batched)

    def take(self, source: Ref, index: Ref) -> Ref:
        """Elements at flat positions of one example."""
        if not source.batched:
            return self.wrap(self.base.take(source.inner, index.inner), index.batched)
        whole = source.inner.contiguous()
        steps = self.base.iota((self.count, *(1,) * index.ndim), 0) * source.size
        where = self.base.pw("add", index.in_front(), steps)
        return self.wrap(self.base.take(whole, where), True)

    def write(self, base: Ref, value: Ref, view: View) -> Ref:
        """Store through a view of one example."""
        if not (base.batched or value.batched):
            return self.wrap(self.base.write(base.inner, value.inner, view), False)
        size = base.size
        val = base.inner.val
        if not base.batched and val.kind == "const" and val.attrs is None:
            whole = self.base.empty((self.count * size,), base.dtype)
        else:
            whole = base.in_front().reshape((self.count * size,))
        value = value.expand(view.shape).in_front()
        wide = View((self.count, *view.shape), (size, *view.strides), view.offset)
        return self.wrap(self.base.write(whole, value, wide).reshape((self.count, size)), True)

    def bitcast(self, x: Ref, dtype: dtypes.dtype) -> Ref:
        """The bytes under another dtype."""
        found = self.base.bitcast(x.inner, dtype)
        return self.wrap(found.reshape((self.count, -1)) if x.batched else found, x.batched)

    def kernel(self, attrs: Any, operands: Sequence[Ref], outputs: Sequence[tuple]) -> list[Ref]:
        """A hand-written kernel: once an example."""
        return self._each(lambda refs: self.base.kernel(attrs, refs, outputs), operands, outputs)

    def host(
        self, function: Callable, operands: Sequence[Ref], outputs: Sequence[tuple], name: str = "host"
    ) -> list[Ref]:
        """A NumPy function: one call that goes over the examples."""
        if not any(o.batched for o in operands):
            return [self.wrap(r, False) for r in self.base.host(function, [o.inner for o in operands], outputs, name)]
        flags = [o.batched for o in operands]
        count = self.count

        def over(*arrays: np.ndarray) -> tuple:
            rows = [function(*(a[i] if f else a for a, f in zip(arrays, flags))) for i in range(count)]
            return tuple(np.stack(column) for column in zip(*rows))

        wide = [((count, *shape), dtype) for shape, dtype in outputs]
        return [self.wrap(r, True) for r in self.base.host(over, [o.inner for o in operands], wide, name)]

    def _each(self, run: Callable, operands: Sequence[Ref], outputs: Sequence[tuple]) -> list[Ref]:
        if not any(o.batched for o in operands):
            return [self.wrap(r, False) for r in run([o.inner for o in operands])]
        whole = [self.base.empty((self.count * prod(shape),), dtype) for shape, dtype in outputs]
        for i in range(self.count):
            found = run([o.inner.select(0, i) if o.batched else o.inner for o in operands])
            for k, (r, (shape, _)) in enumerate(zip(found, outputs)):
                if r.size:
                    whole[k] = self.base.write(whole[k], r, View(tuple(shape), row_major(tuple(shape)), i * r.size))
        return [self.wrap(w.reshape((self.count, *shape)), True) for w, (shape, _) in zip(whole, outputs)]

    def product(self, lower: Callable, x: Ref, y: Ref) -> Ref:
        """Matrix product (batch, m, k) @ (batch, k, n): the examples join the batch, or the rows of a shared factor."""
        count = self.count
        batch, m, k = x.shape
        n = y.shape[2]
        if not (x.batched or y.batched):
            return self.wrap(lower(self.base, x.inner, y.inner), False)
        if batch == 1 and not y.batched:
            return self.wrap(
                lower(self.base, x.inner.reshape((1, count * m, k)), y.inner).reshape((count, 1, m, n)), True
            )
        left, right = (r.in_front().reshape((count * batch, *r.shape[1:])) for r in (x, y))
        return self.wrap(lower(self.base, left, right).reshape((count, batch, m, n)), True)
