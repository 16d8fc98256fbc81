"""Joining and splitting: cat, stack, split, chunk, repeat, tile, flip, roll."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.mode import mode
from ..autograd.variable import Tensor
from ..autograd.variable import view as see
from ..graph.spec import Spec, spec
from ..graph.view import View, row_major
from . import reduce as reduce_module
from .creation import cast, from_array, zeros_of
from .op import Op
from .publish import function
from .view_op import MultiViewOp
from .views import wrap_dim

_FEW = 3  # views from which stacking them is one gather


# -- cat, stack -------------------------------------------------------------------------------------------------------
def _cat_rule(*args: Any) -> Any:
    *specs, dim = args
    first = specs[0]
    shape = list(first.shape)
    shape[dim] = sum(s.shape[dim] for s in specs)
    return tuple(shape), first.dtype


def _cat_lower(b: Any, *args: Any) -> Any:
    *refs, dim = args
    shape = list(refs[0].shape)
    shape[dim] = sum(r.shape[dim] for r in refs)
    strides = row_major(tuple(shape))
    out = b.empty((prod(shape),), refs[0].dtype)
    at = 0
    for r in refs:
        if r.size:
            out = b.write(out, r, View(r.shape, strides, at * strides[dim]))
        at += r.shape[dim]
    return out.reshape(tuple(shape))


def _cat_grad(ctx: Any, g: Tensor) -> tuple:
    dim = ctx.static[0]
    at, out = 0, []
    for s, wanted in zip(ctx.specs, ctx.needs):
        out.append(g.narrow(dim, at, s.shape[dim]) if wanted else None)
        at += s.shape[dim]
    return tuple(out)


_cat = Op("cat", _cat_rule, _cat_lower, _cat_grad)


@function(out=True, method=False, aliases=("concat", "concatenate"))
def cat(tensors: Sequence[Tensor], dim: int = 0, *, axis: int | None = None) -> Tensor:
    """Join tensors along an existing dimension."""
    dim = dim if axis is None else axis
    if isinstance(tensors, Tensor):
        raise TypeError("cat(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
    tensors = list(tensors)
    if not tensors:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(t).__name__}")
        if not t._spec.ndim:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
    full = [t for t in tensors if tuple(t._spec.shape) != (0,)] or tensors[:1]
    ndim = full[0]._spec.ndim
    d = wrap_dim(dim, ndim)
    for i, t in enumerate(full[1:], 1):
        _check_sizes(full[0]._spec, t._spec, d, i)
    dtype = dtypes.result_type([(t._spec.dtype, dtypes.Category.DIMENSIONED) for t in tensors])
    return _cat([cast(t, dtype) for t in full], (d,))


def _check_sizes(first: Spec, s: Spec, dim: int, number: int) -> None:
    if s.ndim != first.ndim:
        raise RuntimeError(f"Tensors must have same number of dimensions: got {first.ndim} and {s.ndim}")
    for d, (a, b) in enumerate(zip(first.shape, s.shape)):
        if d != dim and a != b:
            raise RuntimeError(
                f"Sizes of tensors must match except in dimension {dim}. Expected size {a} but got size {b} for "
                f"tensor number "
                f"{number} in the list."
            )


reduce_module.CAT = cat


def _rows_lower(b: Any, flat: Any, offsets: Any, shape: tuple[int, ...], stride: tuple[int, ...]) -> Any:
    full = (offsets.shape[0], *shape)
    position = offsets.reshape((full[0],) + (1,) * len(shape)).expand(full)
    for d, (n, step) in enumerate(zip(shape, stride)):
        if n > 1 and step:
            position = position + b.iota(full, d + 1) * step
    return b.take(flat, position)


_rows = Op("stack_rows", lambda flat, offsets, shape, stride: ((offsets.shape[0], *shape), flat.dtype), _rows_lower)


def _rows_of_one_storage(tensors: list[Tensor], dim: int) -> Tensor | None:
    """Stacked equal views of one storage, such as samples of a data set: a gather, the same op wherever they lie."""
    first = tensors[0]
    seen, storage = first._spec, first._storage
    if len(tensors) < _FEW or dim or storage.dtype is not seen.dtype:
        return None
    for t in tensors:
        s = t._spec
        if t._storage is not storage or s.stride != seen.stride or s.dtype is not seen.dtype or (t._rg and mode.grad):
            return None
    flat = see(first, spec(seen.dtype, seen.device, (storage.size,)))
    offsets = from_array(np.array([t._spec.offset for t in tensors], np.int64), dtypes.int64, seen.device)
    return _rows((flat, offsets), (tuple(seen.shape), seen.stride))


@function(out=True, method=False)
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors of one shape along a new dimension."""
    tensors = list(tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    shape = tensors[0]._spec.shape
    for i, t in enumerate(tensors):
        if t._spec.shape != shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                f"{list(t._spec.shape)} at "
                f"entry {i}"
            )
    d = wrap_dim(dim, len(shape) + 1)
    rows = _rows_of_one_storage(tensors, d)
    if rows is not None:
        return rows
    return cat([t.unsqueeze(d) for t in tensors], d)


