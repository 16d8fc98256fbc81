"""Resampling of images and signals to another size.

Nearest by whole factors becomes views, antialiased modes a matmul with the weight matrix of each axis, and the rest is
one kernel over all axes (ops/resample.py).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from engine import dtypes, ops
from engine.autograd.labels import shows
from engine.tensor import Tensor

from .pooling import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

__all__ = ["interpolate", "upsample", "upsample_bilinear", "upsample_nearest"]

_MODES_OF_DIMS = {"linear": 3, "bilinear": 4, "bicubic": 4, "lanczos": 4, "trilinear": 5}
_KERNELS = {"nearest": "nearest", "nearest-exact": "nearest-exact", "bicubic": "cubic"}
_ALL_MODES = "nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact"


def _weight_dtype(x: Tensor) -> Any:
    return dtypes.float64 if x.dtype == dtypes.float64 else dtypes.float32


def _ratio(size: int, out: int, scale: float | None, align_corners: bool = False) -> float:
    """Input pixels an output pixel."""
    if align_corners:
        return (size - 1) / (out - 1) if out > 1 else 0.0
    return 1.0 / scale if scale is not None and scale > 0 else size / out


def _take(x: Tensor, dim: int, index: Tensor) -> Tensor:
    return x.index_select(dim, index)


def _repeat(x: Tensor, dim: int, factor: int) -> Tensor:
    shape = list(x.shape)
    spread = [*shape[: dim + 1], factor, *shape[dim + 1 :]]
    shape[dim] *= factor
    return x.unsqueeze(dim + 1).expand(spread).reshape(shape)


def _nearest_axis(x: Tensor, dim: int, out: int, scale: float | None, exact: bool) -> Tensor:
    size = x.size(dim)
    if out == size and not exact:
        return x
    ratio = _ratio(size, out, scale)
    if out % size == 0 and ratio == size / out:
        return _repeat(x, dim, out // size)
    if size % out == 0 and ratio == size // out:
        step = size // out
        first = step // 2 if exact else 0
        return x[(slice(None),) * dim + (slice(first, None, step),)]
    positions = ops.arange(out, dtype=_weight_dtype(x), device=x.device)
    positions = (positions + 0.5 if exact else positions) * ratio
    return _take(x, dim, positions.floor().to(dtypes.int64).clamp_max(size - 1))


def cubic_weights(t: Tensor, a: float = -0.75) -> list[Tensor]:
    """Weights of the taps at -1, 0, 1, 2 for offset t in [0, 1) (Keys 1981)."""

    def near(x: Tensor) -> Tensor:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _triangle(x: Tensor) -> Tensor:
    return (1.0 - x.abs()).clamp_min(0.0)


def _keys(x: Tensor) -> Tensor:
    x = x.abs()
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return ops.where(x < 1.0, near, ops.where(x < 2.0, far, ops.zeros_like(x)))


def _lanczos3(x: Tensor) -> Tensor:
    return ops.where(x.abs() < 3.0, x.sinc() * (x / 3.0).sinc(), ops.zeros_like(x))


_FILTERS: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "bilinear": (_triangle, 1.0),
    "bicubic": (_keys, 2.0),
    "lanczos": (_lanczos3, 3.0),
}


def _filtered_axis(x: Tensor, dim: int, out: int, scale: float | None, align_corners: bool, mode: str) -> Tensor:
    """Antialiased resampling: a weighted mean over the filter's support, which widens when downsampling."""
    size = x.size(dim)
    if out == size and mode != "lanczos" and scale in (None, 1.0):
        return x
    kernel, radius = _FILTERS[mode]
    ratio = _ratio(size, out, scale, align_corners)
    stretch = max(ratio, 1.0)
    support = radius * stretch
    dtype = _weight_dtype(x)
    center = ((ops.arange(out, dtype=dtype, device=x.device) + 0.5) * ratio).unsqueeze(1)
    pixel = ops.arange(size, dtype=dtype, device=x.device)
    # The support is rounded to whole pixels, as torch does.
    first = (center - support + 0.5).trunc().clamp_min(0.0)
    last = (center + support + 0.5).trunc().clamp_max(size)
    weights = kernel((pixel - center + 0.5) / stretch)
    weights = ops.where((pixel >= first) & (pixel < last), weights, ops.zeros_like(weights))
    total = weights.sum(1, keepdim=True)
    weights = (weights / ops.where(total == 0, ops.ones_like(total), total)).to(x.dtype)
    if dim == x.dim() - 1:
        return x.matmul(weights.t())
    return weights.matmul(x)


