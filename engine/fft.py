"""Discrete Fourier transforms: the ``torch.fft`` namespace."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import dtypes, ops
from .device import resolve
from .tensor import Tensor

_NAMES = tuple(
    f"{stem}{suffix}" for stem in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft") for suffix in ("", "2", "n")
)
globals().update({name: getattr(ops, f"fft_{name}") for name in _NAMES})
fftshift, ifftshift = ops.fft_fftshift, ops.fft_ifftshift


def _frequencies(values: np.ndarray, dtype: Any, device: Any, requires_grad: bool, out: Tensor | None) -> Tensor:
    dtype = dtype or dtypes.default.get()
    made = ops.tensor(values, dtype=dtype, device=resolve(device))
    if out is not None:
        return out.resize_(made.shape).copy_(made)
    return made.requires_grad_(requires_grad)


def fftfreq(
    n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Frequencies of fft's n results for sample spacing d: 0, 1, ..., -2, -1 over n d."""
    return _frequencies(np.fft.fftfreq(n, d), dtype, device, requires_grad, out)


def rfftfreq(
    n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Frequencies of rfft's results for sample spacing d: 0, 1, ..., n // 2 over n d."""
    return _frequencies(np.fft.rfftfreq(n, d), dtype, device, requires_grad, out)


__all__ = ["Tensor", "fftfreq", "fftshift", "ifftshift", "rfftfreq", *_NAMES]
