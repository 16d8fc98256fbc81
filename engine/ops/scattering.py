"""Reading and writing at given positions: take, put, index_copy, index_fill, masked_scatter, and reducing scatters."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from ..graph.spec import Spec
from .creation import FULL, cast, zeros_of
from .indexing import _check_gather, _gather_positions, _index, _put, host_check
from .op import Op
from .pointwise import wide
from .publish import function
from .publish import registry as REGISTRY
from .scatter_kernel import neutral, scatter_rows
from .select import where
from .views import _permute, wrap_dim


def _same_dtype(name: str, x: Tensor, source: Tensor) -> None:
    if x._spec.dtype is not source._spec.dtype:
        raise RuntimeError(
            f"{name}(): self and source expected to have the same dtype, but got (self) "
            f"{scalar_type_name(x._spec.dtype)} "
            f"and (source) {scalar_type_name(source._spec.dtype)}"
        )


def _need_index(name: str, index: Tensor) -> None:
    if index._spec.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")


# -- flat positions ---------------------------------------------------------------------------------------------------
@function(out=True)
def take(input: Tensor, index: Tensor) -> Tensor:
    """Elements at flat (row-major) positions; the result has the index's shape."""
    if index._spec.dtype is not dtypes.int64:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {scalar_type_name(index._spec.dtype)}")
    seen = input._spec
    if not seen.numel and index._spec.numel:
        raise IndexError("take(): tried to take from an empty tensor")
    host_check(index, seen.numel, 0)
    return _index((input.reshape(-1), index), ((0,), True))


@function(inplace=True)
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with ``source`` stored at (or added to) flat positions."""
    if index._spec.dtype is not dtypes.int64:
        raise RuntimeError(f"put_(): Expected a long tensor for index, but got {scalar_type_name(index._spec.dtype)}")
    _same_dtype("put_", input, source)
    if index._spec.numel != source._spec.numel:
        raise RuntimeError(
            f"put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{source._spec.numel}, index.numel() = {index._spec.numel}"
        )
    if not index._spec.numel:
        return input.clone()
    host_check(index, input._spec.numel, 0)
    out = _put((input.reshape(-1), source.reshape(-1), index.reshape(-1)), ((0,), "add" if accumulate else "set", True))
    return out.reshape(input._spec.shape)


@function(out=True)
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """gather with broadcasting of the other dimensions; of the flattened tensor by default."""
    if indices._spec.dtype is not dtypes.int64:
        raise RuntimeError(
            f"torch.take_along_dim(): dtype of indices should be Long but got {scalar_type_name(indices._spec.dtype)}"
        )
    if dim is None:
        return input.reshape(-1).gather(0, indices.reshape(-1))
    a, b = list(input._spec.shape), list(indices._spec.shape)
    if len(a) != len(b):
        raise RuntimeError(
            f"torch.take_along_dim(): input and indices should have the same number of dimensions, but got {len(a)} "
            f"dimensions for input, and {len(b)} dimensions for indices"
        )
    d = wrap_dim(dim, len(a))
    along_a, along_b = a[d], b[d]
    a[d] = b[d] = 1
    shape = list(REGISTRY["broadcast_shapes"].call(a, b))
    left, right = list(shape), list(shape)
    left[d], right[d] = along_a, along_b
    return input.expand(*left).gather(d, indices.expand(*right))


# -- along a dimension ------------------------------------------------------------------------------------------------
def _along(x: Tensor, dim: int, index: Tensor, source: Tensor, how: str, wrap: bool = False) -> Tensor:
    """``source``'s slices combined into the slices of ``x`` that a vector names."""
    ndim = x._spec.ndim
    order = (dim, *(k for k in range(ndim) if k != dim))
    inverse = tuple(order.index(k) for k in range(ndim))
    host_check(index, x._spec.shape[dim], dim, wrap)
    moved = _permute(source, (order,)) if source._spec.ndim == ndim else source
    return _permute(_put((_permute(x, (order,)), moved, index.reshape(-1)), ((0,), how, wrap)), (inverse,))