def _is_whole(size: int, out: int, scale: float | None, exact: bool) -> bool:
    """Whether nearest resampling of an axis is a view or a repetition."""
    ratio = _ratio(size, out, scale)
    if out == size:
        return not exact or ratio == 1.0
    return (out % size == 0 and ratio == size / out) or (size % out == 0 and ratio == size // out)


def _resample(x: Tensor, mode: str, out: list[int], scales: list[float | None], align: bool, antialias: bool) -> Tensor:
    sizes = list(x.shape[2:])
    exact = mode == "nearest-exact"
    nearest = mode in ("nearest", "nearest-exact")
    whole = nearest and all(_is_whole(s, o, f, exact) for s, o, f in zip(sizes, out, scales, strict=True))
    if not antialias and not whole and x.is_floating_point():
        # An axis that keeps its size is copied by these modes, whatever the scale.
        copies = mode not in ("nearest-exact", "bicubic")
        ratios = tuple(
            1.0 if copies and o == s else _ratio(s, o, f, align) for s, o, f in zip(sizes, out, scales, strict=True)
        )
        return ops.resample.resample(x, _KERNELS.get(mode, "linear"), tuple(out), ratios, align)
    # Last axis first: torch's order, and the later axes then work on contiguous rows.
    for axis in range(len(out) - 1, -1, -1):
        dim, size, scale = axis + 2, out[axis], scales[axis]
        if nearest:
            x = _nearest_axis(x, dim, size, scale, exact)
        else:
            x = _filtered_axis(x, dim, size, scale, align, mode)
    return x


def _spatial_list(value: Any, n: int, name: str, input: Tensor) -> list:
    if not isinstance(value, (list, tuple)):
        return [value] * n
    if len(value) != n:
        raise ValueError(
            f"Input and {name} must have the same number of spatial dimensions, but got input with spatial dimensions "
            f"of {list(input.shape[2:])} and {name} of {value}. Please provide input tensor in (N, C, d1, d2, ...,dK) "
            f"format and {name} in (d1, d2, ...,dK) format."
        )
    return list(value)


def _output_size(
    input: Tensor, size: Any, scale_factor: Any, recompute_scale_factor: bool | None
) -> tuple[list[int], list[float | None]]:
    n = input.dim() - 2
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    if size is not None:
        if recompute_scale_factor:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        return [int(s) for s in _spatial_list(size, n, "output size", input)], [None] * n
    factors = [float(f) for f in _spatial_list(scale_factor, n, "scale_factor", input)]
    out = [math.floor(s * f) for s, f in zip(input.shape[2:], factors, strict=True)]
    return out, [None] * n if recompute_scale_factor else factors


_WORDS = {
    "nearest": "Nearest", "nearest-exact": "NearestExact", "linear": "Linear", "bilinear": "Bilinear",
    "bicubic": "Bicubic", "trilinear": "Trilinear",
}  # fmt: skip


def _record_name(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", *rest: Any, **more: Any
) -> str | None:
    """PyTorch's name of the record."""
    if mode not in _WORDS:
        return None
    smooth = "Aa" if more.get("antialias") or rest[2:] == (True,) else ""
    return f"Upsample{_WORDS[mode]}{input.ndim - 2}D{smooth}Backward0"


@shows(_record_name)
def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resample (N, C, *spatial), one to three spatial dimensions, to ``size`` or by ``scale_factor``.

    Modes: nearest, nearest-exact, area (any), linear (3-D input), bilinear, bicubic and lanczos (4-D), trilinear
    (5-D). ``align_corners`` maps corner pixel centres onto each other instead of corner points. ``antialias``
    (bilinear, bicubic) widens the filter when downsampling. With ``recompute_scale_factor`` the ratio of sizes is
    used rather than ``scale_factor``.
    """
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | "
                "trilinear"
            )
    elif align_corners is None:
        align_corners = False
    out, scales = _output_size(input, size, scale_factor, recompute_scale_factor)
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and input.dim() == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input"
        )
    dims = input.dim()
    known = mode in ("nearest", "nearest-exact", "area") or mode in _MODES_OF_DIMS
    if not known or dims not in (3, 4, 5):
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {dims}D) for the modes: {_ALL_MODES} (got "
            f"{mode})"
        )
    if _MODES_OF_DIMS.get(mode, dims) != dims:
        raise NotImplementedError(f"Got {dims}D input, but {mode} mode needs {_MODES_OF_DIMS[mode]}D input")
    if min(out) <= 0 or min(input.shape[1:]) <= 0:
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input {list(input.shape[2:])} output {out}"
        )
    if mode == "area":
        pool = {3: adaptive_avg_pool1d, 4: adaptive_avg_pool2d, 5: adaptive_avg_pool3d}[dims]
        return pool(input, out)
    if mode == "lanczos" and not antialias:
        raise ValueError("Lanczos mode requires antialias=True")
    if mode == "lanczos" and align_corners:
        raise ValueError("Lanczos mode does not support align_corners=True")
    align = bool(align_corners)
    if mode.startswith("nearest") or input.is_floating_point():
        return _resample(input, mode, out, scales, align, antialias)
    limits = dtypes.iinfo(input.dtype)
    smooth = _resample(input.to(dtypes.float32), mode, out, scales, align, antialias)
    return smooth.round().clamp(limits.min, limits.max).to(input.dtype)


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """Deprecated name of :func:`interpolate`."""
    warnings.warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2)
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """Deprecated: :func:`interpolate` with mode="nearest"."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """Deprecated: :func:`interpolate` with mode="bilinear" and align_corners=True."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
