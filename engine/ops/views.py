"""Views: other shapes, orders and parts of the same storage."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from ..graph.spec import Size, Spec, spec
from ..graph.view import reshape_strides, row_major
from .op import Op
from .publish import function
from .view_gradients import scatter_view
from .view_op import ViewOp


# -- arguments --------------------------------------------------------------------------------------------------------
def wrap_dim(dim: Any, ndim: int) -> int:
    """Non-negative dimension. Raises IndexError as torch (0-dim tensors accept -1 and 0)."""
    span = ndim or 1
    if not -span <= dim < span:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-span}, {span - 1}], but got {dim})")
    return int(dim) % span


def sizes_of(args: tuple, name: str = "view") -> tuple[int, ...]:
    """A shape from ``f(2, 3)`` or ``f((2, 3))`` style arguments."""
    if len(args) == 1 and isinstance(args[0], (tuple, list, Size)):
        args = tuple(args[0])
    out = []
    for a in args:
        if isinstance(a, bool) or not isinstance(a, int):
            if isinstance(a, Tensor) and a._spec.numel == 1 and not a._spec.floating:
                a = int(a.item())
            elif hasattr(a, "__index__") and not isinstance(a, Tensor):
                a = a.__index__()
            else:
                raise TypeError(
                    f"{name}(): argument 'size' must be tuple of ints, but found element of type {type(a).__name__}"
                )
        out.append(a)
    return tuple(out)


def infer_shape(shape: tuple[int, ...], numel: int) -> tuple[int, ...]:
    """Replace a -1. Raises RuntimeError as torch for shapes that do not fit."""
    if -1 not in shape:
        if prod(shape) != numel or any(s < 0 for s in shape):
            raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
        return shape
    if shape.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    known = prod(s for s in shape if s != -1)
    if known == 0 and numel == 0:
        raise RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified dimension size -1 "
            f"can be "
            f"any value and is ambiguous"
        )
    if known <= 0 or numel % known:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    return tuple(numel // known if s == -1 else s for s in shape)


# -- reshaping --------------------------------------------------------------------------------------------------------
def _view_strides(x: Spec, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    if x.numel == 0 or x.contiguous:
        return row_major(shape)
    return reshape_strides(tuple(x.shape), x.stride, shape)


def _view_rule(x: Spec, shape: tuple[int, ...]) -> Spec:
    strides = _view_strides(x, shape)
    if strides is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        )
    return x.like(shape, strides, x.offset)


def _reshape_back(ctx: Any, g: Tensor) -> tuple:
    return (g.reshape(ctx.specs[0].shape),)


_view = ViewOp("view", _view_rule, _reshape_back)


@function(torch=False)
def view(self: Tensor, *shape: Any, dtype: Any = None, size: Any = None) -> Tensor:
    """The same elements under another shape (no copy), or the same bytes under another dtype."""
    if dtype is not None or (len(shape) == 1 and isinstance(shape[0], dtypes.dtype)):
        return _view_dtype(self, dtype or shape[0])
    seen = self._spec
    return _view(self, (infer_shape(sizes_of(shape if size is None else (size,), "view"), seen.numel),))


def _dtype_rule(x: Spec, dtype: dtypes.dtype) -> Spec:
    from_size, to_size = x.dtype.itemsize, dtype.itemsize
    if from_size == to_size:
        return spec(dtype, x.device, tuple(x.shape), x.stride, x.offset)
    if x.ndim == 0:
        raise RuntimeError(f"self.dim() cannot be 0 to view {x.dtype} as {dtype} (different element sizes)")
    if x.stride[-1] != 1:
        raise RuntimeError(
            f"self.stride(-1) must be 1 to view {x.dtype} as {dtype} (different element sizes), but got {x.stride[-1]}"
        )
    nbytes = x.shape[-1] * from_size
    if nbytes % to_size:
        raise RuntimeError(
            f"self.size(-1) must be divisible by {to_size // from_size} to view {x.dtype} as {dtype} (different "
            f"element "
            f"sizes), but got {x.shape[-1]}"
        )
    strides = tuple(s * from_size // to_size for s in x.stride[:-1]) + (1,)
    return spec(dtype, x.device, (*x.shape[:-1], nbytes // to_size), strides, x.offset * from_size // to_size)


_bits = ViewOp("view_dtype", _dtype_rule, lambda ctx, g: (None,))


def _view_dtype(x: Tensor, dtype: dtypes.dtype) -> Tensor:
    """The same bytes under another dtype; not part of the record, as in PyTorch."""
    if dtype is x._spec.dtype:
        return x
    return _bits(x.detach() if x._rg else x, (dtype,))


_contiguous = Op(
    "clone",
    lambda x, shape: (shape, x.dtype),
    lambda b, x, shape: x.reshape(shape),
    _reshape_back,
    grad_name="UnsafeViewBackward0",
)


@function()
def reshape(input: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    """The same elements under another shape; a view where strides allow, else a copy."""
    seen = input._spec
    size = infer_shape(sizes_of(sizes if shape is None else (shape,), "reshape"), seen.numel)
    if _view_strides(seen, size) is not None:
        return _view(input, (size,))
    return _contiguous((input,), (size,))


@function()
def reshape_as(input: Tensor, other: Tensor) -> Tensor:
    """Reshape to another tensor's shape."""
    return reshape(input, tuple(other._spec.shape))


