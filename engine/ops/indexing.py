"""Indexing as NumPy and torch have it, gather and scatter, and what is built on them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.inplace import check_inplace
from ..autograd.variable import Tensor
from ..errors import IndexOutOfRange
from ..graph.spec import Spec
from ..graph.view import row_major
from .creation import cast, copy_, from_array, zeros_of
from .op import Op
from .pointwise import broadcast_shapes, is_number
from .publish import function
from .scatter_kernel import scatter_along, scatter_rows
from .storing import put
from .views import _permute, _select, slice_dim, wrap_dim

_INTEGER = ("int64", "int32", "int16", "int8", "uint8")


# -- index arithmetic -------------------------------------------------------------------------------------------------
def checked(b: Any, index: Any, n: int, wrap: bool = True) -> Any:
    """int64 index checked on the device against ``n``; negative ones count from the end (``wrap``) or are errors."""
    i = index.cast(dtypes.int64)
    return b.pw("check", b.where(i < 0, i + n, i) if wrap else i, b.const(n, dtypes.int64))


def host_check(index: Tensor, n: int, dim: int, wrap: bool = True) -> None:
    """Raise IndexError at once where the index's content is on the host anyway."""
    held = index._storage
    if held.host_fresh and held.version == 0 and held.node.buffer is not None and index._spec.numel:
        raw = held.node.buffer.host_array()
        if raw is None:
            return
        values = raw[: held.node.size * held.dtype.itemsize].view(held.dtype.numpy)
        seen = index._spec
        if seen.dtype is not held.dtype:
            return
        if not seen.contiguous or seen.numel != values.size:
            steps = tuple(s * values.itemsize for s in seen.stride)
            values = np.lib.stride_tricks.as_strided(values[seen.offset :], tuple(seen.shape), steps)
        low, high = int(values.min()), int(values.max())
        least = -n if wrap else 0
        if low < least or high >= n:
            bad = low if low < least else high
            raise IndexOutOfRange(f"index {bad} is out of bounds for dimension {dim} with size {n}")