# -- splitting --------------------------------------------------------------------------------------------------------
def _part(x: Spec, dim: int, start: int, length: int) -> Spec:
    shape = (*x.shape[:dim], length, *x.shape[dim + 1 :])
    return x.like(shape, x.stride, x.offset + start * x.stride[dim])


def _split_rule(x: Spec, dim: int, sizes: tuple[int, ...]) -> list[Spec]:
    out, at = [], 0
    for n in sizes:
        out.append(_part(x, dim, at, n))
        at += n
    return out


def _split_grad(ctx: Any, *gs: Tensor | None) -> tuple:
    like = next(g._spec for g in gs if g is not None)
    parts = [g if g is not None else zeros_of(tuple(s.shape), like.dtype, like.device) for g, s in zip(gs, ctx.outs)]
    return (cat(parts, ctx.static[0]),)


def _unbind_rule(x: Spec, dim: int) -> list[Spec]:
    shape = (*x.shape[:dim], *x.shape[dim + 1 :])
    stride = (*x.stride[:dim], *x.stride[dim + 1 :])
    return [x.like(shape, stride, x.offset + i * x.stride[dim]) for i in range(x.shape[dim])]


def _unbind_grad(ctx: Any, *gs: Tensor | None) -> tuple:
    like = next(g._spec for g in gs if g is not None)
    rows = [g if g is not None else zeros_of(tuple(s.shape), like.dtype, like.device) for g, s in zip(gs, ctx.outs)]
    return (stack(rows, ctx.static[0]),)


_split = MultiViewOp("split", _split_rule, _split_grad, "SplitBackward0")
_split_sizes = MultiViewOp("split_with_sizes", _split_rule, _split_grad, "SplitWithSizesBackward0")
_unbind = MultiViewOp("unbind", _unbind_rule, _unbind_grad, "UnbindBackward0")


@function()
def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts: of one size (the last may be smaller) or of the sizes given."""
    if isinstance(split_size_or_sections, (list, tuple)):
        return split_with_sizes(tensor, split_size_or_sections, dim)
    if not tensor._spec.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    d = wrap_dim(dim, tensor._spec.ndim)
    n = tensor._spec.shape[d]
    size = int(split_size_or_sections)
    if size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
    if size == 0 and n:
        raise RuntimeError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}")
    sizes = tuple([min(size, n - at) for at in range(0, n, size)]) if n else (0,)
    return _split(tensor, (d, sizes))


@function()
def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive parts of the given sizes."""
    if not input._spec.ndim:
        raise RuntimeError("split_with_sizes expects at least a 1-dimensional tensor")
    d = wrap_dim(dim, input._spec.ndim)
    n = input._spec.shape[d]
    sizes = tuple([int(size) for size in split_sizes])
    if any([size < 0 for size in sizes]):
        raise RuntimeError(
            f"split_with_sizes expects split_sizes have only non-negative entries, but got split_sizes={list(sizes)}"
        )
    if sum(sizes) != n:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at dimension {dim}), "
            f"but got "
            f"split_sizes={list(sizes)}"
        )
    return _split_sizes(input, (d, sizes))


@function()
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` parts of equal size (the last may be smaller)."""
    if not input._spec.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    d = wrap_dim(dim, input._spec.ndim)
    n = input._spec.shape[d]
    size = -(-n // chunks)
    return split(input, size, d) if size else _split_sizes(input, (d, (0,) * chunks))


@function()
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of all positions along a dimension."""
    if not input._spec.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    return _unbind(input, (wrap_dim(dim, input._spec.ndim),))


# -- repeating --------------------------------------------------------------------------------------------------------
def _listed(given: tuple, named: Any) -> tuple:
    """The numbers of ``f(1, 2)``, ``f((1, 2))`` or ``f(name=(1, 2))`` style arguments."""
    if named is not None:
        given = (named,)
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], (tuple, list)) else given


@function(torch=False)
def repeat(self: Tensor, *counts: Any, repeats: Any = None) -> Tensor:
    """Tile along each dimension."""
    times = _listed(counts, repeats)
    shape = self._spec.shape
    lead = len(times) - len(shape)
    if lead < 0:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    full = (1,) * lead + tuple(shape)
    inner = [n for size in full for n in (1, size)]
    wide = [n for count, size in zip(times, full) for n in (count, size)]
    out = self.reshape(inner).expand(*wide)
    return out.reshape([count * size for count, size in zip(times, full)]).clone()


@function()
def tile(input: Tensor, *counts: Any, dims: Any = None) -> Tensor:
    """Repeat; missing leading counts are 1."""
    times = _listed(counts, dims)
    return repeat(input, (1,) * (input._spec.ndim - len(times)) + tuple(times))


def _flip_lower(b: Any, x: Any, dims: tuple[int, ...]) -> Any:
    return x.flip(*dims)


_flip = Op("flip", lambda x, dims: (tuple(x.shape), x.dtype), _flip_lower, lambda ctx, g: (flip(g, ctx.static[0]),))


@function()
def flip(input: Tensor, *axes: Any, dims: Any = None) -> Tensor:
    """Reverse the order along dimensions."""
    given = _listed(axes, dims)
    order = tuple(wrap_dim(d, input._spec.ndim) for d in given)
    if len(set(order)) != len(order):
        raise RuntimeError(f"dim {order[0]} appears multiple times in the list of dims")
    return _flip((input,), (order,))
