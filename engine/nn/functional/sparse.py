"""Look-up in tables: embedding, embedding_bag, one_hot."""

from __future__ import annotations

import warnings

from engine import autograd, dtypes, ops
from engine.autograd.labels import shows
from engine.tensor import Tensor

__all__ = ["embedding", "embedding_bag", "one_hot"]


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """int64 tensor with one more dimension of size ``num_classes`` (-1: largest value + 1): 1 at the class, else 0."""
    if tensor.dtype != dtypes.int64:
        raise RuntimeError(f"one_hot is only applicable to index tensor of type LongTensor. Got: {tensor.dtype}")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return ops.empty((*tensor.shape, num_classes), dtype=tensor.dtype, device=tensor.device)
    if num_classes < -1 or num_classes == 0:
        raise RuntimeError("num_classes should be positive")
    if int(tensor.min()) < 0:
        raise RuntimeError("Class values must be non-negative.")
    largest = int(tensor.max())
    if num_classes == -1:
        num_classes = largest + 1
    elif largest >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    classes = ops.arange(num_classes, dtype=tensor.dtype, device=tensor.device)
    return (tensor.unsqueeze(-1) == classes).to(dtypes.int64)


def _renorm_rows(weight: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the looked-up rows of ``weight`` down to ``max_norm``, in place and outside autograd."""
    with autograd.no_grad():
        rows = indices.reshape(-1)
        table = weight.detach()
        picked = table.index_select(0, rows)
        norms = picked.norm(norm_type, 1, keepdim=True)
        scale = ops.where(norms > max_norm, max_norm / (norms + 1e-7), ops.ones_like(norms))
        # Repeated rows are written with equal values, so their order does not matter.
        table.index_copy_(0, rows, picked * scale)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of ``weight`` (V, D) at ``input`` (any shape, integer): result (*, D).

    Row ``padding_idx`` gets no gradient. With ``max_norm`` the rows used are first renormalised in place.
    """
    if padding_idx is None:
        padding_idx = -1
    else:
        if not -weight.size(0) <= padding_idx < weight.size(0):
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx = padding_idx % weight.size(0)
    if max_norm is not None:
        _renorm_rows(weight, input, max_norm, norm_type)
    return ops.embedding(weight, input, padding_idx, scale_grad_by_freq, sparse)


def _check_bag_arguments(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None,
    mode: str,
    per_sample_weights: Tensor | None,
    scale_grad_by_freq: bool,
    sparse: bool,
) -> None:
    if per_sample_weights is not None and input.size() != per_sample_weights.size():
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({list(per_sample_weights.shape)}) is not None, then it must have "
            f"the same shape as the input ({list(input.shape)})"
        )
    if weight.dim() != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}")
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                f"sequences. However, found offsets of type {type(offsets)}"
            )
    elif input.dim() == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.dim() != 1:
            raise ValueError("offsets has to be a 1D Tensor")
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}")
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and (scale_grad_by_freq or sparse):
        what = "scaling the gradient by the frequency" if scale_grad_by_freq else "sparse weights"
        raise ValueError(f"max mode does not support {what}")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' "
            f"(got mode='{mode}'). Please open a feature request on GitHub."
        )