# -- advanced reads ---------------------------------------------------------------------------------------------------
def _index_shape(x: Spec, indices: Sequence[Spec], dims: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Result shape, and where the broadcast index dimensions stand in it."""
    shape = broadcast_shapes(*(i.shape for i in indices))
    adjacent = dims == tuple(range(dims[0], dims[0] + len(dims)))
    at = dims[0] if adjacent else 0
    rest = [n for d, n in enumerate(x.shape) if d not in dims]
    return (*rest[:at], *shape, *rest[at:]), at


def _positions(
    b: Any, x_shape: tuple[int, ...], indices: Sequence[Any], dims: tuple[int, ...], at: int, wrap: bool = True
) -> Any:
    """Flat position in a contiguous array of ``x_shape`` for each element of the result."""
    shape = broadcast_shapes(*(i.shape for i in indices))
    rest = [d for d in range(len(x_shape)) if d not in dims]
    full = (*(x_shape[d] for d in rest[:at]), *shape, *(x_shape[d] for d in rest[at:]))
    steps = row_major(x_shape)
    total = None
    for index, d in zip(indices, dims):
        i = checked(b, index, x_shape[d], wrap)
        i = i.expand(shape)
        for _ in rest[:at]:
            i = i.unsqueeze(0)
        for _ in rest[at:]:
            i = i.unsqueeze(i.ndim)
        term = i * steps[d]
        total = term if total is None else total + term
    for k, d in enumerate(rest):
        place = k if k < at else k + len(shape)
        if x_shape[d] > 1:
            total = total + b.iota(full, place) * steps[d]
    return total.expand(full)


def _index_rule(x: Spec, *args: Any) -> Any:
    *indices, dims, _ = args
    return _index_shape(x, indices, dims)[0], x.dtype


def _index_lower(b: Any, x: Any, *args: Any) -> Any:
    *indices, dims, wrap = args
    adjacent = dims == tuple(range(dims[0], dims[0] + len(dims)))
    at = dims[0] if adjacent else 0
    return b.take(x, _positions(b, x.shape, indices, dims, at, wrap))


def _index_grad(ctx: Any, g: Tensor) -> tuple:
    x = ctx.specs[0]
    indices = ctx.inputs[1:]
    zeros = zeros_of(tuple(x.shape), g._spec.dtype, x.device)
    dims, wrap = ctx.static
    return (_put((zeros, g, *indices), (dims, "add", wrap)), *(None for _ in indices))


class _Index(Op):
    """Reads save the index tensors, however many there are."""

    def record(self, call: Any, tensors: Any, results: Any, static: tuple, scalars: tuple, saves: Any = None) -> None:
        super().record(call, tensors, results, static, scalars, tuple(range(1, len(tensors))))


_index = _Index("index", _index_rule, _index_lower, _index_grad)
_index.shown = lambda edges, static: edges[:1]


# -- advanced writes --------------------------------------------------------------------------------------------------
def _put_lower(b: Any, x: Any, src: Any, *args: Any) -> Any:
    *indices, dims, how, wrap = args
    adjacent = dims == tuple(range(dims[0], dims[0] + len(dims)))
    at = dims[0] if adjacent else 0
    shape = broadcast_shapes(*(i.shape for i in indices))
    if src.size == 0:
        return x
    if adjacent and at == 0 and len(dims) < x.ndim:
        # Whole rows: the trailing dimensions move together.
        lead = x.shape[: len(dims)]
        width = prod(x.shape[len(dims) :])
        src = src.expand((*shape, *x.shape[len(dims) :]))
        if len(dims) == 1:
            return scatter_rows(b, x, lead[0], width, indices[0], src, how, wrap).reshape(x.shape)
        rows = _positions(b, lead, indices, dims, 0, wrap)
        return scatter_rows(b, x, prod(lead), width, rows, src, how).reshape(x.shape)
    if x.ndim == 1:
        return scatter_rows(b, x, x.size, 1, indices[0], src.expand(shape), how, wrap).reshape(x.shape)
    where = _positions(b, x.shape, indices, dims, at, wrap)
    return scatter_rows(b, x, x.size, 1, where, src.expand(where.shape), how).reshape(x.shape)


def _put_grad(ctx: Any, g: Tensor) -> tuple:
    indices = ctx.inputs[2:]
    dims, how, wrap = ctx.static
    dx = g
    if how == "set" and ctx.needs[0]:
        zero = zeros_of((), g._spec.dtype, g._spec.device)
        dx = _put((g, zero.expand(ctx.specs[1].shape), *indices), (dims, "set", wrap))
    return (dx, _index((g, *indices), (dims, wrap)), *(None for _ in indices))


class _Put(_Index):
    def record(self, call: Any, tensors: Any, results: Any, static: tuple, scalars: tuple, saves: Any = None) -> None:
        Op.record(self, call, tensors, results, static, scalars, tuple(range(2, len(tensors))))


_put = _Put("index_put", lambda x, *args: (tuple(x.shape), x.dtype), _put_lower, _put_grad)


# -- x[...] -----------------------------------------------------------------------------------------------------------
def _parse(x: Tensor, key: Any) -> tuple[Tensor, list[Tensor | None]]:
    """Apply the basic part of an index; returns the view and an index tensor (or None) a dimension."""
    items = _items(key)
    used = sum_(_consumes(i) for i in items)
    ndim = x._spec.ndim
    if used > ndim:
        raise IndexError(f"too many indices for tensor of dimension {ndim}")
    if not any(i is Ellipsis for i in items):
        items = [*items, Ellipsis]
    out = x
    advanced: list[Tensor | None] = []
    dim = 0
    for item in items:
        if item is Ellipsis:
            skip = ndim - used
            advanced += [None] * skip
            dim += skip
        elif item is None:
            out = out.unsqueeze(dim)
            advanced.append(None)
            dim += 1
        elif isinstance(item, slice):
            out = _apply_slice(out, dim, item)
            advanced.append(None)
            dim += 1
        elif isinstance(item, Tensor):
            if item._spec.dtype is dtypes.bool or item._spec.dtype is dtypes.uint8:
                if item._spec.ndim == 0:
                    out = out.unsqueeze(dim)
                    advanced.append(_range_of(item))
                    dim += 1
                    continue
                advanced.extend(_mask_indices(out, dim, item))
                dim += item._spec.ndim
            else:
                advanced.append(item)
                dim += 1
        else:
            n = out._spec.shape[dim]
            if not -n <= item < n:
                raise IndexError(f"index {item} is out of bounds for dimension {dim} with size {n}")
            out = _select(out, (dim, item % n))
    return out, advanced


def sum_(values: Any) -> int:
    """Sum of plain ints."""
    total = 0
    for v in values:
        total += v
    return total


def _items(key: Any) -> list[Any]:
    """The index as a list of ints, slices, None, Ellipsis and index tensors."""
    if isinstance(key, list) and len(key) < 32 and any(_makes_tuple(k) for k in key):
        key = tuple(key)
    raw = list(key) if isinstance(key, tuple) else [key]
    out = []
    for item in raw:
        if item is None or item is Ellipsis or isinstance(item, slice):
            out.append(item)
        elif isinstance(item, (bool, np.bool_)):
            out.append(from_array(np.asarray(bool(item))))
        elif isinstance(item, (int, np.integer)):
            out.append(int(item))
        elif isinstance(item, Tensor):
            if item._spec.dtype.name not in (*_INTEGER, "bool"):
                raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
            if item._spec.ndim == 0 and item._spec.dtype is not dtypes.bool:
                out.append(int(item.item()))
            else:
                out.append(item)
        elif isinstance(item, (list, range, np.ndarray)) or hasattr(item, "__array__"):
            out.append(_as_index(item))
        elif hasattr(item, "__index__"):
            out.append(item.__index__())
        elif isinstance(item, str):
            raise TypeError("new(): invalid data type 'str'")
        else:
            raise IndexError(
                "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got "
                f"{type(item).__name__})"
            )
    return out


def _makes_tuple(item: Any) -> bool:
    """Whether a list that contains this is an index for several dimensions rather than an index tensor."""
    return item is None or item is Ellipsis or isinstance(item, (slice, Tensor, list, tuple))


def _as_index(item: Any) -> Tensor:
    if isinstance(item, (list, range)):
        item = [i.item() if isinstance(i, Tensor) else i for i in item]
    array = np.asarray(item)
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(np.int64)
    if array.dtype.kind not in "iub":
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    if array.dtype == bool:
        return from_array(array)
    return from_array(array.astype(np.int64))


def _consumes(item: Any) -> int:
    if item is None or item is Ellipsis:
        return 0
    if isinstance(item, Tensor) and item._spec.dtype in (dtypes.bool, dtypes.uint8):
        return item._spec.ndim
    return 1


def _apply_slice(x: Tensor, dim: int, item: slice) -> Tensor:
    if item == slice(None):
        return x
    if item.step == 0:
        raise ValueError("slice step cannot be zero")
    bounds = [
        v.__index__() if v is not None and not isinstance(v, int) else v for v in (item.start, item.stop, item.step)
    ]
    return slice_dim(x, dim, bounds[0], bounds[1], 1 if bounds[2] is None else bounds[2])


def _range_of(flag: Tensor) -> Tensor:
    count = 1 if flag.item() else 0
    return from_array(np.zeros(count, np.int64))


def _mask_indices(x: Tensor, dim: int, mask: Tensor) -> list[Tensor]:
    shape = x._spec.shape[dim : dim + mask._spec.ndim]
    if tuple(mask._spec.shape) != tuple(shape):
        bad = next(i for i, (a, c) in enumerate(zip(mask._spec.shape, shape)) if a != c)
        raise IndexError(
            f"The shape of the mask {list(mask._spec.shape)} at index {bad} does not match the shape of the indexed "
            f"tensor "
            f"{list(x._spec.shape)} at index {dim + bad}"
        )
    found = np.nonzero(mask.detach().cpu().numpy())
    return [from_array(np.ascontiguousarray(f, np.int64)) for f in found]


def _split(advanced: list[Tensor | None]) -> tuple[list[Tensor], tuple[int, ...]]:
    dims = tuple(d for d, t in enumerate(advanced) if t is not None)
    return [t for t in advanced if t is not None], dims


def getitem(x: Tensor, key: Any) -> Tensor:
    """``x[key]``: a view for ints, slices, None and Ellipsis; a copy as soon as a tensor, list or mask is used."""
    if type(key) is int:  # the common case
        seen = x._spec
        if seen.ndim:
            n = seen.shape[0]
            if -n <= key < n:
                return _select(x, (0, key % n))
            raise IndexError(f"index {key} is out of bounds for dimension 0 with size {n}")
        raise IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to "
            "convert a 0-dim tensor to a number"
        )
    out, advanced = _parse(x, key)
    indices, dims = _split(advanced)
    if not indices:
        return out if out is not x else x.view(x._spec.shape)
    for t, d in zip(indices, dims):
        host_check(t, out._spec.shape[d], d)
    _check_broadcast(indices)
    return _index((out, *indices), (dims, True))


def _check_broadcast(indices: list[Tensor]) -> None:
    try:
        broadcast_shapes(*(t._spec.shape for t in indices))
    except RuntimeError:
        shapes = ", ".join(str(list(t._spec.shape)) for t in indices)
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
        ) from None


def setitem(x: Tensor, key: Any, value: Any) -> None:
    """``x[key] = value`` with broadcasting and conversion."""
    if not isinstance(value, Tensor):
        value = _value_tensor(value, x._spec)
    if value._spec.device is not x._spec.device and value._spec.ndim:
        value = value.to(x._spec.device)
    out, advanced = _parse(x, key)
    indices, dims = _split(advanced)
    if not indices:
        if out is x:
            out = x.view(x._spec.shape) if x._spec.contiguous else x
        _fit(out, value)
        return
    for t, d in zip(indices, dims):
        host_check(t, out._spec.shape[d], d)
    index_put_into(out, indices, dims, value, "set")


def _value_tensor(value: Any, like: Spec) -> Tensor:
    if is_number(value):
        if isinstance(value, complex) and not like.dtype.is_complex:
            raise RuntimeError("value cannot be converted to type float without overflow")
        return from_array(
            dtypes.to_storage(
                np.asarray(value).astype(np.float32 if like.dtype is dtypes.bfloat16 else like.dtype.numpy), like.dtype
            ),
            like.dtype,
            like.device,
        )
    if isinstance(value, np.ndarray):
        return from_array(value)
    raise TypeError(f"can't assign a {type(value).__name__} to a torch.{like.dtype}")


def _fit(target: Tensor, value: Tensor) -> None:
    """copy_ with leading size-1 dimensions of the value dropped, as assignment allows."""
    shape = value._spec.shape
    while len(shape) > target._spec.ndim and shape[0] == 1:
        value = value.squeeze(0)
        shape = value._spec.shape
    copy_(target, value)


def index_put_into(x: Tensor, indices: list[Tensor], dims: tuple[int, ...], value: Tensor, how: str) -> None:
    """In place: ``x[indices] = value`` (or combined with it)."""
    check_inplace(x, "index_put_", value._rg)
    _check_broadcast(indices)
    shape = _index_shape(x._spec, [t._spec for t in indices], dims)[0]
    while value._spec.ndim > len(shape) and value._spec.shape[0] == 1:
        value = value.squeeze(0)
    if value._spec.shape != shape:
        try:
            value = value.expand(*shape)
        except RuntimeError:
            raise RuntimeError(
                f"shape mismatch: value tensor of shape {list(value._spec.shape)} cannot be broadcast to indexing "
                f"result of "
                f"shape {list(shape)}"
            ) from None
    out = _put((x, cast(value, x._spec.dtype), *indices), (dims, how, True))
    put(x, out, x._spec.contiguous)


# -- by dimension -----------------------------------------------------------------------------------------------------
@function(out=True)
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """Positions ``index`` (1-d) along ``dim``."""
    seen = input._spec
    if index._spec.ndim > 1:
        raise IndexError(
            f"index_select(): Index is supposed to be a vector, but got dim: {index._spec.ndim} with type: "
            f"{index._spec.dtype} and size: {list(index._spec.shape)}"
        )
    if index._spec.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index but got: " + str(index._spec.dtype))
    d = wrap_dim(dim, seen.ndim)
    if not seen.ndim:
        return input.reshape(1).index_select(0, index).reshape(())
    index = index.reshape(-1)
    host_check(index, seen.shape[d], d, wrap=False)
    return _index((input, index), ((d,), False))


def _gather_rule(x: Spec, index: Spec, dim: int) -> Any:
    return tuple(index.shape), x.dtype


def _gather_positions(b: Any, x_shape: tuple[int, ...], index: Any, dim: int) -> Any:
    steps = row_major(x_shape)
    total = checked(b, index, x_shape[dim], wrap=False) * steps[dim]
    for d in range(index.ndim):
        if d != dim and index.shape[d] > 1:
            total = total + b.iota(index.shape, d) * steps[d]
    return total


def _gather_lower(b: Any, x: Any, index: Any, dim: int) -> Any:
    return b.take(x, _gather_positions(b, x.shape, index, dim))


_gather = Op(
    "gather",
    _gather_rule,
    _gather_lower,
    lambda ctx, g: (
        _scatter(
            (zeros_of(tuple(ctx.specs[0].shape), g._spec.dtype, g._spec.device), ctx.inputs[1], g),
            (ctx.static[0], "add"),
        ),
        None,
    ),
    saves=(1,),
)


def _scatter_lower(b: Any, x: Any, index: Any, src: Any, dim: int, how: str) -> Any:
    if index.size == 0:
        return x
    part = src
    for d in range(index.ndim):
        part = part.slice(d, 0, index.shape[d])
    if x.ndim == 1:
        return scatter_rows(b, x, x.size, 1, index, part, how, wrap=False).reshape(x.shape)
    if all(n == m for d, (n, m) in enumerate(zip(index.shape, x.shape)) if d != dim):
        return scatter_along(b, x, index, part, dim, how)
    where = _gather_positions(b, x.shape, index, dim)
    return scatter_rows(b, x, x.size, 1, where, part, how).reshape(x.shape)


def _scatter_grad(ctx: Any, g: Tensor) -> tuple:
    dim, how = ctx.static
    index = ctx.inputs[1]
    dx = g
    if how == "set" and ctx.needs[0]:
        zero = zeros_of((), g._spec.dtype, g._spec.device).expand(index._spec.shape)
        dx = _scatter((g, index, zero), (dim, "set"))
    dsrc = None
    if ctx.needs[2]:
        dsrc = _gather((g, index), (dim,))
        shape = ctx.specs[2].shape
        if dsrc._spec.shape != shape:
            full = zeros_of(tuple(shape), g._spec.dtype, g._spec.device)
            for d, n in enumerate(index._spec.shape):
                full_part = full.narrow(d, 0, n) if d == 0 else full_part.narrow(d, 0, n)  # noqa: F821
            full_part.copy_(dsrc)
            dsrc = full
    return dx, None, dsrc


_scatter = Op(
    "scatter", lambda x, index, src, dim, how: (tuple(x.shape), x.dtype), _scatter_lower, _scatter_grad, saves=(1,)
)


def _check_gather(name: str, x: Spec, index: Spec, dim: int) -> int:
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int64 for index")
    if (x.ndim or 1) != (index.ndim or 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    return wrap_dim(dim, x.ndim)


@function(out=True)
def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """``out[i][j][k] = input[index[i][j][k]][j][k]`` for dim 0, and so on."""
    if not index._spec.numel:
        return input.new_zeros(index._spec.shape)
    d = _check_gather("gather", input._spec, index._spec, dim)
    for k, (a, n) in enumerate(zip(index._spec.shape, input._spec.shape)):
        if k != d and a > n:
            raise RuntimeError(
                f"Size does not match at dimension {k} expected index {list(index._spec.shape)} to be no larger than "
                f"self "
                f"{list(input._spec.shape)} apart from dimension {d}"
            )
    if not input._spec.ndim:
        return _gather((input.reshape(1), index.reshape(1)), (0,)).reshape(index._spec.shape)
    host_check(index, input._spec.shape[d], d, wrap=False)
    return _gather((input, index), (d,))


@function(inplace=True, out=True)
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Tensor:
    """``out[index[i][j]][j] = src[i][j]`` for dim 0, and so on; ``reduce`` "add" or "multiply" combines instead."""
    if src is None:
        src = value
    d = _check_gather("scatter", input._spec, index._spec, dim)
    if not isinstance(src, Tensor):
        src = _value_tensor(src, input._spec).expand(index._spec.shape)
    elif src._spec.dtype is not input._spec.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    how = {None: "set", "add": "add", "multiply": "mul"}.get(reduce)
    if how is None:
        raise RuntimeError("reduce argument must be either add or multiply.")
    return _scatter_any(input, d, index, src, how)


def _scatter_any(x: Tensor, d: int, index: Tensor, src: Tensor, how: str) -> Tensor:
    if not x._spec.ndim:
        return _scatter((x.reshape(1), index.reshape(1), src.reshape(1)), (0, how)).reshape(())
    host_check(index, x._spec.shape[d], d, wrap=False)
    return _scatter((x, index, src), (d, how))


@function(inplace=True, out=True)
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """``out[index[i][j]][j] += src[i][j]`` for dim 0, and so on."""
    d = _check_gather("scatter_add", input._spec, index._spec, dim)
    if src._spec.dtype is not input._spec.dtype:
        raise RuntimeError("scatter_add(): Expected self.dtype to be equal to src.dtype")
    return _scatter_any(input, d, index, src, "add")


@function(inplace=True, out=True)
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """Add slices of ``source`` at positions ``index`` along ``dim``."""
    d = wrap_dim(dim, input._spec.ndim)
    a, c = ([n for k, n in enumerate(t._spec.shape) if k != d] for t in (input, source))
    if input._spec.ndim and (a != c or source._spec.ndim != input._spec.ndim):
        raise RuntimeError(
            f"source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = "
            f"{list(input._spec.shape)} source.shape = {list(source._spec.shape)}"
        )
    if alpha != 1:
        source = source * alpha
    if not input._spec.ndim:
        return input + source.sum()
    order = (d, *(k for k in range(input._spec.ndim) if k != d))
    inverse = tuple(order.index(k) for k in range(input._spec.ndim))
    host_check(index, input._spec.shape[d], d, wrap=False)
    out = _put((_permute(input, (order,)), _permute(source, (order,)), index.reshape(-1)), ((0,), "add", False))
    return _permute(out, (inverse,))


@function(torch=False)
def index_put_(self: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    """In place: put (or add) values at the positions that index tensors name."""
    full = list(indices) + [None] * (self._spec.ndim - len(indices))
    out, advanced = _parse(self, tuple(slice(None) if t is None else t for t in full))
    found, dims = _split(advanced)
    index_put_into(out, found, dims, values, "add" if accumulate else "set")
    return self


@function(name="index_put")
def index_put(input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: bool = False) -> Tensor:
    """Copy with values put (or added) at the positions that index tensors name."""
    return input.clone().index_put_(indices, values, accumulate)
