"""Multi-head attention (Vaswani et al. 2017)."""

from __future__ import annotations

import math
import warnings
from typing import Any

from engine import dtypes, ops
from engine.tensor import Tensor

from .dropout import dropout
from .linear import linear

__all__ = ["multi_head_attention_forward", "scaled_dot_product_attention"]

scaled_dot_product_attention = ops.scaled_dot_product_attention


def canonical_mask(
    mask: Tensor | None,
    mask_name: str,
    other_type: Any,
    other_name: str,
    target_type: Any,
    check_other: bool = True,
) -> Tensor | None:
    """A boolean mask (True: leave out) as additive mask of ``target_type``; floating masks as they are."""
    if mask is None:
        return None
    if mask.dtype != dtypes.bool_ and not mask.is_floating_point():
        raise RuntimeError(f"only bool and floating types of {mask_name} are supported")
    if check_other and other_type is not None and mask.dtype != other_type:
        warnings.warn(
            f"Support for mismatched {mask_name} and {other_name} is deprecated. Use same type for both instead.",
            stacklevel=3,
        )
    if mask.is_floating_point():
        return mask
    return ops.zeros(mask.shape, dtype=target_type, device=mask.device).masked_fill(mask, float("-inf"))


def _check_shapes(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None,
    attn_mask: Tensor | None,
    num_heads: int,
) -> bool:
    """Whether the inputs have a batch dimension; AssertionError where dimensions do not go together."""
    if query.dim() not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D query tensor"
        )
    batched = query.dim() == 3
    ndim, kind = (3, "batched (3-D)") if batched else (2, "unbatched (2-D)")
    if key.dim() != ndim or value.dim() != ndim:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {ndim}-D but found {key.dim()}-D and "
            f"{value.dim()}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != ndim - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {ndim - 1}-D but found "
            f"{key_padding_mask.dim()}-D tensor instead"
        )
    if attn_mask is not None:
        if attn_mask.dim() not in (2, 3):
            raise AssertionError(
                f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {attn_mask.dim()}-D "
                "tensor instead"
            )
        if not batched and attn_mask.dim() == 3:
            expected = (num_heads, query.shape[0], key.shape[0])
            if tuple(attn_mask.shape) != expected:
                raise AssertionError(f"Expected `attn_mask` shape to be {expected} but got {tuple(attn_mask.shape)}")
    return batched


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """linear of (L, N, E); what lies in memory as (N, L, E) is read as it lies, and so does the result."""
    turned = x.transpose(0, 1)
    if turned.is_contiguous() and not x.is_contiguous():
        return linear(turned, weight, bias).transpose(0, 1)
    return linear(x, weight, bias)


