"""Scaled dot-product attention: fused kernels where there are some, else composed of products and a softmax."""

from __future__ import annotations

import math
from math import prod
from typing import Any

from .. import dtypes
from ..autograd.mode import mode
from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from ..graph.ir import broadcast
from ..graph.library import attention as library
from ..graph.log import DeviceLog, log_of
from ..graph.native import Native
from ..graph.spec import Spec, spec
from ..graph.view import View
from ..settings import settings
from .creation import arange_of, cast
from .dropout import dropout
from .matmul import matmul
from .op import Op, dense_strides, memory_order
from .pointwise import compute
from .publish import function
from .softmax import _softmax_back, softmax

_HEADS = -3  # dimension of the heads in (..., heads, length, size)


# -- composed ---------------------------------------------------------------------------------------------------------
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


def _repeated(x: Tensor, heads: int) -> Tensor:
    """Key or value heads, each repeated for its group of query heads."""
    seen = x._spec
    have = seen.shape[_HEADS]
    if have == heads:
        return x
    lead, tail = seen.shape[:_HEADS], seen.shape[_HEADS + 1 :]
    return x.unsqueeze(_HEADS).expand(*lead, have, heads // have, *tail).reshape(*lead, heads, *tail)


def _weights(query: Tensor, key: Tensor, mask: Tensor | None, causal: bool, scale: float) -> Tensor:
    """softmax(query key^T * scale + mask)."""
    q, k = query._spec, key._spec
    scores = matmul(query, key.transpose(-2, -1)) * scale
    hidden = None
    if causal:
        rows = arange_of(0, q.shape[-2], 1, dtypes.int64, q.device).unsqueeze(1)
        hidden = arange_of(0, k.shape[-2], 1, dtypes.int64, q.device) > rows
    elif mask is not None and mask._spec.dtype is dtypes.bool:
        hidden = ~mask
    elif mask is not None:
        scores = scores + cast(mask, scores._spec.dtype)
    if hidden is not None:
        scores = scores.masked_fill(hidden, float("-inf"))
    return softmax(scores, -1) if mask is None else _safe_softmax((scores,))


def _composed(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, scale: float, dropout_p: float
) -> Tensor:
    """Attention with the matrix of weights."""
    weights = _weights(query, key, mask, causal, scale)
    if dropout_p:
        weights = dropout(weights, dropout_p, True)
    return matmul(weights, value)


def _composed_grads(ctx: Any, g: Tensor) -> tuple:
    """Gradients written with differentiable ops."""
    *_, causal, scale, _ = ctx.static
    query, key, value, *more = ctx.inputs
    heads = query._spec.shape[_HEADS] if query._spec.ndim > 2 else 1
    groups = [x._spec.shape[_HEADS] if x._spec.ndim > 2 and ctx.static[-1] else heads for x in (key, value)]
    if ctx.static[-1]:
        key, value = _repeated(key, heads), _repeated(value, heads)
    p = _weights(query, key, more[0] if more else None, causal, scale)
    dp = matmul(g, value.transpose(-2, -1))
    ds = p * (dp - (dp * p).sum(-1, True)) * scale
    dk, dv = matmul(ds.transpose(-2, -1), query), matmul(p.transpose(-2, -1), g)
    return matmul(ds, key), *(_summed(x, n, heads) for x, n in zip((dk, dv), groups))


def _summed(x: Tensor, groups: int, heads: int) -> Tensor:
    """Gradients of repeated heads, added."""
    if groups == heads:
        return x
    seen = x._spec
    return x.reshape(*seen.shape[:_HEADS], groups, heads // groups, *seen.shape[_HEADS + 1 :]).sum(_HEADS)


# -- fused ------------------------------------------------------------------------------------------------------------
# Static arguments: orders in which the results lie in memory (None: row-major), causal, scale, grouped heads.
class _Operands:
    """Operands of the kernels as (batch, heads, length, size), their steps, and the problem they state."""

    def __init__(self, q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: float, grouped: bool) -> None:
        self.lead = _lead(q.shape, k.shape, v.shape, grouped)
        self.key_lead = (*self.lead[:-1], k.shape[_HEADS]) if grouped else self.lead
        self.refs = {"q": self.rows(q), "k": self.rows(k), "v": self.rows(v)}
        self.steps = {name: ref.view.strides[:3] for name, ref in self.refs.items()}
        self.steps["mask"] = (0, 0, 0, 0)
        (batch, heads, lq, d), (*_, lk, e) = self.refs["q"].shape, self.refs["v"].shape
        if mask is not None:
            mask = _kept(mask).expand((*self.lead, lq, lk)).reshape((batch, heads, lq, lk))
            self.refs["mask"], self.steps["mask"] = mask, mask.view.strides
        self.problem = library.AttentionProblem(
            batch, heads, heads // self.refs["k"].shape[1], lq, lk, d, e, scale, causal,
            "" if mask is None else mask.dtype.name,
        )  # fmt: skip

    def rows(self, x: Any) -> Any:
        """(batch, heads, length, size) with adjacent elements in a row."""
        lead = self.lead if x.shape[:-2] != self.key_lead else self.key_lead
        x = _kept(x).expand((*lead, *x.shape[-2:])).reshape((*_two(lead), *x.shape[-2:]))
        return x if x.view.strides[3] == 1 or x.shape[3] == 1 else x.contiguous()

    def place(self, name: str, lead: tuple[int, ...], tail: tuple[int, int], order: Any) -> tuple[int, ...]:
        """Shape in memory of a result (*lead, *tail) whose dimensions lie there in ``order``; notes its steps."""
        shape = (*lead, *tail)
        view = View(shape, dense_strides(shape, order)).reshape((*_two(lead), *tail))
        self.steps[name] = view.strides[:3]
        return shape if order is None else tuple(shape[d] for d in order)


def _lead(q: tuple, k: tuple, v: tuple, grouped: bool) -> tuple[int, ...]:
    """The common leading dimensions, with the query's heads."""
    if grouped:
        return (*broadcast(q[:_HEADS], k[:_HEADS], v[:_HEADS]), q[_HEADS])
    return broadcast(tuple(q[:-2]), tuple(k[:-2]), tuple(v[:-2]))


def _two(lead: tuple[int, ...]) -> tuple[int, int]:
    return prod(lead[:-1]), lead[-1] if lead else 1


def _kept(x: Any) -> Any:
    """A value that lies in memory."""
    return x.contiguous() if x.val.kind in ("const", "scalar", "iota") else x


def _placed(ref: Any, order: Any) -> Any:
    """A result that lies in memory in ``order``, with its dimensions in their own order."""
    return ref if order is None else ref.permute(*(order.index(d) for d in range(len(order))))


def _split(args: tuple) -> tuple[Any, tuple]:
    """(mask or None, static arguments) of what follows the tensors that are always there."""
    return (args[0], args[1:]) if len(args) == 5 else (None, args)


def _forward_rule(q: Spec, k: Spec, v: Spec, *args: Any) -> list:
    _, (orders, _, _, grouped) = _split(args)
    lead = _lead(q.shape, k.shape, v.shape, grouped)
    shape = (*lead, q.shape[-2], v.shape[-1])
    return [
        spec(q.dtype, q.device, shape, dense_strides(shape, orders[0])),
        spec(dtypes.float32, q.device, (2, *lead, q.shape[-2])),
    ]


def _forward(b: Any, stats: bool, q: Any, k: Any, v: Any, *args: Any) -> list:
    mask, (orders, causal, scale, grouped) = _split(args)
    o = _Operands(q, k, v, mask, causal, scale, grouped)
    p = o.problem
    shape = o.place("out", o.lead, (p.lq, p.e), orders[0])
    outputs = ((shape, q.dtype), ((2, *o.lead, p.lq), dtypes.float32))
    native = Native(
        "attention", tuple(o.refs), ("out", "stats"), outputs,
        lambda caps: library.attention_forward(caps, p, o.steps, stats=stats), include=(library.TILES,),
    )  # fmt: skip
    out, rest = b.kernel(native, tuple(o.refs.values()), outputs)
    return [_placed(out, orders[0]), rest]


def _backward_rule(g: Spec, out: Spec, stats: Spec, q: Spec, k: Spec, v: Spec, *args: Any) -> list:
    _, (orders, _, _, grouped) = _split(args)
    lead = _lead(q.shape, k.shape, v.shape, grouped)
    leads = [lead, *(((*lead[:-1], k.shape[_HEADS]) if grouped else lead,) * 2)]
    shapes = [(*x, *s.shape[-2:]) for x, s in zip(leads, (q, k, v))]
    return [spec(q.dtype, q.device, s, dense_strides(s, order)) for s, order in zip(shapes, orders)]


def _backward(b: Any, g: Any, out: Any, stats: Any, q: Any, k: Any, v: Any, *args: Any) -> list:
    mask, (orders, causal, scale, grouped) = _split(args)
    o = _Operands(q, k, v, mask, causal, scale, grouped)
    p = o.problem
    for name, x in (("out", out), ("g", g)):
        o.refs[name] = o.rows(x)
        o.steps[name] = o.refs[name].view.strides[:3]
    o.refs["stats"] = stats
    tails = {"dq": (o.lead, (p.lq, p.d)), "dk": (o.key_lead, (p.lk, p.d)), "dv": (o.key_lead, (p.lk, p.e))}
    shapes = [o.place(name, *tail, order) for (name, tail), order in zip(tails.items(), orders)]
    outputs = tuple((shape, q.dtype) for shape in shapes)
    native = Native(
        "attention_backward", tuple(o.refs), tuple(tails), outputs,
        lambda caps: library.attention_backward(caps, p, o.steps), include=(library.TILES,),
    )  # fmt: skip
    found = b.kernel(native, tuple(o.refs.values()), outputs)
    return [_placed(x, order) for x, order in zip(found, orders)]


def _grads(ctx: Any, g: Tensor | None, _: Any) -> tuple:
    q, k, v, *more = ctx.inputs
    if mode.grad:
        return (*_composed_grads(ctx, g), *(None for _ in more))
    out, stats = ctx.outputs
    _, *static = ctx.static
    orders = tuple(_order(x._spec) for x in (q, k, v))
    return (*_attention_backward((g, out, stats, q, k, v, *more), (orders, *static)), *(None for _ in more))


def _ops(saves: tuple[int, ...]) -> Op:
    return Op(
        "scaled_dot_product_attention", _forward_rule, lambda b, *args: _forward(b, True, *args), _grads, saves=saves,
        saves_out=(0, 1), differentiable=(0,), grad_name="ScaledDotProductFlashAttentionForCpuBackward0",
    )  # fmt: skip


_attention, _masked_attention = _ops((0, 1, 2)), _ops((0, 1, 2, 3))
_attention_value = Op(
    "scaled_dot_product_attention", _forward_rule, lambda b, *args: _forward(b, False, *args)
)  # fmt: skip
_attention_backward = Op("scaled_dot_product_attention_backward", _backward_rule, _backward)


def _order(x: Spec) -> tuple[int, ...] | None:
    """The order of dimensions of a result like ``x``, which has four and rows of adjacent elements."""
    if x.contiguous or x.ndim != 4:
        return None
    order = memory_order([x])
    return tuple(order) if order is not None and order[-1] == 3 else None


def _suits(q: Spec, k: Spec, v: Spec, mask: Tensor | None, grouped: bool) -> bool:
    """Whether the kernels compute this: float32 (or less, converted), not empty, on a CPU device of its own."""
    if q.dtype.itemsize > 4 or not (q.numel and k.numel and v.numel):
        return False
    if mask is not None and mask._rg and mode.grad:
        return False
    if grouped and k.shape[_HEADS] != v.shape[_HEADS]:
        return False
    log = q.device.graph or log_of(q.device)
    if type(log) is not DeviceLog or settings.schedule == "gpu":
        return False
    return k.device is q.device is v.device and library.supports(log.runtime.caps, q.shape[-1], v.shape[-1])


def _fused(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, causal: bool, scale: float, grouped: bool) -> Tensor:
    static = ((_order(q._spec),), causal, scale, grouped)
    tensors = (q, k, v)
    if mask is not None:
        tensors = (q, k, v, mask if mask._spec.dtype is dtypes.bool else cast(mask, dtypes.float32))
    if mode.grad and (q._rg or k._rg or v._rg):
        return (_attention if mask is None else _masked_attention)(tensors, static)[0]
    return _attention_value(tensors, static)[0]


# -- public -----------------------------------------------------------------------------------------------------------
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


def _check_heads(heads: int, x: Spec, name: str) -> None:
    have = x.shape[_HEADS]
    if have != heads and (have == 0 or heads % have):
        raise RuntimeError(
            f"Number of heads in key and value must divide the number of heads in query, got {have} {name} heads and "
            f"{heads} query heads"
        )


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
    grouped = enable_gqa and k.ndim > 2
    if grouped:
        _check_heads(q.shape[_HEADS], k, "key")
        _check_heads(q.shape[_HEADS], v, "value")
        grouped = not k.shape[_HEADS] == v.shape[_HEADS] == q.shape[_HEADS]
    factor = 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale
    if q.dtype.itemsize == 2:  # scores would lose digits, or overflow
        query, key, value = (cast(t, dtypes.float32) for t in (query, key, value))
    if not dropout_p and _suits(q, k, v, attn_mask, grouped):
        out = _fused(query, key, value, attn_mask, is_causal, float(factor), grouped)
    else:
        if grouped:
            key, value = _repeated(key, q.shape[_HEADS]), _repeated(value, q.shape[_HEADS])
        out = _composed(query, key, value, attn_mask, is_causal, factor, dropout_p)
    return cast(out, q.dtype)