@shows("EmbeddingBagBackward0")
def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sum, mean or maximum of the embeddings of each bag: result (B, D).

    ``input`` is (B, L), a bag a row, or (N,) with the bags' starts in ``offsets`` (and, with
    ``include_last_offset``, the end of the last). ``per_sample_weights`` (like input) scale the rows of mode "sum".
    Entries equal to ``padding_idx`` do not count; an empty bag gives zeros.
    """
    if weight.dtype in (dtypes.int64, dtypes.int32) and input.is_floating_point():
        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage `embedding_bag(weight, input, ...)` is "
            "deprecated, and should now be `embedding_bag(input, weight, ...)`.",
            stacklevel=2,
        )
        weight, input = input, weight
    _check_bag_arguments(input, weight, offsets, mode, per_sample_weights, scale_grad_by_freq, sparse)
    if padding_idx is not None:
        rows = weight.size(0)
        if not -rows <= padding_idx < rows:
            raise AssertionError(f"padding_idx must be within [-{rows}, {rows}), but got {padding_idx}")
        padding_idx %= rows
    if max_norm is not None:
        _renorm_rows(weight, input, max_norm, norm_type)
    flat = input.reshape(-1)
    rows = ops.embedding(weight, flat.to(dtypes.int64), -1, scale_grad_by_freq, sparse)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    counted = None if padding_idx is None else (flat != padding_idx).unsqueeze(-1)
    if input.dim() == 2:
        counted = None if counted is None else counted.reshape(*input.shape, 1)
        return _reduce_rows(rows.reshape(*input.shape, weight.size(1)), counted, mode)
    return _reduce_segments(rows, counted, mode, *_bags_from_offsets(input, offsets, include_last_offset))


def _reduce_rows(rows: Tensor, counted: Tensor | None, mode: str) -> Tensor:
    """Reduce (B, L, D) over L; ``counted`` (B, L, 1) marks the entries that take part."""
    if rows.size(1) == 0:
        return rows.sum(1)
    if mode == "max":
        if counted is None:
            return rows.amax(1)
        best = rows.masked_fill(~counted, dtypes.finfo(rows.dtype).min).amax(1)
        return best * counted.any(1).to(rows.dtype)
    if counted is None:
        return rows.sum(1) if mode == "sum" else rows.mean(1)
    counted = counted.to(rows.dtype)
    summed = (rows * counted).sum(1)
    return summed if mode == "sum" else summed / counted.sum(1).clamp_min(1.0)


def _reduce_segments(rows: Tensor, counted: Tensor | None, mode: str, bags: int, bag_of: Tensor) -> Tensor:
    """Reduce (N, D) over the entries of each bag; ``counted`` (N, 1) marks the entries that take part."""
    if mode == "max":
        return _bag_max(rows, bag_of, bags, counted)
    if counted is not None:
        rows = rows * counted.to(rows.dtype)
    summed = ops.zeros((bags, rows.size(1)), dtype=rows.dtype, device=rows.device).index_add(0, bag_of, rows)
    if mode == "sum":
        return summed
    if counted is None:
        counted = ops.ones((rows.size(0), 1), device=rows.device)
    counts = ops.zeros((bags, 1), dtype=rows.dtype, device=rows.device).index_add(0, bag_of, counted.to(rows.dtype))
    return summed / counts.clamp_min(1.0)


def _bags_from_offsets(input: Tensor, offsets: Tensor, include_last_offset: bool) -> tuple[int, Tensor]:
    """(number of bags, bag of each entry of ``input``)."""
    starts = offsets.to(dtypes.int64)
    if include_last_offset:
        if starts.size(0) < 1:
            raise RuntimeError("include_last_offset: number of offset should be at least 1")
        starts = starts[:-1]
    bags = starts.size(0)
    if bags and int(starts[0]) != 0:
        raise RuntimeError(
            f"offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. "
            f"However, got {int(starts[0])}"
        )
    if bags and int(starts[-1]) > input.size(0):
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length({input.size(0)}), but got offsets[-1] of "
            f"{int(starts[-1])}"
        )
    positions = ops.arange(input.size(0), device=input.device)
    return bags, ops.searchsorted(starts, positions, right=True) - 1


def _bag_max(rows: Tensor, bag_of: Tensor, bags: int, counted: Tensor | None) -> Tensor:
    lowest = dtypes.finfo(rows.dtype).min
    if counted is not None:
        rows = rows.masked_fill(~counted, lowest)
    start = ops.full((bags, rows.size(1)), lowest, dtype=rows.dtype, device=rows.device)
    index = bag_of.unsqueeze(-1).expand_as(rows)
    best = start.scatter_reduce(0, index, rows, "amax", include_self=False)
    # Bags without entries keep the start value, and torch gives them zeros.
    return best.masked_fill(best == lowest, 0.0)