def _project_packed(
    q: Tensor, k: Tensor, v: Tensor, weight: Tensor, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Input projections by the stacked (3 E, E) weight; equal inputs share one matmul."""
    embed = q.size(-1)
    if q is k and k is v:
        return tuple(_linear(q, weight, bias).chunk(3, -1))
    if k is v:
        w_q, w_kv = weight.split([embed, 2 * embed])
        b_q, b_kv = (None, None) if bias is None else bias.split([embed, 2 * embed])
        return (_linear(q, w_q, b_q), *_linear(k, w_kv, b_kv).chunk(2, -1))
    w_q, w_k, w_v = weight.chunk(3)
    b_q, b_k, b_v = (None, None, None) if bias is None else bias.chunk(3)
    return _linear(q, w_q, b_q), _linear(k, w_k, b_k), _linear(v, w_v, b_v)


def _project_separately(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    weights: tuple[Tensor | None, Tensor | None, Tensor | None],
    bias: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    embed = q.size(-1)
    for name, weight, width in zip("qkv", weights, (embed, k.size(-1), v.size(-1)), strict=True):
        if weight is None:
            raise AssertionError(f"use_separate_proj_weight is True but {name}_proj_weight is None")
        if tuple(weight.shape) != (embed, width):
            raise AssertionError(f"expecting {name} weights shape of {(embed, width)}, but got {tuple(weight.shape)}")
    biases = (None, None, None) if bias is None else bias.chunk(3)
    return tuple(_linear(x, w, b) for x, w, b in zip((q, k, v), weights, biases, strict=True))


def _check_mask_shape(attn_mask: Tensor, target: int, source: int, batch_heads: int) -> Tensor:
    if attn_mask.dim() == 2:
        if tuple(attn_mask.shape) != (target, source):
            raise RuntimeError(f"The shape of the 2D attn_mask is {attn_mask.shape}, but should be {(target, source)}.")
        return attn_mask.unsqueeze(0)
    if tuple(attn_mask.shape) != (batch_heads, target, source):
        raise RuntimeError(
            f"The shape of the 3D attn_mask is {attn_mask.shape}, but should be {(batch_heads, target, source)}."
        )
    return attn_mask


def _widen(mask: Tensor | None) -> Tensor | None:
    """One more key position that every query may see."""
    return None if mask is None else ops.constant_pad_nd(mask, (0, 1), 0.0)


def _heads(x: Tensor, num_heads: int, head_dim: int) -> Tensor:
    """(L, N, E) to (N, heads, L, head_dim), without a copy."""
    return x.reshape(x.size(0), x.size(1), num_heads, head_dim).permute(1, 2, 0, 3)


def _static(x: Tensor, name: str, batch: int, num_heads: int, head_dim: int) -> Tensor:
    if x.size(0) != batch * num_heads:
        raise AssertionError(f"expecting {name}.size(0) of {batch * num_heads}, but got {x.size(0)}")
    if x.size(2) != head_dim:
        raise AssertionError(f"expecting {name}.size(2) of {head_dim}, but got {x.size(2)}")
    return x.reshape(batch, num_heads, *x.shape[1:])


def _attend_with_weights(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout_p: float
) -> tuple[Tensor, Tensor]:
    """Explicit attention on (N, heads, L, head_dim); also returns the weights after dropout."""
    scores = (q * math.sqrt(1.0 / q.size(-1))).matmul(k.transpose(-2, -1))
    weights = ops.softmax(scores if mask is None else scores + mask, -1)
    if dropout_p > 0.0:
        weights = dropout(weights, p=dropout_p)
    return weights.matmul(v), weights


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """(output, attention weights or None).

    query (L, N, E), key (S, N, Ek), value (S, N, Ev), or without N. ``key_padding_mask`` (N, S) and ``attn_mask``
    (L, S) or (N * heads, L, S) are boolean (True: leave out) or additive. Output like query; weights (N, L, S), or
    (N, heads, L, S) when not averaged. ``is_causal`` is a hint about ``attn_mask``, which it needs.
    """
    batched = _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = _with_batch(query, key, value)
        key_padding_mask = None if key_padding_mask is None else key_padding_mask.unsqueeze(0)
    target, batch, embed = query.shape
    head_dim = _head_dim(embed, embed_dim_to_check, num_heads)
    attn_mask, key_padding_mask, is_causal = _prepare_masks(query, attn_mask, key_padding_mask, is_causal, need_weights)
    separate = (q_proj_weight, k_proj_weight, v_proj_weight) if use_separate_proj_weight else None
    q, k, v = _project(query, key, value, in_proj_weight, separate, in_proj_bias)

    rows = batch * num_heads
    if attn_mask is not None:
        attn_mask = _check_mask_shape(attn_mask, target, key.size(0), rows)
    extra = _extra_keys(bias_k, bias_v, static_k, static_v, batch, embed)
    if extra is not None:
        k, v = ops.cat([k, extra[0]]), ops.cat([v, extra[1]])
        attn_mask, key_padding_mask = _widen(attn_mask), _widen(key_padding_mask)
    q = _heads(q, num_heads, head_dim)
    k, v = (
        _heads(x, num_heads, head_dim) if given is None else _static(given, name, batch, num_heads, head_dim)
        for x, given, name in ((k, static_k, "static_k"), (v, static_v, "static_v"))
    )
    if add_zero_attn:
        nothing = ops.zeros((batch, num_heads, 1, head_dim), dtype=k.dtype, device=k.device)
        k, v = ops.cat([k, nothing], 2), ops.cat([v, nothing], 2)
        attn_mask, key_padding_mask = _widen(attn_mask), _widen(key_padding_mask)
    attn_mask = _merge_padding(attn_mask, key_padding_mask, batch, num_heads, k.size(2))
    dropout_p = dropout_p if training else 0.0

    weights = None
    if need_weights:
        context, weights = _attend_with_weights(q, k, v, attn_mask, dropout_p)
        weights = weights.mean(1) if average_attn_weights else weights
    else:
        context = scaled_dot_product_attention(q, k, v, attn_mask, dropout_p, is_causal)
    output = _linear(_joined(context, target, batch, embed), out_proj_weight, out_proj_bias)
    if batched:
        return output, weights
    return output.squeeze(1), None if weights is None else weights.squeeze(0)


def _joined(context: Tensor, target: int, batch: int, embed: int) -> Tensor:
    """(N, heads, L, head_dim) to (L, N, E), in the order in which it lies in memory if that is one of the two."""
    first = context.permute(2, 0, 1, 3)
    if first.is_contiguous():
        return first.reshape(target, batch, embed)
    return context.transpose(1, 2).reshape(batch, target, embed).transpose(0, 1)


def _with_batch(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(L, E) to (L, 1, E); identical inputs stay identical."""
    q = query.unsqueeze(1)
    k = q if key is query else key.unsqueeze(1)
    return q, k, k if value is key else value.unsqueeze(1)


def _head_dim(embed: int, expected: int, num_heads: int) -> int:
    if embed != expected:
        raise AssertionError(f"was expecting embedding dimension of {expected}, but got {embed}")
    if embed % num_heads:
        raise AssertionError(f"embed_dim {embed} not divisible by num_heads {num_heads}")
    return embed // num_heads


def _project(
    query: Tensor, key: Tensor, value: Tensor, packed: Tensor | None, separate: tuple | None, bias: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Input projections, with one weight for all three or with ``separate`` ones."""
    if separate is not None:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}"
            )
        return _project_separately(query, key, value, separate, bias)
    if key.shape != value.shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
    if packed is None:
        raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
    return _project_packed(query, key, value, packed, bias)


def _extra_keys(
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    static_k: Tensor | None,
    static_v: Tensor | None,
    batch: int,
    embed: int,
) -> tuple[Tensor, Tensor] | None:
    """The learned additional key and value, for every sample."""
    if (bias_k is None) != (bias_v is None):
        raise AssertionError("bias_k and bias_v must both be given or both be None")
    if bias_k is None:
        return None
    if static_k is not None or static_v is not None:
        raise AssertionError("bias cannot be added to static key or value.")
    return bias_k.expand(1, batch, embed), bias_v.expand(1, batch, embed)


def _prepare_masks(
    query: Tensor,
    attn_mask: Tensor | None,
    key_padding_mask: Tensor | None,
    is_causal: bool,
    need_weights: bool,
) -> tuple[Tensor | None, Tensor | None, bool]:
    """Both masks in additive form, and whether the causal hint may replace ``attn_mask``."""
    other = None if attn_mask is None else attn_mask.dtype
    key_padding_mask = canonical_mask(key_padding_mask, "key_padding_mask", other, "attn_mask", query.dtype)
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    if is_causal and key_padding_mask is None and not need_weights:
        return None, None, True
    attn_mask = canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, check_other=False)
    return attn_mask, key_padding_mask, is_causal and key_padding_mask is None and attn_mask is None


def _merge_padding(
    attn_mask: Tensor | None, key_padding_mask: Tensor | None, batch: int, num_heads: int, source: int
) -> Tensor | None:
    """The mask as (1 or N, 1 or heads, L, S), with the (N, S) padding mask added."""
    if attn_mask is not None:
        if attn_mask.size(0) == 1:
            attn_mask = attn_mask.unsqueeze(0)
        else:
            attn_mask = attn_mask.reshape(batch, num_heads, *attn_mask.shape[1:])
    if key_padding_mask is None:
        return attn_mask
    if tuple(key_padding_mask.shape) != (batch, source):
        raise AssertionError(
            f"expecting key_padding_mask shape of {(batch, source)}, but got {tuple(key_padding_mask.shape)}"
        )
    rows = key_padding_mask.reshape(batch, 1, 1, source)
    return rows if attn_mask is None else attn_mask + rows
