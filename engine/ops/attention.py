"""Scaled dot-product attention, composed of products and a softmax."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor
from ..graph.spec import Spec
from .creation import arange_of, cast
from .dropout import dropout
from .matmul import matmul
from .op import Op, function, scalar_type_name
from .pointwise import compute
from .reduce import _softmax_back, softmax


def _safe_lower(b: Any, x: Any) -> Any:
    """softmax along the last dimension, zero where all is -inf."""
    v = compute(x)
    top = b.max(v, [v.ndim - 1], True)
    empty = b.eq(top, -math.inf)
    e = b.exp(v - b.where(empty, 0.0, top))
    return b.where(empty, 0.0, e / b.sum(e, [v.ndim - 1], True)).cast(x.dtype)


_safe_softmax = Op(
    "_safe_softmax", lambda x: (tuple(x.shape), x.dtype), _safe_lower,
    lambda ctx, g: (_softmax_back((g, ctx.outputs[0]), (ctx.specs[0].ndim - 1,)),), saves_out=(0,),
)  # fmt: skip


def _check(q: Spec, k: Spec, v: Spec, mask: Tensor | None, is_causal: bool) -> None:
    if min(q.ndim, k.ndim, v.ndim) < 2:
        raise RuntimeError(
            f"Both query, key and value must be at least 2 dimensional, but got query dim: {q.ndim}, key dim: "
            f"{k.ndim}, value dim: {v.ndim} instead"
        )
    if not q.dtype is k.dtype is v.dtype:
        names = [f"{n}.dtype: {s.dtype}" for n, s in (("query", q), ("key", k), ("value", v))]
        raise RuntimeError(
            f"Expected query, key, and value to have the same dtype, but got {names[0]} {names[1]} and {names[2]} "
            f"instead."
        )
    if mask is None:
        return
    m = mask._spec
    if m.dtype is not dtypes.bool and m.dtype is not q.dtype and m.dtype is not dtypes.float32:
        raise RuntimeError(
            f"Expected attn_mask dtype to be bool or float or to match query dtype, but got attn_mask.dtype: "
            f"{scalar_type_name(m.dtype)} and  query.dtype: {scalar_type_name(q.dtype)} instead."
        )
    if is_causal:
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")


def _repeated(x: Tensor, heads: int, name: str) -> Tensor:
    """Key or value heads, each repeated for its group of query heads."""
    seen = x._spec
    have = seen.shape[-3]
    if have == heads:
        return x
    if have == 0 or heads % have:
        raise RuntimeError(
            f"Number of heads in key and value must divide the number of heads in query, got {have} {name} heads and "
            f"{heads} query heads"
        )
    lead, tail = seen.shape[:-3], seen.shape[-2:]
    return x.unsqueeze(-3).expand(*lead, have, heads // have, *tail).reshape(*lead, heads, *tail)


@function(torch=False, method=False, functional=True)
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(query key^T * scale + mask) value (Vaswani et al. 2017).

    Shapes: query (..., L, E), key (..., S, E), value (..., S, Ev), result (..., L, Ev); leading dimensions broadcast.
    ``attn_mask`` (broadcastable to (..., L, S)): True where a key takes part, or numbers to add. ``is_causal``:
    position i sees keys up to i. ``scale`` defaults to 1 / sqrt(E). ``enable_gqa``: fewer heads (dimension -3) of key
    and value. Rows that see no key are zero.
    """
    q, k, v = query._spec, key._spec, value._spec
    _check(q, k, v, attn_mask, is_causal)
    if enable_gqa:
        key, value = _repeated(key, q.shape[-3], "key"), _repeated(value, q.shape[-3], "value")
    factor = 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale
    if q.dtype.itemsize == 2:  # scores would lose digits, or overflow
        query, key, value = (cast(t, dtypes.float32) for t in (query, key, value))
    scores = matmul(query, key.transpose(-2, -1)) * factor
    hidden = None
    if is_causal:
        rows = arange_of(0, q.shape[-2], 1, dtypes.int64, q.device).unsqueeze(1)
        hidden = arange_of(0, k.shape[-2], 1, dtypes.int64, q.device) > rows
    elif attn_mask is not None and attn_mask._spec.dtype is dtypes.bool:
        hidden = ~attn_mask
    elif attn_mask is not None:
        scores = scores + cast(attn_mask, scores._spec.dtype)
    if hidden is not None:
        scores = scores.masked_fill(hidden, float("-inf"))
    weights = softmax(scores, -1) if attn_mask is None else _safe_softmax((scores,))
    if dropout_p:
        weights = dropout(weights, dropout_p, True)
    return cast(matmul(weights, value), q.dtype)
