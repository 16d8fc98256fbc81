"""Finding things: positions of nonzero elements, membership, places in sorted sequences, counts by value."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.variable import Tensor
from ..graph.codegen import storage
from ..graph.library import reference
from ..graph.library.call import Int, KernelCall, Operand
from ..graph.native import Native
from ..graph.scalar import c_type
from ..graph.spec import Spec
from .creation import FULL, cast, from_array, zeros_of
from .factories import linspace
from .op import Op
from .pointwise import broadcast_shapes, check_kind, is_number
from .publish import function
from .reduce import named
from .scatter_kernel import load_save


def _host(t: Tensor) -> np.ndarray:
    """Content as a NumPy array (bfloat16 as float32)."""
    t = t.detach().cpu()
    return (t.float() if t._spec.dtype is dtypes.bfloat16 else t).numpy()


# -- nonzero ----------------------------------------------------------------------------------------------------------
@function(out=True)
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """(n, ndim) indices of the nonzero elements in row-major order; with ``as_tuple`` one vector a dimension."""
    seen = input._spec
    values = _host(input)
    if as_tuple:
        found = np.nonzero(values.reshape(1) if not seen.ndim else values)
        return tuple(from_array(f.astype(np.int64, copy=False), dtypes.int64, seen.device) for f in found)
    found = np.argwhere(values) if seen.ndim else np.zeros((int(values.any()), 0), np.int64)
    return from_array(found.astype(np.int64, copy=False), dtypes.int64, seen.device)


@function()
def argwhere(input: Tensor) -> Tensor:
    """(n, ndim) indices of the nonzero elements."""
    return nonzero(input)


@function(out=True)
def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """nonzero cut or filled up to ``size`` rows."""
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    found = _host(nonzero(input))[:size]
    rows = np.full((size, input._spec.ndim), fill_value, np.int64)
    rows[: len(found)] = found
    return from_array(rows, dtypes.int64, input._spec.device)


@function(out=True)
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the (broadcast) mask holds, as a vector."""
    if mask._spec.dtype is not dtypes.bool:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes(input._spec.shape, mask._spec.shape)
    if not shape:
        return input.reshape(1)[mask.reshape(1)]
    return input.expand(*shape)[mask.expand(*shape)]


# -- sorted sequences -------------------------------------------------------------------------------------------------
def _search_rule(seq: Spec, values: Spec, sorter: Spec, right: bool, dtype: dtypes.dtype, sort: bool) -> Any:
    return tuple(values.shape), dtype


