"""Look-up of rows of a table."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from ..graph.spec import Spec
from .creation import cast
from .on_host import host_values
from .op import Op
from .pointwise import compute
from .publish import function
from .scatter_kernel import scatter_rows


def _rows(b: Any, index: Any, table: int) -> Any:
    """The indices in one dimension, checked on the device: negative ones are errors here."""
    return b.pw("check", index.cast(dtypes.int64).reshape((index.size,)), b.const(table, dtypes.int64))


def _lower(b: Any, weight: Any, index: Any, padding: int, by_freq: bool) -> Any:
    table, width = weight.shape
    count = index.size
    rows = _rows(b, index, table).unsqueeze(1) * width + b.iota((count, width), 1)
    return b.take(weight, rows).reshape((*index.shape, width))


def _grad(ctx: Any, g: Tensor) -> tuple:
    return _backward((g, ctx.inputs[1]), (ctx.specs[0].shape[0], *ctx.static)), None


# Static: rows of the table, the row without a gradient (-1: none), whether each row's gradient is divided by its count.
def _back_lower(b: Any, g: Any, index: Any, table: int, padding: int, by_freq: bool) -> Any:
    width, count = g.shape[-1], index.size
    zeros = b.const(0, g.dtype, (table, width))
    if not count or not width:
        return zeros.contiguous()
    rows = index.reshape((count,))
    g = g.reshape((count, width))
    if padding >= 0:
        g = b.where(rows.eq(padding).unsqueeze(1), 0, g)
    out = scatter_rows(b, zeros, table, width, rows, g, "add", wrap=False).reshape((table, width))
    if not by_freq:
        return out
    ones = b.const(1, dtypes.int64, (count,))
    counts = b.const(0, dtypes.int64, (table,))
    counts = scatter_rows(b, counts, table, 1, rows, ones, "add", wrap=False).reshape((table, 1))
    acc = compute(out)
    return (acc / b.pw("max", counts, 1).cast(acc.dtype)).cast(g.dtype)


def _back_grad(ctx: Any, h: Tensor) -> tuple:
    """The backward pass is linear in g: rows of h, without the padding row, over the counts."""
    index = ctx.inputs[1]
    table, padding, by_freq = ctx.static
    out = _embedding((h, index), (padding, by_freq))
    if padding >= 0:
        out = out.masked_fill((index == padding).unsqueeze(-1), 0)
    if by_freq:
        flat = index.reshape(-1)
        ones = cast(flat * 0 + 1, h._spec.dtype)
        counts = ones.new_zeros(table).index_add(0, flat, ones)
        out = out / counts[flat].reshape(*index._spec.shape, 1)
    return out, None


_embedding = Op(
    "embedding", lambda w, index, *_: ((*index.shape, w.shape[1]), w.dtype), _lower, _grad, saves=(1,),
)  # fmt: skip
_backward = Op(
    "embedding_backward", lambda g, index, table, *_: ((table, g.shape[-1]), g.dtype), _back_lower, _back_grad,
    saves=(1,),
)  # fmt: skip


def _check(w: Spec, index: Spec) -> None:
    if w.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            f"Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"torch.{scalar_type_name(index.dtype)}Tensor instead (while checking arguments for embedding)"
        )


@function(method=False)
def embedding(
    weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False
) -> Tensor:
    """Rows of ``weight`` (V, D) at ``indices`` (any shape, int64 or int32): result (*, D).

    Row ``padding_idx`` gets no gradient; ``scale_grad_by_freq`` divides a row's gradient by how often it was used.
    Raises IndexError for an index out of range. Gradients are dense (``sparse`` changes nothing).
    """
    w, index = weight._spec, indices._spec
    _check(w, index)
    values = host_values(indices)
    if values is not None and (values.min() < 0 or values.max() >= w.shape[0]):
        raise IndexError("index out of range in self")
    padding = padding_idx if padding_idx >= 0 else -1
    return _embedding((weight, indices), (padding, bool(scale_grad_by_freq)))
