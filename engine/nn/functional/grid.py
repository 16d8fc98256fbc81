"""Sampling an image at the points of a grid (Jaderberg et al. 2015)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import product

from engine import dtypes, ops
from engine.autograd.labels import shows
from engine.tensor import Tensor

from .interpolate import cubic_weights

__all__ = ["affine_grid", "grid_sample"]

GRID_SAMPLE_INTERPOLATION_MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
GRID_SAMPLE_PADDING_MODES = {"zeros": 0, "border": 1, "reflection": 2}


def _warn_default() -> None:
    warnings.warn(
        "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please specify "
        "align_corners=True if the old behavior is desired.",
        stacklevel=3,
    )


def _base_coordinates(size: int, align_corners: bool, like: Tensor) -> Tensor:
    """``size`` points of [-1, 1]: pixel centres, or with ``align_corners`` the end points included."""
    if size <= 1:
        return ops.zeros(max(size, 0), dtype=like.dtype, device=like.device)
    points = ops.linspace(-1, 1, size, dtype=like.dtype, device=like.device)
    return points if align_corners else points * ((size - 1) / size)


@shows("AffineGridGeneratorBackward0")
def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Sampling grids for a batch of affine maps.

    theta (N, 2, 3) with size (N, C, H, W) gives (N, H, W, 2); theta (N, 3, 4) with size (N, C, D, H, W) gives
    (N, D, H, W, 3). The last dimension is (x, y[, z]).
    """
    if align_corners is None:
        _warn_default()
        align_corners = False
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    n = len(size) - 2
    if n not in (2, 3):
        raise NotImplementedError(
            f"affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got {size}."
        )
    if theta.dim() != 3 or theta.size(-2) != n or theta.size(-1) != n + 1:
        raise ValueError(
            f"Expected a batch of {n}D affine matrices of shape Nx{n}x{n + 1} for size {tuple(size)}. Got "
            f"{theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    grid = theta[:, :, n].reshape(-1, *[1] * n, n)
    for axis in range(n):
        # Column ``axis`` of theta multiplies x, y, z; x runs along the last spatial dimension.
        shape = [1] * (n + 2)
        shape[n - axis] = -1
        points = _base_coordinates(size[-1 - axis], align_corners, theta).reshape(shape)
        grid = grid + points * theta[:, :, axis].reshape(-1, *[1] * n, n)
    return grid


def _unnormalize(x: Tensor, size: int, align_corners: bool) -> Tensor:
    """[-1, 1] to pixel coordinates."""
    return (x + 1) / 2 * (size - 1) if align_corners else ((x + 1) * size - 1) / 2


def _clip(x: Tensor, size: int) -> Tensor:
    # Not clamp: on the border itself torch passes no gradient either.
    low, high = ops.zeros_like(x), ops.full_like(x, size - 1)
    return ops.where(x > 0, ops.where(x < size - 1, x, high), low)


def _reflect(x: Tensor, twice_low: int, twice_high: int) -> Tensor:
    """Mirror x at both ends of [twice_low / 2, twice_high / 2] until it lies inside."""
    if twice_low == twice_high:
        return x * 0
    low, span = twice_low / 2, (twice_high - twice_low) / 2
    x = (x - low).abs()
    flips = (x / span).floor()
    rest = x - flips * span
    return ops.where(flips.remainder(2) == 0, rest + low, span - rest + low)


def _pad_coordinates(x: Tensor, size: int, padding_mode: str, align_corners: bool) -> Tensor:
    if padding_mode == "border":
        return _clip(x, size)
    if padding_mode == "reflection":
        bounds = (0, 2 * (size - 1)) if align_corners else (-1, 2 * size - 1)
        return _clip(_reflect(x, *bounds), size)
    return x


# One tap along one axis: its pixel coordinate and its weight, each shaped like the grid.
Tap = tuple[Tensor, Tensor]


def _taps(x: Tensor, size: int, mode: str, padding_mode: str, align_corners: bool) -> list[Tap]:
    x = _unnormalize(x, size, align_corners)
    if mode == "bicubic":
        low = x.detach().floor()
        weights = cubic_weights(x - low)
        return [(_pad_coordinates(low + (i - 1), size, padding_mode, align_corners), w) for i, w in enumerate(weights)]
    x = _pad_coordinates(x, size, padding_mode, align_corners)
    if mode == "nearest":
        at = x.round()
        # Weight one that still depends on x: the grid gets a gradient, of zeros.
        return [(at.detach(), at * 0 + 1)]
    low = x.detach().floor()
    fraction = x - low
    return [(low, 1 - fraction), (low + 1, fraction)]


def _gather_taps(input: Tensor, taps: list[list[Tap]], points: int) -> Tensor:
    """Sum of all tap products: one gather of (N, C, taps * points), then a weighted sum."""
    n, channels = input.shape[:2]
    spatial = input.shape[2:]
    indices, weights = [], []
    for combination in product(*taps):
        index, weight, inside = None, None, None
        for (at, w), size in zip(combination, spatial, strict=True):
            within = (at >= 0) & (at <= size - 1)
            inside = within if inside is None else inside & within
            # Coordinates outside (and NaN) are looked up somewhere harmless and get weight 0.
            safe = ops.where(within, at, ops.zeros_like(at)).to(dtypes.int64)
            index = safe if index is None else index * size + safe
            weight = w if weight is None else weight * w
        indices.append(index)
        weights.append(ops.where(inside, weight, ops.zeros_like(weight)))
    count = len(indices)
    index = ops.stack(indices, 1).reshape(n, 1, count * points).expand(n, channels, count * points)
    weight = ops.stack(weights, 1).reshape(n, 1, count, points).to(input.dtype)
    values = input.reshape(n, channels, -1).gather(2, index).reshape(n, channels, count, points)
    return (values * weight).sum(2)


def _check_grid(input: Tensor, grid: Tensor, mode: str, padding_mode: str) -> None:
    if mode not in GRID_SAMPLE_INTERPOLATION_MODES:
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in GRID_SAMPLE_PADDING_MODES:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"'{padding_mode}'"
        )
    if input.dim() not in (4, 5) or input.dim() != grid.dim():
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with "
            f"sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if input.size(0) != grid.size(0):
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.size(-1) != input.dim() - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {input.dim() - 2} in last dimension, but got grid with sizes "
            f"{list(grid.shape)}"
        )
    if min(input.shape[2:]) <= 0:
        raise RuntimeError(
            f"grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
            f"{list(input.shape)}"
        )
    if mode == "bicubic" and input.dim() != 4:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")


@shows(lambda input, *_, **__: f"GridSampler{input.ndim - 2}DBackward0")
def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Values of ``input`` at the points of ``grid``.

    input (N, C, H, W) with grid (N, Ho, Wo, 2) gives (N, C, Ho, Wo); input (N, C, D, H, W) with grid
    (N, Do, Ho, Wo, 3) gives (N, C, Do, Ho, Wo). Grid points are (x, y[, z]) in [-1, 1]. Modes: bilinear, nearest,
    bicubic (4-D only); padding modes: zeros, border, reflection.
    """
    _check_grid(input, grid, mode, padding_mode)
    if align_corners is None:
        _warn_default()
        align_corners = False
    spatial, out = input.shape[2:], grid.shape[1:-1]
    coordinates = grid.reshape(grid.size(0), -1, grid.size(-1))
    taps = [
        _taps(coordinates[..., len(spatial) - 1 - axis], size, mode, padding_mode, align_corners)
        for axis, size in enumerate(spatial)
    ]
    return _gather_taps(input, taps, coordinates.size(1)).reshape(*input.shape[:2], *out)