@function(inplace=True)
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy with slices of ``source`` at positions ``index`` along ``dim``."""
    _need_index("index_copy_", index)
    _same_dtype("index_copy_", input, source)
    if index._spec.ndim > 1:
        raise IndexError(f"index_copy_(): Index should have dimension 1 or 0 (got {index._spec.ndim})")
    seen = input._spec
    d = wrap_dim(dim, seen.ndim)
    if not seen.ndim:
        return _along(input.reshape(1), 0, index, source.reshape(1), "set").reshape(())
    if source._spec.ndim and source._spec.ndim != seen.ndim:
        raise IndexError(
            f"index_copy_(): When source and destination are not scalars, their dimensionality must match. Source "
            f"dimensionality ({source._spec.ndim}), destination dimensionality ({seen.ndim})"
        )
    if not source._spec.ndim:
        source = source.reshape((1,) * seen.ndim)
    want = (*seen.shape[:d], index._spec.numel, *seen.shape[d + 1 :])
    if tuple(source._spec.shape) != want:
        if source._spec.shape[d] != index._spec.numel:
            raise IndexError(
                f"index_copy_(): Number of indices ({index._spec.numel}) should be equal to source.size(dim) "
                f"({source._spec.shape[d]})"
            )
        raise RuntimeError(
            f"index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: "
            f"{[n for k, n in enumerate(seen.shape) if k != d]} at dimension {d} and source slice shape: "
            f"{[n for k, n in enumerate(source._spec.shape) if k != d]} at dimension {d}."
        )
    return _along(input, d, index, source, "set")


@function(inplace=True)
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy with ``value`` (a number or a 0-dim tensor) at positions ``index`` along ``dim``."""
    if index._spec.dtype is not dtypes.int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if index._spec.ndim > 1:
        raise IndexError("Index has to be a vector/scalar")
    seen = input._spec
    if isinstance(value, Tensor):
        if value._spec.ndim:
            raise RuntimeError(
                f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {value._spec.ndim} "
                "dimension(s)."
            )
        value = cast(value, seen.dtype)
    else:
        value = FULL((), value, seen.dtype, seen.device)
    d = wrap_dim(dim, seen.ndim)
    if not seen.ndim:
        return _along(input.reshape(1), 0, index, value.reshape(1), "set", True).reshape(())
    if value._rg:  # its gradient counts each place once, however often the index names it
        mask = index_fill(zeros_of((seen.shape[d],), dtypes.bool, seen.device), 0, index, True)
        return where(mask.reshape([-1 if k == d else 1 for k in range(seen.ndim)]), value, input)
    rest = tuple(n for k, n in enumerate(seen.shape) if k != d)
    return _along(input, d, index, value.expand(index._spec.numel, *rest).movedim(0, d), "set", True)


