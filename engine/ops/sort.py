"""Sorting and choosing by rank: sort, topk, kthvalue, medians, quantiles, mode, and distinct elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.variable import Tensor
from ..graph.codegen import storage
from ..graph.library import reference
from ..graph.library.call import Int, KernelCall, Operand, Scratch
from ..graph.native import Native
from ..graph.scalar import c_type
from ..graph.spec import Spec
from .creation import FULL, from_array, zeros_of
from .factories import arange
from .op import Op
from .pointwise import check_kind
from .publish import function
from .publish import registry as REGISTRY
from .reduce import _pick_grad, named, reduced_shape
from .scatter_kernel import load_save
from .views import wrap_dim

_MERGE_ROW = 192  # rows up to this length are sorted by merging
_MANY = 4096  # elements of a row from which several work-items share it


# -- kernels ----------------------------------------------------------------------------------------------------------
def _key(dtype: dtypes.dtype) -> tuple[str, str, int]:
    """Key type, key of a value ``x``, and how many of its bits matter."""
    name = dtype.name
    if name in ("float32", "float16", "bfloat16"):
        return "uint", "eng_key_f32(x)", 32
    if name == "float64":
        return "ulong", "eng_key_f64(x)", 64
    if name in ("bool", "uint8"):
        return "uint", "(uint)(x)", 8
    if name == "int8":
        return "uint", "(uint)((x)+128)", 8
    if name == "int16":
        return "uint", "(uint)((x)+32768)", 16
    if name == "uint16":
        return "uint", "(uint)(x)", 16
    if name == "int32":
        return "uint", "((uint)(x)^0x80000000u)", 32
    if name == "uint32":
        return "uint", "(uint)(x)", 32
    return "ulong", "(ulong)(x)" if name == "uint64" else "((ulong)(x)^((ulong)1<<63))", 64


def _options(dtype: dtypes.dtype, descending: bool, digit: int = 8) -> tuple[tuple[str, ...], int, int]:
    """Build options, size of a (key, position) pair, number of radix passes."""
    kind, key, bits = _key(dtype)
    load, _ = load_save(dtype)
    options = (
        f"-DT={storage(dtype)}", f"-DC={c_type(dtype)}", f"-DLOAD(x)={load}", f"-DK={kind}",
        f"-DKEY(x)={key.replace(' ', '')}", f"-DBITS={bits}", f"-DDIGIT={digit}", f"-DDESCENDING={int(descending)}",
    )  # fmt: skip
    return options, 8 if kind == "uint" else 16, -(-bits // digit)


def _share(caps: Any, rows: int, n: int) -> tuple[int, int]:
    """(groups, rows a group)."""
    units = caps.compute_units * (64 if caps.kind == "gpu" else 1)
    groups = min(rows, units if rows * n > 2048 else 1)
    block = -(-rows // groups)
    return -(-rows // block), block


def _sort_calls(caps: Any, dtype: dtypes.dtype, rows: int, n: int, descending: bool) -> list[KernelCall]:
    if caps.kind == "gpu":
        return _bitonic(dtype, rows, n, descending)
    ends = (Operand("values"), Operand("index"), Operand("in"))
    units = max(1, caps.compute_units)
    if n >= _MANY and rows < units:
        return _shared_radix(dtype, rows, n, descending, -(-units // rows))
    options, pair, _ = _options(dtype, descending)
    groups, block = _share(caps, rows, n)
    a, c = (Scratch(name, groups * n * pair, pair) for name in ("a", "b"))
    kernel = "eng_sort_merge" if n <= _MERGE_ROW else "eng_sort_radix"
    return [KernelCall("sort.cl", kernel, (groups,), (1,), (*ends, a, c, Int(rows), Int(n), Int(block)), options)]


def _shared_radix(dtype: dtypes.dtype, rows: int, n: int, descending: bool, parts: int) -> list[KernelCall]:
    options, pair, passes = _options(dtype, descending)
    part = -(-n // parts)
    sizes = (Int(n), Int(parts), Int(part))
    a, c = (Scratch(name, rows * n * pair, pair) for name in ("a", "b"))
    counts = Scratch("counts", rows * parts * 256 * 4, 4)
    vary = Scratch("vary", rows * parts * pair // 2, pair // 2)

    def call(kernel: str, groups: int, *args: Any) -> KernelCall:
        return KernelCall("sort.cl", kernel, (groups,), (1,), args, options)

    out = [call("eng_radix_load", rows * parts, a, vary, Operand("in"), *sizes)]
    for p in range(passes):
        out.append(call("eng_radix_count", rows * parts, counts, a, c, vary, *sizes, Int(p)))
        out.append(call("eng_radix_offsets", rows, counts, vary, Int(parts), Int(p)))
        out.append(call("eng_radix_move", rows * parts, counts, a, c, vary, *sizes, Int(p)))
    ends = (Operand("values"), Operand("index"), Operand("in"))
    out.append(call("eng_radix_store", rows * parts, *ends, a, c, vary, *sizes))
    return out


def _bitonic(dtype: dtypes.dtype, rows: int, n: int, descending: bool) -> list[KernelCall]:
    options, pair, _ = _options(dtype, descending)
    size = 1 << (n - 1).bit_length() if n > 1 else 2
    pairs = Scratch("a", rows * size * pair, pair)

    def call(kernel: str, count: int, *args: Any) -> KernelCall:
        local = next(w for w in (64, 32, 16, 8, 4, 2, 1) if count % w == 0)
        return KernelCall("sort.cl", kernel, (count,), (local,), args, options)

    out = [call("eng_bitonic_load", rows * size, pairs, Operand("in"), Int(n), Int(size))]
    block = 2
    while block <= size:
        stride = block // 2
        while stride:
            out.append(call("eng_bitonic_step", rows * size // 2, pairs, Int(size), Int(block), Int(stride)))
            stride //= 2
        block *= 2
    ends = (Operand("values"), Operand("index"), Operand("in"))
    out.append(call("eng_bitonic_store", rows * n, *ends, pairs, Int(n), Int(size)))
    return out


def _rows(x: Any, dim: int) -> tuple[Any, tuple[int, ...], tuple[int, ...]]:
    """``x`` as (rows, n) with ``dim`` last, the shape before, and the order that undoes the move."""
    order = tuple(d for d in range(x.ndim) if d != dim) + (dim,)
    moved = x.permute(*order)
    inverse = tuple(order.index(d) for d in range(x.ndim))
    return moved.reshape((-1, x.shape[dim])).contiguous(), moved.shape, inverse


def _native(b: Any, name: str, flat: Any, shape: tuple[int, ...], calls: Any, meaning: Any) -> list:
    outputs = ((shape, flat.dtype), (shape, dtypes.int64))
    native = Native(name, ("in",), ("values", "index"), outputs, calls, False, ("math.cl",), meaning)
    return b.kernel(native, (flat,), outputs)


def _sort_lower(b: Any, x: Any, dim: int, descending: bool) -> list:
    if not x.ndim or not x.size or x.shape[dim] == 1:
        return [x, b.const(0, dtypes.int64, x.shape).contiguous()]
    flat, shape, inverse = _rows(x, dim)
    rows, n = flat.shape
    made = _native(b, "sort", flat, (rows, n), lambda caps: _sort_calls(caps, flat.dtype, rows, n, descending),
                   reference.sort_rows(n, descending))  # fmt: skip
    return [r.reshape(shape).permute(*inverse) for r in made]


def _back_to_place(ctx: Any, g: Tensor, _: Any = None) -> tuple:
    x, index = ctx.specs[0], ctx.outputs[1]
    if not x.ndim:
        return (g,)
    return (zeros_of(tuple(x.shape), g._spec.dtype, x.device).scatter(ctx.static[0], index, g),)


_sort = Op(
    "sort",
    lambda x, dim, descending: [(tuple(x.shape), x.dtype), (tuple(x.shape), dtypes.int64)],
    _sort_lower,
    _back_to_place,
    saves_out=(1,),
    differentiable=(0,),
)
SortResult, TopkResult = named("sort", "values indices"), named("topk", "values indices")


@function(out=True)
def sort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool | None = None) -> Any:
    """(values, indices) in order along ``dim``; always stable. NaN comes after all numbers."""
    if isinstance(dim, bool):
        dim, descending = -1, dim
    d = wrap_dim(dim, input._spec.ndim)
    check_kind("sort", input._spec.dtype, "biuf")
    return SortResult(*_sort((input,), (d, bool(descending))))


@function()
def argsort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Tensor:
    """Indices that sort along ``dim``."""
    return sort(input.detach(), dim, descending)[1]


@function(out=True)
def msort(input: Tensor) -> Tensor:
    """Sorted along the first dimension."""
    return sort(input, 0)[0]


# -- topk, kthvalue ---------------------------------------------------------------------------------------------------
def _topk_lower(b: Any, x: Any, dim: int, k: int, largest: bool, ordered: bool) -> list:
    if not x.ndim:
        return [x, b.const(0, dtypes.int64).contiguous()]
    flat, shape, inverse = _rows(x, dim)
    rows, n = flat.shape
    shape = (*shape[:-1], k)
    if not rows or not k:
        empty = b.const(0, x.dtype, shape).contiguous(), b.const(0, dtypes.int64, shape).contiguous()
        return [r.permute(*inverse) for r in empty]

    def calls(caps: Any) -> list[KernelCall]:
        options, pair, _ = _options(flat.dtype, largest)
        groups, block = _share(caps, rows, n)
        capacity = k if k <= 16 else min(n, 4 * k + 64)
        scratch = tuple(Scratch(name, groups * capacity * pair, pair) for name in ("a", "b"))
        args = (Operand("values"), Operand("index"), Operand("in"), *scratch)
        sizes = (Int(rows), Int(n), Int(k), Int(capacity), Int(int(ordered)), Int(block))
        return [KernelCall("sort.cl", "eng_topk", (groups,), (1,), (*args, *sizes), options)]

    if k * 4 > n:
        made = _native(b, "sort", flat, (rows, n), lambda caps: _sort_calls(caps, flat.dtype, rows, n, largest),
                       reference.sort_rows(n, largest))  # fmt: skip
        made = [r.slice(1, 0, k) for r in made]
    else:
        made = _native(b, "topk", flat, (rows, k), calls, reference.sort_rows(k, largest))
    return [r.reshape(shape).permute(*inverse) for r in made]


def _topk_rule(x: Spec, dim: int, k: int, largest: bool, ordered: bool) -> list:
    shape = (*x.shape[:dim], k, *x.shape[dim + 1 :]) if x.ndim else ()
    return [(shape, x.dtype), (shape, dtypes.int64)]


_topk = Op("topk", _topk_rule, _topk_lower, _back_to_place, saves_out=(1,), differentiable=(0,))


@function(out=True)
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """(values, indices) of the ``k`` largest (or smallest) elements along ``dim``, in order."""
    seen = input._spec
    d = wrap_dim(dim, seen.ndim)
    k = int(k.item()) if isinstance(k, Tensor) else k
    check_kind("topk_cpu", seen.dtype, "iuf")
    if not 0 <= k <= (seen.shape[d] if seen.ndim else 1):
        raise RuntimeError("selected index k out of range")
    if not seen.ndim and k == 0:
        return TopkResult(zeros_of((0,), seen.dtype, seen.device), zeros_of((0,), dtypes.int64, seen.device))
    return TopkResult(*_topk((input,), (d, k, bool(largest), bool(sorted))))


def _rank_lower(b: Any, x: Any, dim: int, keepdim: bool, rank: int, mode: int) -> list:
    if not x.ndim:
        return [x, b.const(0, dtypes.int64).contiguous()]
    flat, shape, inverse = _rows(x, dim)
    rows, n = flat.shape
    kept = shape[:-1]
    if not rows:
        made = [b.const(0, x.dtype, kept).contiguous(), b.const(0, dtypes.int64, kept).contiguous()]
    else:

        def calls(caps: Any) -> list[KernelCall]:
            options, pair, _ = _options(flat.dtype, False)
            groups, block = _share(caps, rows, n)
            args = (Operand("values"), Operand("index"), Operand("in"), Scratch("a", groups * n * pair, pair))
            sizes = (Int(rows), Int(n), Int(rank), Int(mode), Int(block))
            return [KernelCall("sort.cl", "eng_rank", (groups,), (1,), (*args, *sizes), options)]

        made = [r.reshape(kept) for r in _native(b, "rank", flat, (rows,), calls, reference.rank_rows(rank, mode))]
    return [r.unsqueeze(dim) for r in made] if keepdim else made


def _rank_rule(x: Spec, dim: int, keepdim: bool, rank: int, mode: int) -> list:
    shape = reduced_shape(x, (dim,), keepdim) if x.ndim else ()
    return [(shape, x.dtype), (shape, dtypes.int64)]


_KTH, _MEDIAN, _NANMEDIAN = 0, 1, 2
_ranked = {
    mode: Op(name, _rank_rule, _rank_lower, _pick_grad, saves_out=(1,), differentiable=(0,))
    for mode, name in {_KTH: "kthvalue", _MEDIAN: "median", _NANMEDIAN: "nanmedian"}.items()
}
KthResult = named("kthvalue", "values indices")


@function(out=True)
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """(value, index) of the ``k``-th smallest element (from 1) along ``dim``."""
    seen = input._spec
    d = wrap_dim(dim, seen.ndim)
    check_kind("kthvalue_cpu", seen.dtype, "iuf")
    if seen.ndim and seen.shape[d] == 0:
        raise IndexError(f"kthvalue(): Expected reduction dim {d} to have non-zero size.")
    if not 1 <= k <= (seen.shape[d] if seen.ndim else 1):
        raise RuntimeError("kthvalue(): selected number k out of range for dimension " + str(d))
    return KthResult(*_ranked[_KTH]((input,), (d, keepdim, k - 1, _KTH)))


def _flat_median_grad(ctx: Any, g: Tensor) -> tuple:
    x, out = ctx.inputs[0], ctx.outputs[0]
    hit = ((x == out) | ((x != x) & (out != out))).to(g._spec.dtype)
    return (hit * (g / hit.sum()),)


def _median(name: str, mode: int) -> Any:
    kind = named(name, "values indices")
    whole = Op(
        name,
        lambda x: ((), x.dtype),
        lambda b, x: _rank_lower(b, x.reshape((x.size,)), 0, False, 0, mode)[0],
        _flat_median_grad,
        saves=(0,),
        saves_out=(0,),
    )

    def call(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
        seen = input._spec
        check_kind(f"{name}_out", seen.dtype, "iuf")
        if dim is None:
            if not seen.numel:
                nothing = float("nan") if seen.floating else dtypes.iinfo(seen.dtype).min
                return FULL((), nothing, seen.dtype, seen.device)
            return whole((input,))
        d = wrap_dim(dim, seen.ndim)
        if seen.ndim and seen.shape[d] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
        return kind(*_ranked[mode]((input,), (d, keepdim, 0, mode)))

    call.__name__ = call.__qualname__ = name
    what = "NaN if there is one" if mode == _MEDIAN else "NaN left out"
    call.__doc__ = f"Lower median of all elements, or (values, indices) along ``dim``; {what}."
    return function(out=True)(call)


median, nanmedian = _median("median", _MEDIAN), _median("nanmedian", _NANMEDIAN)
ModeResult = named("mode", "values indices")


@function(out=True)
def mode(input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    """(value, index) of the most frequent element along ``dim``; of equally frequent ones the smallest."""
    seen = input._spec
    d = wrap_dim(dim, seen.ndim)
    check_kind("mode", seen.dtype, "biuf")
    if not seen.ndim:
        return ModeResult(input.clone(), zeros_of((), dtypes.int64, seen.device))
    if seen.shape[d] == 0:
        raise IndexError(f"mode(): Expected reduction dim {d} to have non-zero size.")
    values, order = sort(input.detach(), d)
    n = seen.shape[d]
    place = arange(n, device=seen.device).reshape([-1 if k == d else 1 for k in range(seen.ndim)])
    fresh = (values.narrow(d, 1, n - 1) != values.narrow(d, 0, n - 1)).to(dtypes.int64)
    start = REGISTRY["cat"].call([values.narrow(d, 0, 1).to(dtypes.int64) * 0, fresh], d) * place
    length = place - start.cummax(d)[0]
    index = order.gather(d, length.argmax(d, True))
    out = input.gather(d, index)
    return ModeResult(out, index) if keepdim else ModeResult(out.squeeze(d), index.squeeze(d))


# -- quantiles --------------------------------------------------------------------------------------------------------
_INTERPOLATION = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(name: str, skip_nan: bool) -> Any:
    def call(
        input: Tensor, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear"
    ) -> Tensor:
        seen = input._spec
        if seen.dtype not in (dtypes.float32, dtypes.float64):
            raise RuntimeError("quantile() input tensor must be either float or double dtype")
        if not isinstance(q, Tensor):
            if not 0 <= q <= 1:
                raise RuntimeError(f"quantile() q must be in the range [0, 1] but got {q}")
            q = FULL((), q, seen.dtype, seen.device)
        if q._spec.dtype is not seen.dtype:
            raise RuntimeError("quantile() q tensor must be same dtype as the input tensor")
        if q._spec.ndim > 1:
            raise RuntimeError("quantile() q must be a scalar or 1D tensor")
        if not seen.numel:
            raise RuntimeError("quantile() input tensor must be non-empty")
        if interpolation not in _INTERPOLATION:
            raise RuntimeError(
                f"quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
                f"{interpolation}"
            )
        return _quantile_of(input, q, dim, keepdim, interpolation, skip_nan)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "Quantiles ``q`` in [0, 1] along ``dim`` (of all elements by default)" + (
        ", NaN left out." if skip_nan else "."
    )
    return function(out=True)(call)


def _quantile_of(input: Tensor, q: Tensor, dim: Any, keepdim: bool, how: str, skip_nan: bool) -> Tensor:
    ndim = input._spec.ndim
    x = input.reshape(-1) if dim is None or not ndim else input.movedim(wrap_dim(dim, ndim), -1)
    ordered = sort(x, -1)[0]
    n = x._spec.shape[-1]
    ranks = q.reshape(-1)
    hole = ordered.isnan()
    if skip_nan:
        last = (~hole).sum(-1, True).sub(1).clamp(min=0)
        rank = ranks * last.to(q._spec.dtype)
    else:
        rank = ranks * (n - 1)
        rank = rank.expand(*x._spec.shape[:-1], rank._spec.shape[-1])
        rank = rank.masked_fill(hole.any(-1, True), n - 1)
    rank = {"lower": rank.floor, "higher": rank.ceil, "nearest": rank.round}.get(how, lambda: rank)()
    low = rank.detach().to(dtypes.int64)
    out = ordered.gather(-1, low)
    if how in ("linear", "midpoint"):
        high = rank.detach().ceil().to(dtypes.int64)
        weight = rank - low if how == "linear" else FULL((), 0.5, q._spec.dtype, q._spec.device)
        out = out.lerp(ordered.gather(-1, high), weight)
    if keepdim:
        if dim is None or not ndim:
            out = out.reshape((1,) * ndim + (-1,)) if ndim else out
        else:
            out = out.unsqueeze(wrap_dim(dim, ndim))
    return out.squeeze(-1) if not q._spec.ndim else out.movedim(-1, 0)


quantile, nanquantile = _quantile("quantile", False), _quantile("nanquantile", True)


# -- distinct elements ------------------------------------------------------------------------------------------------
def _host(t: Tensor) -> np.ndarray:
    t = t.detach().cpu()
    return (t.float() if t._spec.dtype is dtypes.bfloat16 else t).numpy()


def _tensor(values: np.ndarray, dtype: dtypes.dtype, device: Any) -> Tensor:
    return from_array(dtypes.to_storage(np.ascontiguousarray(values), dtype), dtype, device)


def _results(out: Tensor, inverse: Any, counts: Any, want_inverse: bool, want_counts: bool) -> Any:
    found = [out]
    device = out._spec.device
    if want_inverse:
        found.append(_tensor(inverse.astype(np.int64), dtypes.int64, device))
    if want_counts:
        found.append(_tensor(counts.astype(np.int64), dtypes.int64, device))
    return found[0] if len(found) == 1 else tuple(found)


def _distinct(values: np.ndarray, want_inverse: bool) -> tuple:
    """Distinct elements in order, indices into them (if wanted) and counts; every NaN is distinct.

    Integers of a small range are counted, others sorted.
    """
    flat = values.reshape(-1)
    if flat.size and values.dtype.kind in "biu":
        low, high = int(flat.min()), int(flat.max())
        if high - low < max(4 * flat.size, 1 << 12) and high < 1 << 62:
            place = flat.astype(np.int64) - low if low or flat.dtype != np.int64 else flat
            counts = np.bincount(place)
            found = np.flatnonzero(counts)
            inverse = (np.cumsum(counts != 0) - 1)[place].reshape(values.shape) if want_inverse else None
            return (found + low).astype(values.dtype), inverse, counts[found]
    order = np.argsort(flat) if want_inverse else None
    ranked = np.sort(flat) if order is None else flat[order]
    fresh = np.ones(flat.size, bool)
    fresh[1:] = ranked[1:] != ranked[:-1]
    starts = np.flatnonzero(fresh)
    inverse = None
    if order is not None:
        inverse = np.empty(flat.size, np.int64)
        inverse[order] = np.cumsum(fresh) - 1
        inverse = inverse.reshape(values.shape)
    return ranked[starts], inverse, np.diff(np.append(starts, flat.size))


@function()
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements (or slices along ``dim``) in order, with indices into them and counts on demand."""
    seen, values = input._spec, _host(input)
    if dim is None:
        out, inverse, counts = _distinct(values, return_inverse)
    else:
        d = wrap_dim(dim, seen.ndim)
        out, inverse, counts = np.unique(values, return_inverse=True, return_counts=True, axis=d, equal_nan=False)
        inverse = inverse.reshape(-1)
    return _results(_tensor(out, seen.dtype, seen.device), inverse, counts, return_inverse, return_counts)


@function()
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The first element (or slice along ``dim``) of each run of equal ones, with indices and counts on demand."""
    seen, values = input._spec, _host(input)
    d = None if dim is None else wrap_dim(dim, seen.ndim)
    rows = values.reshape(-1, 1) if d is None else np.moveaxis(values, d, 0).reshape(values.shape[d], -1)
    fresh = np.ones(len(rows), bool)
    if len(rows) > 1:
        fresh[1:] = (rows[1:] != rows[:-1]).any(1)
    starts = np.flatnonzero(fresh)
    inverse = np.cumsum(fresh) - 1
    counts = np.diff(np.append(starts, len(rows)))
    out = values.reshape(-1)[starts] if d is None else np.take(values, starts, d)
    inverse = inverse.reshape(values.shape) if d is None else inverse
    return _results(_tensor(out, seen.dtype, seen.device), inverse, counts, return_inverse, return_counts)
