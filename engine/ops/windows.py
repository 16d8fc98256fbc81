"""Window functions for spectral analysis, periodic or symmetric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.variable import Tensor
from ..device import resolve
from .creation import tensor_from
from .publish import function

Options = dict[str, Any]


def made(name: str, M: int, sym: bool, shape: Callable[[np.ndarray, int], np.ndarray], options: Options) -> Tensor:
    """A window of M points: ``shape(k, n)`` at positions k of a window of n points (M + 1 for a periodic one)."""
    dtype = options.get("dtype") or dtypes.default.get()
    if not dtype.is_floating_point:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {dtype}")
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    n = M if sym else M + 1
    values = np.ones(M) if M <= 1 else shape(np.arange(M, dtype=np.float64), n)
    out = tensor_from(values, dtype, resolve(options.get("device")))
    return out.requires_grad_(True) if options.get("requires_grad") else out


def cosines(weights: Sequence[float]) -> Callable[[np.ndarray, int], np.ndarray]:
    """Alternating sum of cosines: w0 - w1 cos(x) + w2 cos(2x) - ..."""

    def shape(k: np.ndarray, n: int) -> np.ndarray:
        x = 2 * np.pi * k / (n - 1)
        return sum((-1) ** i * w * np.cos(i * x) for i, w in enumerate(weights))

    return shape


def bartlett(k: np.ndarray, n: int) -> np.ndarray:
    """Triangle that is zero at both ends."""
    return 1 - np.abs(2 * k / (n - 1) - 1)


def kaiser(beta: float) -> Callable[[np.ndarray, int], np.ndarray]:
    """I0(beta sqrt(1 - x^2)) / I0(beta) for x from -1 to 1."""

    def shape(k: np.ndarray, n: int) -> np.ndarray:
        x = 2 * k / (n - 1) - 1
        return np.i0(beta * np.sqrt(np.clip(1 - x * x, 0, None))) / np.i0(beta)

    return shape


def _window(name: str, length: int, periodic: bool, shape: Callable, options: Options) -> Tensor:
    if length < 0:
        raise RuntimeError(f"{name} requires non-negative window_length, got window_length={length}")
    return made(name, length, not periodic, shape, options)


@function(method=False)
def hann_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """Raised cosine. Options: dtype, device, layout, requires_grad."""
    return _window("hann_window", window_length, periodic, cosines((0.5, 0.5)), options)


@function(method=False)
def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, **options: Any
) -> Tensor:
    """alpha - beta cos(x). Options: dtype, device, layout, requires_grad."""
    return _window("hamming_window", window_length, periodic, cosines((alpha, beta)), options)


@function(method=False)
def blackman_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """Three cosines. Options: dtype, device, layout, requires_grad."""
    return _window("blackman_window", window_length, periodic, cosines((0.42, 0.5, 0.08)), options)


@function(method=False)
def bartlett_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """Triangle. Options: dtype, device, layout, requires_grad."""
    return _window("bartlett_window", window_length, periodic, bartlett, options)


@function(method=False)
def kaiser_window(window_length: int, periodic: bool = True, beta: float = 12.0, **options: Any) -> Tensor:
    """Kaiser's window. Options: dtype, device, layout, requires_grad."""
    return _window("kaiser_window", window_length, periodic, kaiser(beta), options)