@function(torch=False)
def view_as(input: Tensor, other: Tensor) -> Tensor:
    """View with another tensor's shape."""
    return view(input, tuple(other._spec.shape))


@function()
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge dimensions start_dim..end_dim."""
    shape = input._spec.shape
    if not shape:
        return reshape(input, (1,))
    start, end = wrap_dim(start_dim, len(shape)), wrap_dim(end_dim, len(shape))
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if start == end:
        return input
    return reshape(input, (*shape[:start], prod(shape[start : end + 1]), *shape[end + 1 :]))


@function()
def ravel(input: Tensor) -> Tensor:
    """One dimension, contiguous."""
    return reshape(input, (-1,))


@function()
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Split dimension ``dim`` into ``sizes`` (one may be -1)."""
    d = wrap_dim(dim, input._spec.ndim)
    shape = input._spec.shape
    try:
        inner = infer_shape(tuple(sizes), shape[d])
    except RuntimeError:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {dim} ({shape[d]}) in the "
            f"input "
            f"tensor"
        ) from None
    return view(input, (*shape[:d], *inner, *shape[d + 1 :]))


# -- order of dimensions ----------------------------------------------------------------------------------------------
def _permute_rule(x: Spec, dims: tuple[int, ...]) -> Spec:
    return x.like(tuple(x.shape[d] for d in dims), tuple(x.stride[d] for d in dims), x.offset)


def _inverse(dims: tuple[int, ...]) -> tuple[int, ...]:
    out = [0] * len(dims)
    for i, d in enumerate(dims):
        out[d] = i
    return tuple(out)


_permute = ViewOp("permute", _permute_rule, lambda ctx, g: (_permute(g, (_inverse(ctx.static[0]),)),))
_transpose = ViewOp("transpose", _permute_rule, lambda ctx, g: (_transpose(g, (_inverse(ctx.static[0]),)),))
_t = ViewOp("t", _permute_rule, lambda ctx, g: (_t(g, ctx.static),), grad_name="TBackward0")


@function()
def permute(input: Tensor, *order: Any, dims: Any = None) -> Tensor:
    """Dimension i of the result is dimension dims[i]."""
    ndim = input._spec.ndim
    given = sizes_of(order if dims is None else (dims,), "permute")
    if len(given) != ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering "
            f"of dimensions i.e. input.dim() = {ndim} is not equal to len(dims) = {len(given)}"
        )
    order = tuple(wrap_dim(d, ndim) for d in given)
    if len(set(order)) != ndim:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return _permute(input, (order,))


