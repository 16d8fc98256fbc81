"""Dropout and its relatives. Outside training all of them are the identity."""

from __future__ import annotations

import warnings

from engine import ops
from engine.tensor import Tensor

from ._common import in_place

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]

# -scale * alpha of SELU: the value that dropped units take in alpha dropout.
_SELU_SATURATION = -1.0507009873554805 * 1.6732632423543772


def _check(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability ``p`` and divide the rest by 1 - p (Hinton et al. 2012)."""
    _check(p)
    if inplace:
        return in_place(input, lambda x: ops.dropout(x, p, training))
    return ops.dropout(input, p, training)


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps zero mean and unit variance of SELU outputs (Klambauer et al. 2017)."""
    return _alpha(input, p, training, inplace, feature=False)


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Alpha dropout of whole channels of (N, C, ...)."""
    return _alpha(input, p, training, inplace, feature=True)


def _channel_shape(input: Tensor) -> list[int]:
    if input.dim() < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    return [input.size(0), input.size(1)] + [1] * (input.dim() - 2)


def _keep_mask(input: Tensor, p: float, feature: bool) -> Tensor:
    """1 with probability 1 - p and 0 otherwise, one draw an element or a channel, in the input's dtype."""
    shape = _channel_shape(input) if feature else list(input.shape)
    return ops.empty(shape, dtype=input.dtype, device=input.device).bernoulli_(1.0 - p)


def _alpha(input: Tensor, p: float, training: bool, inplace: bool, feature: bool) -> Tensor:
    _check(p)
    if not training or p == 0.0 or input.numel() == 0:
        return input
    if p == 1.0:
        return in_place(input, lambda x: x * 0.0) if inplace else input * 0.0
    keep = _keep_mask(input, p, feature)
    # Affine map that restores mean and variance after saturated units are mixed in.
    a = ((1.0 - p) * (1.0 + p * _SELU_SATURATION**2)) ** -0.5
    shift = (1.0 - keep) * (a * _SELU_SATURATION) - a * _SELU_SATURATION * p
    scale = keep * a
    if inplace:
        return in_place(input, lambda x: x * scale + shift)
    return input * scale + shift


def _feature_dropout(input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    if not training or p == 0.0 or input.numel() == 0:
        return input
    if p == 1.0:
        return in_place(input, lambda x: x * 0.0) if inplace else input * 0.0
    scale = _keep_mask(input, p, feature=True) / (1.0 - p)
    return in_place(input, lambda x: x * scale) if inplace else input * scale


def _spatial(name: str, input: Tensor, p: float, training: bool, inplace: bool, ndim: int) -> Tensor:
    """Dropout of whole channels; inputs of ``ndim`` - 1 dimensions get a batch dimension for the time."""
    _check(p)
    batched = input.dim() == ndim
    result = _feature_dropout(input if batched else input.unsqueeze(0), p, training, inplace)
    return result if batched else result.squeeze(0)


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of (N, C, L) or (C, L)."""
    _check(p)
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. Note that dropout1d exists to "
            "do channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and an optional batch "
            "dimension (i.e. 2D or 3D inputs)."
        )
    return _spatial("dropout1d", input, p, training, inplace, 3)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of (N, C, H, W) (Tompson et al. 2015).

    A 3-D input is taken as (N, C, L), as torch does for old programs.
    """
    _check(p)
    if input.dim() not in (3, 4):
        warnings.warn(
            f"dropout2d: Received a {input.dim()}-D input to dropout2d, which is deprecated and will result in an "
            "error in a future release. To retain the behavior and silence this warning, please use dropout instead.",
            stacklevel=2,
        )
    if input.dim() == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is "
            "desired - input is interpreted as shape (N, C, L), where C is the channel dim. This behavior will change "
            "in a future release to interpret the input as one without a batch dimension, i.e. shape (C, H, W).",
            stacklevel=2,
        )
    return _feature_dropout(input, p, training, inplace)


def dropout3d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero whole channels of (N, C, D, H, W) or (C, D, H, W)."""
    _check(p)
    if input.dim() not in (4, 5):
        warnings.warn(
            f"dropout3d: Received a {input.dim()}-D input to dropout3d, which is deprecated and will result in an "
            "error in a future release. To retain the behavior and silence this warning, please use dropout instead.",
            stacklevel=2,
        )
    return _spatial("dropout3d", input, p, training, inplace, 5)
