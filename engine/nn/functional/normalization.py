"""Normalisations."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from engine import autograd, ops
from engine.tensor import Tensor

from .pooling import avg_pool2d, avg_pool3d

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
]


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of (N, C, ...) with the batch's statistics (training) or the running ones.

    In training the running statistics move by ``momentum`` towards the batch's (unbiased) ones.
    """
    if training and prod((*input.shape[:1], *input.shape[2:])) == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.size()}")
    return ops.batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise each channel of each sample of (N, C, ...)."""
    if use_input_stats and prod(input.shape[2:]) == 1:
        raise ValueError(f"Expected more than 1 spatial element when training, got input size {input.size()}")
    return ops.instance_norm(input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalise over the last dimensions, whose sizes are ``normalized_shape``."""
    return ops.layer_norm(input, normalized_shape, weight, bias, eps)


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Divide by the root mean square over the last dimensions; eps None means the dtype's epsilon."""
    return ops.rms_norm(input, normalized_shape, weight, eps)


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalise each of ``num_groups`` groups of channels of each sample of (N, C, ...) (Wu and He 2018)."""
    if input.dim() < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.dim()}")
    per_group = input.size(0) * input.size(1) // num_groups * prod(input.shape[2:])
    if per_group == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.size()}")
    return ops.group_norm(input, num_groups, weight, bias, eps)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha * mean of x^2 over ``size`` neighbouring channels)^beta; (N, C, ...) (Krizhevsky et al. 2012)."""
    dim = input.dim()
    if dim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality input (got {dim} dimensions)")
    if input.numel() == 0:
        return input
    squares = input.mul(input)
    before, after = size // 2, (size - 1) // 2
    if dim == 3:
        squares = ops.constant_pad_nd(squares.unsqueeze(1), (0, 0, before, after), 0.0)
        mean = avg_pool2d(squares, (size, 1), stride=1).squeeze(1)
    else:
        n, channels, height = input.shape[:3]
        squares = squares.reshape(n, 1, channels, height, -1)
        squares = ops.constant_pad_nd(squares, (0, 0, 0, 0, before, after), 0.0)
        mean = avg_pool3d(squares, (size, 1, 1), stride=1).reshape(input.shape)
    return input / mean.mul(alpha).add(k).pow(beta)


def normalize(
    input: Tensor, p: float = 2.0, dim: int | tuple[int, ...] = 1, eps: float = 1e-12, out: Tensor | None = None
) -> Tensor:
    """x / max(p-norm along ``dim``, eps)."""
    denominator = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    if out is None:
        return input / denominator
    if autograd.is_grad_enabled() and (input.requires_grad or out.requires_grad):
        raise RuntimeError(
            "normalize(): functions with out=... arguments don't support automatic differentiation, but one of the "
            "arguments requires grad."
        )
    return ops.div(input, denominator, out=out)
