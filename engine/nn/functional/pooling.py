"""Pooling over windows. Spatial inputs are (N, C, *spatial) or (C, *spatial)."""

from __future__ import annotations

from typing import Any

from engine import ops
from engine.autograd.labels import shows
from engine.tensor import Tensor

from ._common import as_list

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
]

avg_pool1d = ops.avg_pool1d
avg_pool2d = ops.avg_pool2d
avg_pool3d = ops.avg_pool3d


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """(maxima, their int64 positions in the flattened spatial plane)."""
    return ops.max_pool1d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """(maxima, their int64 positions in the flattened spatial plane)."""
    return ops.max_pool2d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> tuple[Tensor, Tensor]:
    """(maxima, their int64 positions in the flattened spatial volume)."""
    return ops.max_pool3d_with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)


def _mean_name(input: Tensor, output_size: Any) -> str | None:
    """To a single cell the pool is a mean."""
    return "MeanBackward1" if output_size in (1, (1, 1), [1, 1]) else None


@shows("SqueezeBackward1")
def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maxima over windows along the last dimension; with ``return_indices`` a pair (maxima, positions)."""
    pool = ops.max_pool1d_with_indices if return_indices else ops.max_pool1d
    return pool(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maxima over windows of the last two dimensions; with ``return_indices`` a pair (maxima, positions)."""
    pool = ops.max_pool2d_with_indices if return_indices else ops.max_pool2d
    return pool(input, kernel_size, stride, padding, dilation, ceil_mode)


def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maxima over windows of the last three dimensions; with ``return_indices`` a pair (maxima, positions)."""
    pool = ops.max_pool3d_with_indices if return_indices else ops.max_pool3d
    return pool(input, kernel_size, stride, padding, dilation, ceil_mode)


def _adaptive_size(input: Tensor, output_size: Any, n: int) -> list[int]:
    """The output size as ``n`` numbers; None entries keep the input's size."""
    sizes = as_list(output_size, n, "adaptive pooling: output_size")
    if input.dim() <= n:
        raise ValueError(f"Input dimension should be at least {n + 1}")
    return [size if want is None else want for want, size in zip(sizes, input.shape[-n:], strict=True)]


@shows("SqueezeBackward1")
def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Means over ``output_size`` nearly equal windows of the last dimension."""
    return ops.adaptive_avg_pool1d(input, output_size)


@shows(_mean_name)
def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means over a grid of nearly equal windows of the last two dimensions."""
    return ops.adaptive_avg_pool2d(input, _adaptive_size(input, output_size, 2))


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means over a grid of nearly equal windows of the last three dimensions."""
    return ops.adaptive_avg_pool3d(input, _adaptive_size(input, output_size, 3))


def adaptive_max_pool1d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """(maxima, positions) over ``output_size`` nearly equal windows of the last dimension."""
    return ops.adaptive_max_pool1d(input, output_size)


def adaptive_max_pool2d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """(maxima, positions) over a grid of nearly equal windows of the last two dimensions."""
    return ops.adaptive_max_pool2d(input, _adaptive_size(input, output_size, 2))


def adaptive_max_pool3d_with_indices(
    input: Tensor, output_size: Any, return_indices: bool = False
) -> tuple[Tensor, Tensor]:
    """(maxima, positions) over a grid of nearly equal windows of the last three dimensions."""
    return ops.adaptive_max_pool3d(input, _adaptive_size(input, output_size, 3))


@shows("SqueezeBackward1")
def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over nearly equal windows of the last dimension; with ``return_indices`` also their positions."""
    pooled = adaptive_max_pool1d_with_indices(input, output_size)
    return pooled if return_indices else pooled[0]


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over nearly equal windows of the last two dimensions; with ``return_indices`` also their positions."""
    pooled = adaptive_max_pool2d_with_indices(input, output_size)
    return pooled if return_indices else pooled[0]


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over nearly equal windows of the last three dimensions; with ``return_indices`` also their positions."""
    pooled = adaptive_max_pool3d_with_indices(input, output_size)
    return pooled if return_indices else pooled[0]


def _root_of_window_sum(mean: Tensor, norm_type: float, window: int) -> Tensor:
    # The sign is kept so that odd powers of a negative sum do not give NaN.
    return (mean.sign() * mean.abs().relu()).mul(window).pow(1.0 / norm_type)


def lp_pool1d(
    input: Tensor, norm_type: int | float, kernel_size: int, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x^p over the window)^(1/p), p = ``norm_type``."""
    mean = avg_pool1d(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    return _root_of_window_sum(mean, norm_type, as_list(kernel_size, 1, "kernel_size")[0])


def lp_pool2d(
    input: Tensor, norm_type: int | float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x^p over the window)^(1/p), p = ``norm_type``."""
    kh, kw = as_list(kernel_size, 2, "kernel_size")
    mean = avg_pool2d(input.pow(norm_type), (kh, kw), stride, 0, ceil_mode)
    return _root_of_window_sum(mean, norm_type, kh * kw)


def lp_pool3d(
    input: Tensor, norm_type: int | float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x^p over the window)^(1/p), p = ``norm_type``."""
    kd, kh, kw = as_list(kernel_size, 3, "kernel_size")
    mean = avg_pool3d(input.pow(norm_type), (kd, kh, kw), stride, 0, ceil_mode)
    return _root_of_window_sum(mean, norm_type, kd * kh * kw)