@function(aliases=("swapaxes", "swapdims"))
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Swap two dimensions."""
    ndim = input._spec.ndim
    a, b = wrap_dim(dim0, ndim), wrap_dim(dim1, ndim)
    order = list(range(ndim))
    if ndim:
        order[a], order[b] = order[b], order[a]
    return _transpose(input, (tuple(order),))


@function()
def t(input: Tensor) -> Tensor:
    """Transpose of a matrix; vectors and scalars as they are."""
    ndim = input._spec.ndim
    if ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {ndim}D")
    return _t(input, ((1, 0) if ndim == 2 else tuple(range(ndim)),))


@function(aliases=("moveaxis",))
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Move dimensions to new places; the others keep their order."""
    ndim = input._spec.ndim
    src = (source,) if isinstance(source, int) else tuple(source)
    dst = (destination,) if isinstance(destination, int) else tuple(destination)
    if len(src) != len(dst):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(src)} dims) should contain the same number "
            f"of dims "
            f"as destination ({list(dst)} dims)"
        )
    src, dst = [wrap_dim(d, ndim) for d in src], [wrap_dim(d, ndim) for d in dst]
    for what, dims in (("source", src), ("destination", dst)):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{what}` ({list(dims)})")
    order = [-1] * ndim
    for s, d in zip(src, dst):
        order[d] = s
    rest = iter(d for d in range(ndim) if d not in src)
    return _permute(input, (tuple(o if o >= 0 else next(rest) for o in order),))


@function()
def adjoint(input: Tensor) -> Tensor:
    """Conjugate transpose of the last two dimensions."""
    out = transpose(input, -2, -1)
    return out.conj() if input._spec.dtype.is_complex else out


# -- size-1 dimensions ------------------------------------------------------------------------------------------------
_unsqueeze = ViewOp(
    "unsqueeze",
    lambda x, d: x.like(
        (*x.shape[:d], 1, *x.shape[d:]),
        (*x.stride[:d], x.stride[d] * x.shape[d] if d < x.ndim else 1, *x.stride[d:]),
        x.offset,
    ),
    lambda ctx, g: (_squeeze(g, ((ctx.static[0],),)),),
)


@function()
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A new dimension of size 1 at ``dim``."""
    ndim = input._spec.ndim
    if not -ndim - 1 <= dim <= ndim:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-ndim - 1}, {ndim}], but got {dim})")
    return _unsqueeze(input, (dim if dim >= 0 else dim + ndim + 1,))


def _squeeze_rule(x: Spec, dims: tuple[int, ...]) -> Spec:
    keep = [d for d in range(x.ndim) if d not in dims]
    return x.like(tuple(x.shape[d] for d in keep), tuple(x.stride[d] for d in keep), x.offset)


_squeeze, _squeeze_one, _squeeze_some = (
    ViewOp("squeeze", _squeeze_rule, _reshape_back, f"SqueezeBackward{n}") for n in range(3)
)


@function()
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Drop dimensions of size 1: all, or those named that have size 1."""
    seen, op = input._spec, _squeeze
    if dim is None:
        dims = range(seen.ndim)
    elif isinstance(dim, (tuple, list)):
        dims, op = [wrap_dim(d, seen.ndim) for d in dim], _squeeze_some
    else:
        dims, op = (wrap_dim(dim, seen.ndim),), _squeeze_one
    return op(input, (tuple(d for d in dims if seen.ndim and seen.shape[d] == 1),))


# -- broadcasting -----------------------------------------------------------------------------------------------------
def _expand_rule(x: Spec, shape: tuple[int, ...]) -> Spec:
    lead = len(shape) - x.ndim
    if lead < 0:
        raise RuntimeError(
            f"expand({x.dtype}{{{list(x.shape)}}}, size={list(shape)}): the number of sizes provided ({len(shape)}) "
            f"must be "
            f"greater or equal to the number of dimensions in the tensor ({x.ndim})"
        )
    sizes, strides = [], []
    for i, want in enumerate(shape):
        if i < lead:
            if want < 0:
                raise RuntimeError(
                    f"The expanded size of the tensor ({want}) isn't allowed in a leading, non-existing dimension {i}"
                )
            sizes.append(want)
            strides.append(0)
            continue
        have = x.shape[i - lead]
        want = have if want == -1 else want
        if have != want and have != 1:
            raise RuntimeError(
                f"The expanded size of the tensor ({want}) must match the existing size ({have}) at non-singleton "
                f"dimension "
                f"{i}.  Target sizes: {list(shape)}.  Tensor sizes: {list(x.shape)}"
            )
        sizes.append(want)
        strides.append(x.stride[i - lead] if have == want else 0)
    return x.like(tuple(sizes), tuple(strides), x.offset)


_expand = ViewOp("expand", _expand_rule, lambda ctx, g: (g,))


@function(torch=False)
def expand(self: Tensor, *sizes: Any, size: Any = None, implicit: bool = False) -> Tensor:
    """Broadcast to a larger shape without copying; -1 keeps a size."""
    return _expand(self, (sizes_of(sizes if size is None else (size,), "expand"),))


@function(torch=False)
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """Broadcast to another tensor's shape."""
    return _expand(self, (tuple(other._spec.shape),))


@function()
def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """Broadcast to ``size``."""
    return _expand(input, (sizes_of((size,), "broadcast_to"),))


# -- parts ------------------------------------------------------------------------------------------------------------
def _slice_rule(x: Spec, dim: int, start: int, stop: int, step: int) -> Spec:
    length = max(0, -(-(stop - start) // step))
    shape = (*x.shape[:dim], length, *x.shape[dim + 1 :])
    strides = (*x.stride[:dim], x.stride[dim] * step, *x.stride[dim + 1 :])
    return x.like(shape, strides, x.offset + start * x.stride[dim] if length else x.offset)


def _overlaps(s: Spec) -> bool:
    """Whether two elements of a view may lie at one place."""
    end = 0
    for stride, size in sorted((st, n) for st, n in zip(s.stride, s.shape) if n != 1):
        if stride <= end:
            return True
        end += stride * (size - 1)
    return False


def _geometry_back(ctx: Any, g: Tensor) -> tuple:
    base, seen = ctx.specs[0], ctx.call.out
    if _overlaps(base):  # an expanded base: each of its elements has a gradient of its own
        base = spec(base.dtype, base.device, tuple(base.shape))
        seen = ctx.op.rule(base, *ctx.static)
    return (scatter_view(g, base, seen),)


_slice = ViewOp("slice", _slice_rule, _geometry_back)
_select = ViewOp(
    "select",
    lambda x, d, i: x.like(
        (*x.shape[:d], *x.shape[d + 1 :]), (*x.stride[:d], *x.stride[d + 1 :]), x.offset + i * x.stride[d]
    ),
    _geometry_back,
)


def slice_dim(x: Tensor, dim: int, start: Any = None, stop: Any = None, step: int = 1) -> Tensor:
    """``x[start:stop:step]`` along a dimension. Raises ValueError for a step below 1."""
    if step <= 0:
        raise ValueError("step must be greater than zero")
    start, stop, step = slice(start, stop, step).indices(x._spec.shape[dim])
    return _slice(x, (dim, start, max(stop, start), step))


@function()
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """One position along a dimension, which disappears."""
    seen = input._spec
    if not seen.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, seen.ndim)
    n = seen.shape[d]
    if isinstance(index, Tensor):
        index = int(index.item())
    if not -n <= index < n:
        raise IndexError(f"select(): index {index} out of range for tensor of size {list(seen.shape)} at dimension {d}")
    return _select(input, (d, index % n))


@function()
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """``length`` positions from ``start`` along a dimension."""
    seen = input._spec
    if not seen.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, seen.ndim)
    if isinstance(start, Tensor):
        start = int(start.item())
    n = seen.shape[d]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -n <= start <= n:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-n}, {n}], but got {start})")
    start = start + n if start < 0 else start
    if start + length > n:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return _slice(input, (d, start, start + length, 1))


def _diagonal_rule(x: Spec, offset: int, d1: int, d2: int) -> Spec:
    rows, cols = x.shape[d1], x.shape[d2]
    length = max(0, min(rows, cols - offset) if offset >= 0 else min(rows + offset, cols))
    start = (offset * x.stride[d2] if offset >= 0 else -offset * x.stride[d1]) if length else 0
    rest = [d for d in range(x.ndim) if d not in (d1, d2)]
    shape = (*(x.shape[d] for d in rest), length)
    return x.like(shape, (*(x.stride[d] for d in rest), x.stride[d1] + x.stride[d2]), x.offset + start)


_diagonal = ViewOp("diagonal", _diagonal_rule, _geometry_back)


@function(linalg=False)
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """View of a diagonal, as the last dimension."""
    ndim = input._spec.ndim
    d1, d2 = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    if d1 == d2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return _diagonal(input, (offset, d1, d2))


def _unfold_rule(x: Spec, dim: int, size: int, step: int) -> Spec:
    if not x.ndim:
        return x.like((size,), (1,), x.offset)
    count = (x.shape[dim] - size) // step + 1
    return x.like(
        (*x.shape[:dim], count, *x.shape[dim + 1 :], size),
        (*x.stride[:dim], x.stride[dim] * step, *x.stride[dim + 1 :], x.stride[dim]),
        x.offset,
    )


def _unfold_back(ctx: Any, g: Tensor) -> tuple:
    """Windows overlap: each element sums the gradients of the windows it is in."""
    x, (dim, size, step) = ctx.specs[0], ctx.static
    position = ARANGE(x.shape[dim] if x.ndim else 1).unfold(0, size, step).reshape(-1)
    flat = g.movedim(-1, dim + 1 if x.ndim else 0).flatten(dim, dim + 1) if x.ndim else g
    return (ZEROS(tuple(x.shape), x.dtype, x.device).index_add(dim, position, flat),)


ARANGE: Any = None
ZEROS: Any = None
_unfold = ViewOp("unfold", _unfold_rule, _unfold_back)


@function(torch=False)
def unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """All windows of ``size`` along a dimension, ``step`` apart, as a new last dimension."""
    seen = self._spec
    d = wrap_dim(dimension, seen.ndim)
    n = seen.shape[d] if seen.ndim else 1
    if size > n:
        raise RuntimeError(f"maximum size for tensor at dimension {d} is {n} but size is {size}")
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    return _unfold(self, (d, size, step))


def _strided_rule(x: Spec, shape: tuple, strides: tuple, offset: int) -> Spec:
    return x.like(shape, strides, offset)


def _strided_back(ctx: Any, g: Tensor) -> tuple:
    """By place in the storage: elements that lie at one place share a gradient."""
    base, seen = ctx.specs[0], ctx.call.out
    inside = base.offset <= seen.offset and seen.reach() <= base.reach()
    shared = _overlaps(base)
    if inside and not shared and not _overlaps(seen):
        return (scatter_view(g, base, seen),)
    start = min(base.offset, seen.offset)
    places = ARANGE(max(base.reach(), seen.reach()) - start)

    def at(s: Spec) -> Tensor:
        return places.as_strided(tuple(s.shape), s.stride, s.offset - start).reshape(-1)

    flat = ZEROS((places._spec.numel,), g._spec.dtype, g._spec.device).index_add(0, at(seen), g.reshape(-1))
    out = flat[at(base)].reshape(base.shape)
    if shared:
        count = ZEROS((places._spec.numel,), g._spec.dtype, g._spec.device)
        count = count.index_add(0, at(base), ZEROS((base.numel,), g._spec.dtype, g._spec.device) + 1)
        out = out / count[at(base)].reshape(base.shape)
    return (out,)


_as_strided = ViewOp("as_strided", _strided_rule, _strided_back)


@function()
def as_strided(input: Tensor, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None) -> Tensor:
    """Any strided view of the storage. Raises RuntimeError when it reaches beyond the storage."""
    if len(size) != len(stride):
        raise RuntimeError(
            f"mismatch in length of strides and shape: size has {len(size)} dims, stride has {len(stride)}"
        )
    offset = input._spec.offset if storage_offset is None else storage_offset
    out = input._spec.like(tuple(size), tuple(stride), offset)
    if any(s < 0 for s in stride):
        raise RuntimeError(f"as_strided: Negative strides are not supported at the moment, got strides: {list(stride)}")
    held = input._storage.nbytes // input._spec.dtype.itemsize
    if out.numel and out.reach() > held:
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, and itemsize "
            f"{out.dtype.itemsize} requiring a storage size of {out.reach() * out.dtype.itemsize} are out of bounds "
            f"for "
            f"storage of size {held * out.dtype.itemsize}"
        )
    return _as_strided(input, (tuple(size), tuple(stride), offset))


_alias = ViewOp("alias", lambda x: x, lambda ctx, g: (g,))


def alias_of(x: Tensor) -> Tensor:
    """A view that shows the same."""
    return _alias(x)
