"""Padding in all modes."""

from __future__ import annotations

from collections.abc import Sequence

from engine import ops
from engine.autograd.labels import shows
from engine.tensor import Tensor

__all__ = ["pad"]


_NAMES = {"reflect": "ReflectionPad", "replicate": "ReplicationPad"}


def _shown(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> str | None:
    """The record's name in PyTorch for padding by neighbours."""
    return f"{_NAMES[mode]}{len(pad) // 2}DBackward0" if mode in _NAMES else None


@shows(_shown)
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Pad the last dimensions by ``pad`` = (left, right) of the last one, then of the one before it, and so on.

    Modes: "constant" (any number of dimensions, negative amounts crop), "reflect", "replicate" and "circular"
    (the last 1 to 3 dimensions of (N, C, *spatial) or (C, *spatial)).
    """
    amounts = [int(p) for p in pad]
    if len(amounts) % 2:
        raise RuntimeError(f"Padding length must be divisible by 2, but got {len(amounts)}")
    if len(amounts) // 2 > input.dim():
        raise RuntimeError(
            f"Padding length should be less than or equal to two times the input dimension but got padding length "
            f"{len(amounts)} and input of dimension {input.dim()}"
        )
    if mode == "constant":
        return ops.constant_pad_nd(input, amounts, 0.0 if value is None else value)
    if value is not None and value != 0:
        raise ValueError(f"Padding mode '{mode}' doesn't take in value argument")
    if mode not in _EDGES:
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    dims = len(amounts) // 2
    if not 1 <= dims <= 3 or input.dim() not in (dims + 1, dims + 2):
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now (the last 1, 2 or 3 "
            f"dimensions of 2D to 5D input), but got padding of length {len(amounts)} and a {input.dim()}D input"
        )
    result = input
    for i in range(dims):
        result = _pad_dim(result, input.dim() - 1 - i, amounts[2 * i], amounts[2 * i + 1], mode)
    return result


def _reflect(x: Tensor, dim: int, left: int, right: int) -> list[Tensor]:
    size = x.size(dim)
    if left >= size or right >= size:
        raise RuntimeError(
            "Argument #4: Padding size should be less than the corresponding input dimension, but got: padding "
            f"({left}, {right}) at dimension {dim} of input {list(x.shape)}"
        )
    return [x.narrow(dim, 1, left).flip(dim), x, x.narrow(dim, size - 1 - right, right).flip(dim)]


def _replicate(x: Tensor, dim: int, left: int, right: int) -> list[Tensor]:
    size = x.size(dim)
    if size == 0:
        raise RuntimeError(f"Expected non-empty dimensions for replicate padding, but got {list(x.shape)}")
    lead = [-1] * x.dim()
    lead[dim] = left
    trail = [-1] * x.dim()
    trail[dim] = right
    return [x.narrow(dim, 0, 1).expand(lead), x, x.narrow(dim, size - 1, 1).expand(trail)]


def _circular(x: Tensor, dim: int, left: int, right: int) -> list[Tensor]:
    size = x.size(dim)
    if left > size or right > size:
        raise RuntimeError("Padding value causes wrapping around more than once.")
    return [x.narrow(dim, size - left, left), x, x.narrow(dim, 0, right)]


_EDGES = {"reflect": _reflect, "replicate": _replicate, "circular": _circular}


def _pad_dim(x: Tensor, dim: int, left: int, right: int, mode: str) -> Tensor:
    """Pad one dimension; negative amounts crop."""
    size = x.size(dim)
    if size + left + right < 0 or (size + left + right == 0 and size > 0 and mode != "circular"):
        raise RuntimeError(
            f"The input size {size}, plus negative padding {left} and {right}, resulted in a negative or zero output "
            f"size at dimension {dim}"
        )
    if mode == "circular":
        # What is cropped does not wrap around either.
        return _grow(_crop(x, dim, left, right), dim, left, right, mode)
    return _crop(_grow(x, dim, left, right, mode), dim, left, right)


def _grow(x: Tensor, dim: int, left: int, right: int, mode: str) -> Tensor:
    left, right = max(left, 0), max(right, 0)
    if not left and not right:
        return x
    return ops.cat([part for part in _EDGES[mode](x, dim, left, right) if part.size(dim)], dim)


def _crop(x: Tensor, dim: int, left: int, right: int) -> Tensor:
    left, right = max(-left, 0), max(-right, 0)
    return x.narrow(dim, left, x.size(dim) - left - right) if left or right else x
