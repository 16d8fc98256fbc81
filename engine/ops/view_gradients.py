"""Gradients of views: placed in, taken from and cleared in gradients of the tensors that they show."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..autograd.inplace import AsStridedBackward0, CopySlices
from ..autograd.variable import Tensor
from ..graph.spec import Spec
from ..graph.view import View
from .op import Op


def _span(base: Spec, seen: Spec) -> tuple[int, int]:
    """First element and length (of the base's dtype) of the part of a storage that a view spans, in whole elements of
    either dtype."""
    start, end = base.offset, base.reach()
    step = max(1, seen.dtype.itemsize // base.dtype.itemsize)
    start -= start % step
    return start, -(-(end - start) // step) * step


def _in_unit(b: Any, flat: Any, dtype: dtypes.dtype) -> Any:
    """A flat value under another dtype of its bytes."""
    return flat if flat.dtype is dtype else b.bitcast(flat, dtype)


def _place(base: Spec, seen: Spec, start: int) -> View:
    """Where ``seen`` lies in the span of ``base``, in elements of its own dtype."""
    offset = seen.offset - start * base.dtype.itemsize // seen.dtype.itemsize
    return View(tuple(seen.shape), seen.stride, offset)


def _units(g: Any, base: Spec, seen: Spec) -> tuple[dtypes.dtype, dtypes.dtype]:
    """dtypes in which gradients of the base and the view lie: their own where these differ in kind, else that of g."""
    return (g.dtype, g.dtype) if base.dtype is seen.dtype else (base.dtype, seen.dtype)


def _flat(b: Any, g: Any, base: Spec, start: int, length: int) -> Any:
    """The span of a base with its gradient ``g`` in place and zeros in the gaps."""
    if base.contiguous and base.numel == length:
        return g.reshape((length,)).contiguous()
    return b.write(b.const(0, g.dtype, (length,)), g, View(tuple(base.shape), base.stride, base.offset - start))


def _scatter_lower(b: Any, g: Any, base: Spec, seen: Spec) -> Any:
    """Zeros of the base's geometry with ``g`` added at the place of the view ``seen``."""
    start, length = _span(base, seen)
    whole, unit = _units(g, base, seen)
    zeros = b.const(0, unit, (length * whole.itemsize // unit.itemsize,))
    flat = _in_unit(b, b.write(zeros, g.cast(unit), _place(base, seen, start)), whole)
    return flat.as_strided(tuple(base.shape), base.stride, base.offset - start)


_scatter = Op(
    "view_backward",
    lambda g, base, seen: (tuple(base.shape), _units(g, base, seen)[0]),
    _scatter_lower,
    lambda ctx, h: (gather_view(h, *ctx.static),),
)


def _gather_lower(b: Any, g: Any, base: Spec, seen: Spec) -> Any:
    """Part of a gradient of the base's shape that belongs to the view ``seen``."""
    start, length = _span(base, seen)
    whole, unit = _units(g, base, seen)
    flat = _in_unit(b, _flat(b, g.cast(whole), base, start, length), unit)
    return flat.as_strided(*_place(base, seen, start))


_gather = Op(
    "view_gather",
    lambda g, base, seen: (tuple(seen.shape), _units(g, base, seen)[1]),
    _gather_lower,
    lambda ctx, h: (scatter_view(h, *ctx.static),),
)


def _clear_lower(b: Any, g: Any, base: Spec, seen: Spec) -> Any:
    start, length = _span(base, seen)
    whole, unit = _units(g, base, seen)
    flat = _in_unit(b, _flat(b, g.cast(whole), base, start, length), unit)
    zero = b.const(0, unit, tuple(seen.shape))
    flat = _in_unit(b, b.write(flat, zero, _place(base, seen, start)), whole)
    return flat.as_strided(tuple(base.shape), base.stride, base.offset - start)


_clear = Op(
    "view_clear",
    lambda g, base, seen: (tuple(base.shape), _units(g, base, seen)[0]),
    _clear_lower,
    lambda ctx, h: (clear_view(h, *ctx.static),),
)


def scatter_view(g: Tensor, base: Spec, seen: Spec) -> Tensor:
    """Gradient of the base from that of a view without overlaps."""
    return _scatter((g,), (base, seen))


def gather_view(g: Tensor, base: Spec, seen: Spec) -> Tensor:
    """The part of a base's gradient that belongs to a view."""
    return _gather((g,), (base, seen))


def clear_view(g: Tensor, base: Spec, seen: Spec) -> Tensor:
    """A base's gradient with zeros where the view is."""
    return _clear((g,), (base, seen))


AsStridedBackward0.scatter = staticmethod(scatter_view)
CopySlices.gather = staticmethod(gather_view)
CopySlices.clear = staticmethod(clear_view)
