"""Connectionist temporal classification (Graves et al. 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine import dtypes, ops
from engine.tensor import Tensor

from ._common import check_reduction

__all__ = ["ctc_loss"]

# Stands for the logarithm of zero: finite, so that differences and their gradients stay finite.
_LOG_ZERO = -1e30


def _lengths(value: Any, name: str, batch: int) -> list[int]:
    if isinstance(value, Tensor):
        if value.is_floating_point():
            raise RuntimeError(f"{name} must be integral")
        value = value.reshape(-1).tolist()
    lengths = [int(v) for v in (value if isinstance(value, Sequence) else [value])]
    if len(lengths) != batch:
        raise RuntimeError(f"{name} must be of size batch_size (expected {batch}, got {len(lengths)})")
    return lengths


def _padded_targets(targets: Tensor, lengths: list[int], batch: int, device: Any) -> Tensor:
    """(N, S) labels, S the longest target; entries past a target's length are arbitrary labels."""
    longest = max(lengths, default=0)
    targets = targets.to(dtypes.int64)
    if targets.dim() == 2:
        if targets.size(0) != batch or targets.size(1) < longest:
            raise RuntimeError(
                f"Expected tensor to have size at least {longest} at dimension 1, but got size {targets.size(1)} for "
                "argument #2 'targets'"
            )
        return targets[:, :longest].to(device)
    if targets.dim() != 1 or targets.numel() != sum(lengths):
        raise RuntimeError(
            f"targets must be (N, S), or one-dimensional of length sum(target_lengths) = {sum(lengths)}, but got shape "
            f"{list(targets.shape)}"
        )
    starts, position = [], 0
    for length in lengths:
        starts.append(position)
        position += length
    index = ops.tensor(starts, dtype=dtypes.int64, device=device).unsqueeze(1) + ops.arange(longest, device=device)
    if longest == 0:
        return index
    flat = targets.to(device).index_select(0, index.clamp_max(targets.numel() - 1).reshape(-1))
    return flat.reshape(batch, longest)


def _log_sum(terms: list[Tensor]) -> Tensor:
    top = terms[0].detach()
    for term in terms[1:]:
        top = ops.maximum(top, term.detach())
    total = None
    for term in terms:
        part = (term - top).exp()
        total = part if total is None else total + part
    return top + total.log()


def _log_likelihood(log_probs: Tensor, labels: Tensor, blank: int, steps: list[int], lengths: Tensor) -> Tensor:
    """Forward recursion over time, all samples and label positions at once; log p of each sample's target."""
    batch, length = labels.shape
    device, dtype = log_probs.device, log_probs.dtype
    # Positions 0, 2, 4 ... are blanks, position 2 i + 1 is label i.
    blanks = ops.full((batch, length), blank, dtype=dtypes.int64, device=device)
    pairs = ops.stack([blanks, labels], 2).reshape(batch, 2 * length)
    path = ops.cat([pairs, ops.full((batch, 1), blank, dtype=dtypes.int64, device=device)], 1)
    width = 2 * length + 1
    scores = log_probs.gather(2, path.unsqueeze(0).expand(log_probs.size(0), batch, width)).clamp_min(_LOG_ZERO)

    def impossible(columns: int) -> Tensor:
        return ops.full((batch, columns), _LOG_ZERO, dtype=dtype, device=device)

    if width > 2:
        # The blank between two different labels may be left out.
        may_skip = (path[:, 2:] != blank) & (path[:, 2:] != path[:, :-2])
    alpha = ops.cat([scores[0, :, :2], impossible(width - 2)], 1) if width > 1 else scores[0]
    step_count = ops.tensor(steps, dtype=dtypes.int64, device=device).unsqueeze(1)
    for t in range(1, max(steps)):
        terms = [alpha]
        if width > 1:
            terms.append(ops.cat([impossible(1), alpha[:, :-1]], 1))
        if width > 2:
            skipped = ops.where(may_skip, alpha[:, :-2], impossible(width - 2))
            terms.append(ops.cat([impossible(2), skipped], 1))
        moved = _log_sum(terms) + scores[t]
        alpha = moved if t < min(steps) else ops.where(step_count > t, moved, alpha)
    last = (2 * lengths).unsqueeze(1)
    on_blank = alpha.gather(1, last).squeeze(1)
    on_label = alpha.gather(1, (last - 1).clamp_min(0)).squeeze(1)
    on_label = ops.where(lengths > 0, on_label, ops.full_like(on_label, _LOG_ZERO))
    return _log_sum([on_blank, on_label])


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """Minus the log probability of the targets, summed over all alignments.

    log_probs (T, N, C) or (T, C), the output of log_softmax; targets (N, S), or all targets in one vector; lengths
    are tensors or sequences of N integers. "mean" divides by the target lengths first. ``zero_infinity`` replaces
    infinite losses, where the input is too short, by zero. As in torch the gradient to ``log_probs`` is the one with
    respect to the logits below the log_softmax.
    """
    check_reduction(reduction)
    if not log_probs.is_floating_point():
        raise RuntimeError("log_probs must be floating point")
    if log_probs.dim() not in (2, 3):
        raise RuntimeError(f"log_probs must be 2D or 3D, but got {log_probs.dim()}D")
    batched = log_probs.dim() == 3
    if not batched:
        log_probs = log_probs.unsqueeze(1)
        targets = targets.reshape(1, -1) if targets.dim() == 1 else targets
    frames, batch, classes = log_probs.shape
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    steps = _lengths(input_lengths, "input_lengths", batch)
    sizes = _lengths(target_lengths, "target_lengths", batch)
    if any(not 0 <= s <= frames for s in steps):
        raise RuntimeError(f"Expected input_lengths to have values in [0, {frames}], but got {steps}")
    if any(s < 0 for s in sizes):
        raise RuntimeError(f"Expected target_lengths to be non-negative, but got {sizes}")
    device = log_probs.device
    labels = _padded_targets(targets, sizes, batch, device)
    lengths = ops.tensor(sizes, dtype=dtypes.int64, device=device)
    step_count = ops.tensor(steps, dtype=dtypes.int64, device=device)
    likelihood = _log_likelihood(log_probs, labels, blank, steps, lengths)
    likelihood = ops.where(step_count > 0, likelihood, ops.where(lengths == 0, 0.0, _LOG_ZERO).to(likelihood.dtype))
    # Worth zero, but its gradient turns that of the log probabilities into that of the logits.
    frame = ops.arange(frames, device=device).unsqueeze(1)
    mass = ops.where(frame < step_count, log_probs.exp().sum(2), 0.0).sum(0)
    loss = -likelihood + (mass - mass.detach())
    fill = 0.0 if zero_infinity else float("inf")
    loss = ops.where(likelihood < _LOG_ZERO / 2, ops.full_like(loss, fill), loss)
    if reduction == "none":
        return loss if batched else loss.squeeze(0)
    if reduction == "sum":
        return loss.sum()
    return (loss / lengths.clamp_min(1).to(loss.dtype)).mean()
