"""Fractional max pooling (Graham 2014) and the inverse of max pooling."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from engine import dtypes, ops
from engine.autograd.labels import shows
from engine.tensor import Tensor

from ._common import as_list

__all__ = [
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
]


def _window_starts(samples: Tensor, size: int, out: int, kernel: int) -> Tensor:
    """First index of each of ``out`` windows: (N, C) uniform samples give (N, C, out), int64."""
    last = ops.full((*samples.shape, 1), size - kernel, dtype=dtypes.int64, device=samples.device)
    if out == 1:
        return last
    step = (size - kernel) / (out - 1)
    steps = ops.arange(out - 1, dtype=samples.dtype, device=samples.device)
    u = samples.unsqueeze(-1)
    starts = ((steps + u) * step).to(dtypes.int64) - (u * step).to(dtypes.int64)
    return ops.cat([starts, last], -1)


def _fractional(
    input: Tensor, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Tensor | None, n: int
) -> tuple[Tensor, Tensor]:
    name = f"fractional_max_pool{n}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if input.dim() not in (n + 1, n + 2):
        raise RuntimeError(f"{name}(): Expected {n + 1}D or {n + 2}D tensor, but got: {list(input.shape)}")
    kernel = as_list(kernel_size, n, "kernel_size")
    spatial = input.shape[-n:]
    if output_size is None:
        ratio = as_list(output_ratio, n, "output_ratio")
        out = [int(s * r) for s, r in zip(spatial, ratio, strict=True)]
    else:
        out = as_list(output_size, n, "output_size")
    for size, want, k in zip(spatial, out, kernel, strict=True):
        if want + k - 1 > size:
            raise RuntimeError(f"{name}(): pool size {k} too large relative to input size {size}")
    batched = input.dim() == n + 2
    x = input if batched else input.unsqueeze(0)
    batch, channels = x.shape[:2]
    if samples is None:
        samples = ops.rand(batch, channels, n, dtype=input.dtype, device=input.device)
    # torch draws the samples of two-dimensional windows in the order (width, height).
    order = range(n - 1, -1, -1) if n == 2 else range(n)
    index = ops.zeros((1, 1, 1, 1), dtype=dtypes.int64, device=input.device)
    for axis, which in enumerate(order):
        start = _window_starts(samples[..., which], spatial[axis], out[axis], kernel[axis])
        taps = ops.arange(kernel[axis], device=input.device)
        along = (start.unsqueeze(-1) + taps) * prod(spatial[axis + 1 :])
        # index grows from (N, C, P, K) to (N, C, P * out, K * kernel).
        index = index[:, :, :, None, :, None] + along[:, :, None, :, None, :]
        index = index.reshape(batch, channels, index.size(2) * out[axis], -1)
    flat = x.reshape(batch, channels, -1)
    windows = flat.gather(2, index.reshape(batch, channels, -1)).reshape(index.shape)
    best, where = windows.max(-1)
    position = index.gather(-1, where.unsqueeze(-1)).squeeze(-1)
    shape = [batch, channels, *out] if batched else [channels, *out]
    return best.reshape(shape), position.reshape(shape)


def fractional_max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """(maxima, int64 positions in the plane) over windows at random, nearly regular places."""
    return _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 2)


def fractional_max_pool2d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Max pooling of (N, C, H, W) to any smaller size; ``output_ratio`` in (0, 1) instead of ``output_size``.

    ``_random_samples`` (N, C, 2) in [0, 1) replaces the random choice of windows.
    """
    pooled = _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 2)
    return pooled if return_indices else pooled[0]


def fractional_max_pool3d_with_indices(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """(maxima, int64 positions in the volume) over windows at random, nearly regular places."""
    return _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 3)


def fractional_max_pool3d(
    input: Tensor,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:
    """Max pooling of (N, C, D, H, W) to any smaller size; see :func:`fractional_max_pool2d`."""
    pooled = _fractional(input, kernel_size, output_size, output_ratio, _random_samples, 3)
    return pooled if return_indices else pooled[0]


def _unpool_size(
    input: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], wanted: Any
) -> list[int]:
    n = len(kernel)
    default = [
        (size - 1) * s + k - 2 * p for size, s, k, p in zip(input.shape[-n:], stride, kernel, padding, strict=True)
    ]
    if wanted is None:
        return default
    wanted = list(wanted)
    if len(wanted) == n + 2:
        wanted = wanted[2:]
    if len(wanted) != n:
        raise ValueError(
            f"output_size should be a sequence containing {n} or {n + 2} elements, but it has a length of "
            f"'{len(wanted)}'"
        )
    for axis, (want, size, s) in enumerate(zip(wanted, default, stride, strict=True)):
        if not size - s < want < size + s:
            raise ValueError(f'invalid output_size "{wanted}" (dim {axis} must be between {size - s} and {size + s})')
    return wanted


def _max_unpool(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any, padding: Any, output_size: Any, n: int
) -> Tensor:
    if input.shape != indices.shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but got indices "
            f"tensor with shape: {list(indices.shape)}"
        )
    if indices.dtype != dtypes.int64:
        raise RuntimeError(f"max_unpool{n}d(): elements in indices should be type int64 but got: {indices.dtype}")
    if input.dim() not in (n + 1, n + 2):
        raise RuntimeError(
            f"Input to max_unpooling{n}d should be a {n + 1}d or {n + 2}d Tensor, but got a tensor with "
            f"{input.dim()} dimensions."
        )
    kernel = as_list(kernel_size, n, "kernel_size")
    strides = kernel if stride is None else as_list(stride, n, "stride")
    size = _unpool_size(input, kernel, strides, as_list(padding, n, "padding"), output_size)
    lead = input.shape[:-n]
    empty = ops.zeros((*lead, prod(size)), dtype=input.dtype, device=input.device)
    filled = empty.scatter(-1, indices.reshape(*lead, -1), input.reshape(*lead, -1))
    return filled.reshape(*lead, *size)


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Put each value back to the position its max_pool1d recorded; zeros elsewhere."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 1)


@shows("MaxUnpool2DBackward0")
def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Put each value back to the position its max_pool2d recorded; zeros elsewhere."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 2)


@shows("MaxUnpool3DBackward0")
def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """Put each value back to the position its max_pool3d recorded; zeros elsewhere."""
    return _max_unpool(input, indices, kernel_size, stride, padding, output_size, 3)
