"""The functions of this package that torch also has at its top level, with the signatures they have there.

There reductions are numbers: 0 none (the default, whatever the functions here have), 1 mean, 2 sum. Modes of grid
sampling are numbers too.
"""

from __future__ import annotations

from typing import Any

from engine import ops
from engine.tensor import Tensor

from .activation import celu_, relu_, rrelu_, selu_, threshold_
from .ctc import ctc_loss as _ctc_loss
from .distance import cosine_similarity, pairwise_distance, pdist
from .dropout import alpha_dropout as _alpha_dropout
from .dropout import feature_alpha_dropout as _feature_alpha_dropout
from .fold import channel_shuffle, pixel_shuffle, pixel_unshuffle
from .grid import GRID_SAMPLE_INTERPOLATION_MODES, GRID_SAMPLE_PADDING_MODES, affine_grid, grid_sample
from .linear import bilinear
from .loss import poisson_nll_loss as _poisson_nll_loss
from .margin_loss import cosine_embedding_loss as _cosine_embedding_loss
from .margin_loss import hinge_embedding_loss as _hinge_embedding_loss
from .margin_loss import margin_ranking_loss as _margin_ranking_loss
from .margin_loss import triplet_margin_loss as _triplet_margin_loss
from .normalization import instance_norm as _instance_norm
from .rnn import gru, gru_cell, lstm, lstm_cell, rnn_relu, rnn_relu_cell, rnn_tanh, rnn_tanh_cell

__all__ = [
    "affine_grid_generator",
    "alpha_dropout",
    "bilinear",
    "binary_cross_entropy_with_logits",
    "celu_",
    "channel_shuffle",
    "cosine_embedding_loss",
    "cosine_similarity",
    "ctc_loss",
    "feature_alpha_dropout",
    "feature_dropout",
    "frobenius_norm",
    "grid_sampler",
    "grid_sampler_2d",
    "grid_sampler_3d",
    "gru",
    "gru_cell",
    "hinge_embedding_loss",
    "instance_norm",
    "kl_div",
    "lstm",
    "lstm_cell",
    "margin_ranking_loss",
    "native_channel_shuffle",
    "norm_except_dim",
    "nuclear_norm",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "relu_",
    "rnn_relu",
    "rnn_relu_cell",
    "rnn_tanh",
    "rnn_tanh_cell",
    "rrelu_",
    "selu_",
    "threshold_",
    "triplet_margin_loss",
]

_REDUCTIONS = ("none", "mean", "sum")
_INTERPOLATIONS = {number: name for name, number in GRID_SAMPLE_INTERPOLATION_MODES.items()}
_PADDINGS = {number: name for name, number in GRID_SAMPLE_PADDING_MODES.items()}


def _named(reduction: int | str) -> str:
    return reduction if isinstance(reduction, str) else _REDUCTIONS[reduction]


def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Alpha dropout when ``train``."""
    return _alpha_dropout(input, p, train)


def instance_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = False,
) -> Tensor:
    """Instance normalisation; ``cudnn_enabled`` changes nothing."""
    return _instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    pos_weight: Tensor | None = None,
    reduction: int = 0,
) -> Tensor:
    """Binary cross entropy of logits."""
    return ops.binary_cross_entropy_with_logits(
        input, target, weight=weight, pos_weight=pos_weight, reduction=_named(reduction)
    )


def kl_div(input: Tensor, target: Tensor, reduction: int = 0, *, log_target: bool = False) -> Tensor:
    """Pointwise Kullback-Leibler divergence."""
    return ops.kl_div(input, target, reduction=_named(reduction), log_target=log_target)


def poisson_nll_loss(input: Tensor, target: Tensor, log_input: bool, full: bool, eps: float, reduction: int) -> Tensor:
    """Poisson negative log likelihood."""
    return _poisson_nll_loss(input, target, log_input, full, eps=eps, reduction=_named(reduction))


def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """Cosine embedding loss."""
    return _cosine_embedding_loss(input1, input2, target, margin, reduction=_named(reduction))


def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: int = 0) -> Tensor:
    """Hinge embedding loss."""
    return _hinge_embedding_loss(input, target, margin, reduction=_named(reduction))


def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: int = 0
) -> Tensor:
    """Margin ranking loss."""
    return _margin_ranking_loss(input1, input2, target, margin, reduction=_named(reduction))


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int = 0,
) -> Tensor:
    """Triplet margin loss."""
    return _triplet_margin_loss(anchor, positive, negative, margin, p, eps, swap, reduction=_named(reduction))


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int = 0,
    zero_infinity: bool = False,
) -> Tensor:
    """Connectionist temporal classification."""
    return _ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, _named(reduction), zero_infinity)


def grid_sampler(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """:func:`grid_sample` with modes by number: 0 bilinear, 1 nearest, 2 bicubic; 0 zeros, 1 border, 2 reflection."""
    return grid_sample(input, grid, _INTERPOLATIONS[interpolation_mode], _PADDINGS[padding_mode], align_corners)


def grid_sampler_2d(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """:func:`grid_sampler` of 4-D input."""
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


def grid_sampler_3d(
    input: Tensor, grid: Tensor, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Tensor:
    """:func:`grid_sampler` of 5-D input."""
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


def affine_grid_generator(theta: Tensor, size: Any, align_corners: bool) -> Tensor:
    """:func:`affine_grid`."""
    return affine_grid(theta, size, align_corners)


def native_channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """:func:`channel_shuffle`."""
    return channel_shuffle(input, groups)


def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Dropout of whole channels of (N, C, ...) when ``train``."""
    if input.ndim < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    if not train or p == 0 or not input.numel():
        return input
    return input * ops.dropout(input.new_ones(*input.shape[:2], *(1,) * (input.ndim - 2)), p, True)


def feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:
    """Alpha dropout of whole channels when ``train``."""
    return _feature_alpha_dropout(input, p, train)


def frobenius_norm(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    """Root of the sum of squares over ``dim`` (default all)."""
    dim = (dim,) if isinstance(dim, int) else tuple(dim)
    return ops.vector_norm(input, 2, dim or None, keepdim)


def nuclear_norm(input: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor:
    """Sum of the singular values of matrices in the dimensions ``dim`` (default the last two)."""
    return ops.linalg_matrix_norm(input, "nuc", (-2, -1) if dim is None else tuple(dim), keepdim)


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """Norm over all dimensions but ``dim`` (-1: over all), with the others kept at size 1 (over all: none kept)."""
    if dim == -1:
        return ops.vector_norm(v, pow)
    kept = dim % v.ndim
    return ops.vector_norm(v, pow, [d for d in range(v.ndim) if d != kept], True)