def _search_lower(b: Any, seq: Any, values: Any, sorter: Any, right: bool, dtype: dtypes.dtype, sort: bool) -> Any:
    n = seq.shape[-1]
    common = dtypes.promote_types(seq.dtype, values.dtype)
    seq, values, sorter = seq.cast(common).contiguous(), values.cast(common).contiguous(), sorter.contiguous()
    shared = seq.ndim == 1
    per_row = values.size if shared else values.shape[-1]
    load, _ = load_save(common)
    options = (
        f"-DT={storage(common)}", f"-DC={c_type(common)}", f"-DLOAD(x)={load}", f"-DRIGHT={int(right)}",
        f"-DSORTER={int(sort)}", f"-DFLOAT={int(common.is_floating_point)}",
    )  # fmt: skip
    count = values.size

    def calls(caps: Any) -> list[KernelCall]:
        groups = min(count, max(1, caps.compute_units)) if count > 256 else 1
        if caps.kind == "gpu":
            groups = -(-count // 64)
        block = -(-count // groups)
        args = (Operand("out"), Operand("seq"), Operand("values"), Operand("sorter"), Int(n), Int(per_row), Int(count),
                Int(0 if shared else n), Int(block))  # fmt: skip
        return [KernelCall("search.cl", "eng_search", (groups,), (1,), args, options)]

    native = Native(
        "search",
        ("seq", "values", "sorter"),
        ("out",),
        ((values.shape, dtypes.int64),),
        calls,
        False,
        ("math.cl",),
        reference.search(right, sort),
    )
    return b.kernel(native, (seq, values, sorter), native.outputs)[0].cast(dtype)


_search = Op("searchsorted", _search_rule, _search_lower)


@function(out=True, method=False)
def searchsorted(
    sorted_sequence: Tensor, input: Any, *, out_int32: bool = False, right: bool = False, side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Where each value would be inserted so that the innermost dimension of ``sorted_sequence`` stays in order.

    ``right`` (or side="right"): after equal elements. ``sorter``: indices that sort an unsorted sequence.
    """
    seq = sorted_sequence._spec
    if side is not None and side not in ("left", "right"):
        raise RuntimeError(f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError(
            f"torch.searchsorted(): side and right can't be set to opposites, got side of {side} while right was True"
        )
    if is_number(input):
        input = from_array(np.asarray(input), None, seq.device)
        if seq.ndim != 1:
            raise RuntimeError(
                "torch.searchsorted(): input value can be a scalar only when boundaries tensor dimension is 1, but we "
                "got "
                f"boundaries tensor dim({seq.ndim}) and input value's dim(0) numel(1)"
            )
        input = cast(input, seq.dtype) if not (input._spec.floating and not seq.floating) else input
    if not seq.ndim:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 dimension"
        )
    seen = input._spec
    if seq.ndim != 1 and (seq.ndim != seen.ndim or seq.shape[:-1] != seen.shape[:-1]):
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
            "tensor and "
            f"input value tensor must match, but we got boundaries tensor {list(seq.shape)} and input value tensor "
            f"{list(seen.shape)}"
        )
    if sorter is not None and sorter._spec.shape != seq.shape:
        raise RuntimeError(
            "torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor "
            f"{list(seq.shape)}and got sorter tensor {list(sorter._spec.shape)}"
        )
    if sorter is not None and sorter._spec.dtype is not dtypes.int64:
        raise RuntimeError(
            f"torch.searchsorted(): sorter must be a tensor of long dtype but got dtype {sorter._spec.dtype}"
        )
    order = sorter if sorter is not None else zeros_of((1,), dtypes.int64, seq.device)
    dtype = dtypes.int32 if out_int32 else dtypes.int64
    if not seen.numel:
        return zeros_of(tuple(seen.shape), dtype, seq.device)
    return _search(
        (sorted_sequence.detach(), input.detach(), order), (right or side == "right", dtype, sorter is not None)
    )


@function(out=True, method=False)
def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """Index of the bucket, between sorted ``boundaries`` (a vector), that each value belongs to."""
    if boundaries._spec.ndim != 1:
        raise RuntimeError(f"bucketize(): boundaries tensor must be 1 dimension, but got dim({boundaries._spec.ndim})")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


# -- membership -------------------------------------------------------------------------------------------------------
@function(method=False, out=True)
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Whether each element is among ``test_elements`` (or, with ``invert``, is not)."""
    if is_number(test_elements):
        hit = elements == test_elements
        return ~hit if invert else hit
    if is_number(elements):
        hit = (test_elements == elements).any()
        return ~hit if invert else hit
    seen, tests = elements._spec, test_elements.reshape(-1)
    if not tests._spec.numel:
        hit = zeros_of(tuple(seen.shape), dtypes.bool, seen.device)
    elif tests._spec.numel <= 16:
        hit = (elements.unsqueeze(-1) == tests).any(-1)
    else:
        dtype = dtypes.promote_types(seen.dtype, tests._spec.dtype)
        ordered = tests.to(dtype).sort()[0]
        values = elements.to(dtype)
        place = searchsorted(ordered, values).clamp(max=tests._spec.numel - 1)
        hit = ordered[place] == values
    return ~hit if invert else hit


# -- counts -----------------------------------------------------------------------------------------------------------
@function()
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often (or with what total weight) each non-negative integer occurs."""
    seen = input._spec
    if seen.ndim != 1 or seen.floating or seen.dtype is dtypes.bool:
        if seen.floating or seen.dtype is dtypes.bool:
            check_kind("bincount_cpu", seen.dtype, "iu")
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is not None and weights._spec.shape != seen.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    if weights is None:
        dtype = dtypes.int64
    else:
        dtype = weights._spec.dtype if weights._spec.dtype is dtypes.float32 else dtypes.float64
    if not seen.numel:
        return zeros_of((minlength,), dtypes.int64 if weights is None else dtype, seen.device)
    values = _host(input)
    if values.min() < 0:
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    size = max(int(values.max()) + 1, minlength)
    ones = FULL((seen.numel,), 1, dtype, seen.device) if weights is None else weights.detach().to(dtype)
    return zeros_of((size,), dtype, seen.device).index_add(0, input.to(dtypes.int64), ones)


def _span(values: np.ndarray, low: float, high: float, name: str, widen: float) -> tuple[float, float]:
    """Limits of the bins, those of the data where both are equal, ``widen`` on either side of a single value."""
    if low == high and values.size:
        low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(f"{name}: range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError(f"{name}: max must be larger than min")
    if low == high:
        low, high = low - widen, high + widen
    return low, high


def _counts(counts: np.ndarray, seen: Spec) -> Tensor:
    return from_array(dtypes.to_storage(counts.astype(np.float64), seen.dtype), seen.dtype, seen.device)


@function(out=True)
def histc(input: Tensor, bins: int = 100, min: Any = 0, max: Any = 0) -> Tensor:
    """Counts in ``bins`` equal bins between min and max (both 0: those of the data), in the input's dtype."""
    seen = input._spec
    if bins <= 0:
        raise RuntimeError("bins must be > 0")
    check_kind("histogram_cpu", seen.dtype, "f")
    values = _host(input).reshape(-1)
    low, high = _span(values, float(min), float(max), "torch.histc", 1.0)
    inside = values[(values >= low) & (values <= high)]
    place = np.minimum(((inside.astype(np.float64) - low) * bins / (high - low)).astype(np.int64), bins - 1)
    counts = np.bincount(place, minlength=bins)
    return _counts(counts, seen)


HistogramResult = named("histogram", "hist bin_edges")
HistogramddResult = named("histogramdd", "hist bin_edges")


@function(out=True)
def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """(counts, edges) for a number of equal bins or for given edges."""
    hist, edges = _histogram(input.reshape(-1, 1), [bins], range, weight, density, "histogram")
    return HistogramResult(hist, edges[0])


@function()
def histogramdd(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """Counts over D dimensions for (..., D) points; ``bins``: a number, a number a dimension, or edges a dimension."""
    dims = input._spec.shape[-1]
    per_dim = [bins] * dims if isinstance(bins, int) else list(bins)
    if len(per_dim) != dims:
        raise RuntimeError(
            f"torch.histogramdd: expected {dims} bin counts or sequences for a {dims}-dimensional histogram but got "
            f"{len(per_dim)}"
        )
    hist, edges = _histogram(input.reshape(-1, dims), per_dim, range, weight, density, "histogramdd")
    return HistogramddResult(hist, tuple(edges))


def _histogram(points: Tensor, bins: list, span: Any, weight: Any, density: bool, name: str) -> tuple:
    seen = points._spec
    check_kind("histogram_cpu" if name == "histogram" else "histogramdd_cpu", seen.dtype, "f")
    data = _host(points)
    edges = []
    for d, b in enumerate(bins):
        if isinstance(b, Tensor):
            edges.append(b.detach())
            continue
        low, high = (0.0, 0.0) if span is None else (float(span[2 * d]), float(span[2 * d + 1]))
        if span is None and not len(data):
            low, high = 0.0, 1.0
        low, high = _span(data[:, d], low, high, f"torch.{name}", 0.5)
        edges.append(linspace(low, high, int(b) + 1, dtype=seen.dtype, device=seen.device))
    sizes = [e._spec.numel - 1 for e in edges]
    flat, inside = np.zeros(len(data), np.int64), np.ones(len(data), bool)
    for d, e in enumerate(edges):
        border = _host(e)
        column = np.ascontiguousarray(data[:, d])
        place = np.searchsorted(border, column, "right") - 1
        place[column == border[-1]] = sizes[d] - 1
        inside &= (place >= 0) & (place < sizes[d])
        flat = flat * sizes[d] + place
    weights = None if weight is None else _host(weight).reshape(-1).astype(np.float64)[inside]
    counts = np.bincount(flat[inside], weights, prod(sizes)).reshape(sizes).astype(np.float64)
    if density:
        total = counts.sum()
        for d, e in enumerate(edges):
            widths = np.diff(_host(e).astype(np.float64))
            counts = counts / widths.reshape([-1 if k == d else 1 for k in np.arange(len(edges))])
        counts = counts / total
    return _counts(counts, seen), edges


@function(method=False)
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Coordinates, one tensor a dimension, of flat row-major indices into ``shape``."""
    if indices._spec.floating or indices._spec.dtype is dtypes.bool:
        raise ValueError(f"expected 'indices' to be an integer dtype, but got {indices._spec.dtype}")
    sizes = (shape,) if isinstance(shape, int) else tuple(int(s) for s in shape)
    if any(s < 0 for s in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
    out, rest = [], indices.to(dtypes.int64)
    for size in reversed(sizes):
        out.append(rest % size if size else rest)
        rest = rest // size if size else rest
    return tuple(reversed(out))
