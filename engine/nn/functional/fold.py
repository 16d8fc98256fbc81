"""unfold (im2col), fold (col2im), and rearrangements of channels and pixels."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from engine import ops
from engine.autograd.labels import shows
from engine.tensor import Tensor

from ._common import spatial_pair

__all__ = ["channel_shuffle", "fold", "pixel_shuffle", "pixel_unshuffle", "unfold"]


def _columns(
    size: Sequence[int], kernel: Sequence[int], dilation: Sequence[int], padding: Sequence[int], stride: Sequence[int]
) -> list[int]:
    """Number of window positions along each axis."""
    return [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, d, p, s in zip(size, kernel, dilation, padding, stride, strict=True)
    ]


def _patch_index(
    padded_width: int,
    blocks: Sequence[int],
    kernel: Sequence[int],
    dilation: Sequence[int],
    stride: Sequence[int],
    device: Any,
) -> Tensor:
    """Flat position in the padded plane of tap (i, j) of window (y, x), in the order i, j, y, x."""

    def along(axis: int) -> Tensor:
        taps = ops.arange(kernel[axis], device=device) * dilation[axis]
        starts = ops.arange(blocks[axis], device=device) * stride[axis]
        return taps.unsqueeze(1) + starts

    rows = along(0)[:, None, :, None] * padded_width
    return (rows + along(1)[None, :, None, :]).reshape(-1)


def _arguments(kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> list[list[int]]:
    named = {"kernel_size": kernel_size, "dilation": dilation, "padding": padding, "stride": stride}
    values = [spatial_pair(value, name) for name, value in named.items()]
    for (name, _), pair in zip(named.items(), values, strict=True):
        if min(pair) < (0 if name == "padding" else 1):
            raise RuntimeError(
                f"{name} should be {'non-negative' if name == 'padding' else 'greater than zero'}, but got {pair}"
            )
    return values


@shows("Im2ColBackward0")
def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """All windows of (N, C, H, W) as columns: (N, C * kh * kw, L), L the number of window positions; (C, H, W) too."""
    kernel, dilations, pads, strides = _arguments(kernel_size, dilation, padding, stride)
    if input.dim() not in (3, 4):
        raise NotImplementedError(
            f"Input Error: Only unbatched (3D) or batched (4D) input Tensors are supported (got {input.dim()}D)"
        )
    x = input if input.dim() == 4 else input.unsqueeze(0)
    n, channels, height, width = x.shape
    blocks = _columns((height, width), kernel, dilations, pads, strides)
    if min(blocks) < 1:
        raise RuntimeError(
            f"Given input with spatial size ({height}, {width}), kernel_size={tuple(kernel)}, "
            f"dilation={tuple(dilations)}, padding={tuple(pads)}, calculated shape of the array of sliding blocks as "
            f"{tuple(blocks)}, but its components must be at least one."
        )
    if any(pads):
        x = ops.constant_pad_nd(x, (pads[1], pads[1], pads[0], pads[0]), 0.0)
    index = _patch_index(x.size(3), blocks, kernel, dilations, strides, input.device)
    columns = x.reshape(n, channels, x.size(2) * x.size(3)).index_select(2, index)
    columns = columns.reshape(n, channels * kernel[0] * kernel[1], blocks[0] * blocks[1])
    return columns if input.dim() == 4 else columns.squeeze(0)


@shows("Col2ImBackward0")
def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """Sum columns (N, C * kh * kw, L), or (C * kh * kw, L), back into images (N, C, H, W): unfold's adjoint."""
    kernel, dilations, pads, strides = _arguments(kernel_size, dilation, padding, stride)
    size = spatial_pair(output_size, "output_size")
    if input.dim() not in (2, 3):
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for "
            f"input, but got: {list(input.shape)}"
        )
    x = input if input.dim() == 3 else input.unsqueeze(0)
    n, rows, length = x.shape
    taps = kernel[0] * kernel[1]
    if rows % taps:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={rows} and kernel_size={tuple(kernel)}."
        )
    blocks = _columns(size, kernel, dilations, pads, strides)
    if min(blocks) < 1 or blocks[0] * blocks[1] != length:
        raise RuntimeError(
            f"Given output_size={tuple(size)}, kernel_size={tuple(kernel)}, dilation={tuple(dilations)}, "
            f"padding={tuple(pads)}, stride={tuple(strides)}, expected size of input's dimension 2 to match the "
            f"calculated number of sliding blocks {blocks[0]} * {blocks[1]} = {blocks[0] * blocks[1]}, but got "
            f"input.size(2)={length}."
        )
    height, width = size[0] + 2 * pads[0], size[1] + 2 * pads[1]
    index = _patch_index(width, blocks, kernel, dilations, strides, input.device)
    plane = ops.zeros((n, rows // taps, height * width), dtype=x.dtype, device=x.device)
    image = plane.index_add(2, index, x.reshape(n, rows // taps, taps * length))
    image = image.reshape(n, rows // taps, height, width)
    image = image[:, :, pads[0] : pads[0] + size[0], pads[1] : pads[1] + size[1]]
    return image if input.dim() == 3 else image.squeeze(0)


@shows("PixelShuffleBackward0")
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(*, C r^2, H, W) to (*, C, H r, W r) (Shi et al. 2016)."""
    r = int(upscale_factor)
    if input.dim() < 3:
        raise RuntimeError(
            f"pixel_shuffle expects input to have at least 3 dimensions, but got input with {input.dim()} dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, channels, height, width = input.shape
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, "
            f"but input.size(-3)={channels} is not divisible by {r * r}"
        )
    blocks = input.reshape(prod(input.shape[:-3]), channels // (r * r), r, r, height, width)
    return blocks.permute(0, 1, 4, 2, 5, 3).reshape(*lead, channels // (r * r), height * r, width * r)


@shows("PixelUnshuffleBackward0")
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(*, C, H r, W r) to (*, C r^2, H, W), the inverse of :func:`pixel_shuffle`."""
    r = int(downscale_factor)
    if input.dim() < 3:
        raise RuntimeError(
            f"pixel_unshuffle expects input to have at least 3 dimensions, but got input with {input.dim()} "
            "dimension(s)"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, channels, height, width = input.shape
    for size, name in ((height, "height"), (width, "width")):
        if size % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but {size} is not divisible by "
                f"{r}"
            )
    blocks = input.reshape(prod(input.shape[:-3]), channels, height // r, r, width // r, r)
    return blocks.permute(0, 1, 3, 5, 2, 4).reshape(*lead, channels * r * r, height // r, width // r)


@shows("ChannelShuffleBackward0")
def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Interleave ``groups`` groups of channels of (N, C, *) (Zhang et al. 2018)."""
    if input.dim() < 3:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}")
    channels = input.size(1)
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    if channels % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and {groups} groups."
        )
    grouped = input.reshape(input.size(0), groups, channels // groups, *input.shape[2:])
    return grouped.transpose(1, 2).reshape(input.shape)