@function(inplace=True)
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy in which the elements where the mask holds are, in order, those of ``source``."""
    if mask._spec.dtype is not dtypes.bool:
        raise RuntimeError(
            f"masked_scatter_ only supports boolean masks, but got mask with dtype {scalar_type_name(mask._spec.dtype)}"
        )
    if input._spec.dtype is not source._spec.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got "
            f"{scalar_type_name(input._spec.dtype)} and "
            f"{scalar_type_name(source._spec.dtype)}"
        )
    shape = REGISTRY["broadcast_shapes"].call(input._spec.shape, mask._spec.shape)
    input, mask = input.expand(*shape), mask.expand(*shape)
    if not input._spec.numel:
        return input.clone()
    count = source._spec.numel
    if mask._spec.numel > count and int(mask.sum().item()) > count:
        raise RuntimeError(
            "masked_scatter: expected self and source to have number of elements of source >= number of ones "
                           "in mask")  # fmt: skip
    if not count:
        return input.clone()
    place = (mask.reshape(-1).cumsum(0) - 1).clamp(0, count - 1)
    return where(mask, source.reshape(-1)[place].reshape(shape), input)


# -- reducing scatters ------------------------------------------------------------------------------------------------
_HOW = {"sum": "add", "mean": "add", "prod": "mul", "amax": "max", "amin": "min"}


def _reduce_lower(b: Any, x: Any, index: Any, src: Any, dim: int, how: str, include_self: bool) -> Any:
    if not index.size:
        return x
    dtype, shape = x.dtype, x.shape
    place = _gather_positions(b, shape, index, dim).contiguous()
    base = x.cast(wide(dtype))
    if not include_self:
        start = b.const(neutral(_HOW[how], base.dtype), base.dtype, place.shape)
        base = scatter_rows(b, base, x.size, 1, place, start, "set").reshape(shape)
    out = scatter_rows(b, base, x.size, 1, place, src.cast(base.dtype), _HOW[how]).reshape(shape)
    if how == "mean":
        ones = b.const(1, dtypes.int64, place.shape)
        zero = b.const(int(include_self), dtypes.int64, shape)
        count = scatter_rows(b, zero, x.size, 1, place, ones, "add").reshape(shape)
        count = b.pw("max", count, 1).cast(out.dtype)
        out = out / count if dtype.is_floating_point else b.fdiv_int(out, count)
    return out.cast(dtype)


def _reduce_grad(ctx: Any, g: Tensor) -> tuple:
    x, index, src = ctx.inputs
    dim, how, include_self = ctx.static
    dtype = g._spec.dtype
    if how == "sum":
        dx, dsrc = g, g.gather(dim, index)
    elif how == "mean":
        count = FULL(g._spec.shape, int(include_self), dtype, g._spec.device)
        count = count.scatter_add(dim, index, FULL(index._spec.shape, 1, dtype, g._spec.device)).clamp(min=1)
        share = g / count
        dx, dsrc = share, share.gather(dim, index)
    elif how == "prod":
        dx, dsrc = _prod_grads(g, x, index, src, ctx.outputs[0], dim, include_self)
    else:
        out = ctx.outputs[0]
        mine, theirs = (x == out).to(dtype), (src == out.gather(dim, index)).to(dtype)
        share = g / mine.scatter_add(dim, index, theirs).clamp(min=1)
        dx, dsrc = mine * share, theirs * share.gather(dim, index)
    if not include_self and ctx.needs[0]:
        dx = dx.scatter(dim, index, 0)
    return dx if ctx.needs[0] else None, None, dsrc if ctx.needs[2] else None


def _prod_grads(g: Tensor, x: Tensor, index: Tensor, src: Tensor, out: Tensor, dim: int, include_self: bool) -> tuple:
    """Products of the other factors; a single zero among them is left out exactly."""

    def product(base: Tensor, values: Tensor) -> Tensor:
        return _reduce((base, index, values), (dim, "prod", include_self))

    safe = x.masked_fill(x == 0, 1)
    dx = g * product(safe, src) / safe
    zero = src == 0
    count = zeros_of(tuple(x._spec.shape), g._spec.dtype, g._spec.device)
    count = count.scatter_add(dim, index, zero.to(g._spec.dtype)).gather(dim, index)
    single = zero & (count == 1)
    without = product(x, src.masked_fill(single, 1))
    others = (g * out).gather(dim, index) / src.masked_fill(zero, 1)
    return dx, where(single, (g * without).gather(dim, index), others)


_reduce = Op(
    "scatter_reduce",
    lambda x, index, src, dim, how, include_self: (tuple(x.shape), x.dtype),
    _reduce_lower,
    _reduce_grad,
    saves=(0, 1, 2),
    saves_out=(0,),
)


def _how(name: str, reduce: str, allowed: tuple[str, ...]) -> str:
    if reduce not in allowed:
        raise RuntimeError(f"reduce argument must be either {', '.join(allowed[:-1])} or {allowed[-1]}, got {reduce}.")
    return reduce


@function(inplace=True, out=True)
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Reduce ("sum", "prod", "mean", "amax", "amin") the elements of ``src`` into the places that ``index`` names."""
    d = _check_gather("scatter", input._spec, index._spec, dim)
    _how("scatter_reduce", reduce, ("sum", "prod", "mean", "amax", "amin"))
    if src._spec.dtype is not input._spec.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if not input._spec.ndim:
        args = (input.reshape(1), index.reshape(-1), src.reshape(-1))
        return _reduce(args, (0, reduce, include_self)).reshape(())
    _check_sizes(input._spec, index._spec, src._spec, d)
    host_check(index, input._spec.shape[d], d, wrap=False)
    for k, n in enumerate(index._spec.shape):
        if src._spec.shape[k] != n:
            src = src.narrow(k, 0, n)
    return _reduce((input, index, src), (d, reduce, include_self))


def _check_sizes(x: Spec, index: Spec, src: Spec, dim: int) -> None:
    if not index.numel:
        return
    for k, n in enumerate(index.shape):
        if n > src.shape[k] or (k != dim and n > x.shape[k]):
            raise RuntimeError(
                f"Expected index {list(index.shape)} to be no larger than self {list(x.shape)} apart from dimension "
                f"{dim} and "
                f"to be no larger size than src {list(src.shape)}"
            )


@function(inplace=True, out=True)
def index_reduce(
    input: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """Reduce ("prod", "mean", "amax", "amin") slices of ``source`` into positions ``index`` along ``dim``."""
    _how("index_reduce", reduce, ("prod", "mean", "amax", "amin"))
    _need_index("index_reduce", index)
    _same_dtype("index_reduce", input, source)
    seen = input._spec
    d = wrap_dim(dim, seen.ndim)
    if not seen.ndim:
        args = (input.reshape(1), index.reshape(-1).to(dtypes.int64), source.reshape(-1))
        return _reduce(args, (0, reduce, include_self)).reshape(())
    host_check(index, seen.shape[d], d, wrap=False)
    shape = [1] * seen.ndim
    shape[d] = index._spec.numel
    full = index.reshape(shape).expand(*source._spec.shape)
    return _reduce((input, full, source), (d, reduce, include_self))
