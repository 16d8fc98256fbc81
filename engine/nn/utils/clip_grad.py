"""Limiting gradients by norm or by value."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from engine import autograd, ops
from engine.ops.together import apply_rule, total_norm
from engine.tensor import Tensor

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]


def _as_tensors(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The ``norm_type``-norm of all tensors as one vector, a 0-D tensor; ``foreach`` changes nothing here."""
    tensors = _as_tensors(tensors)
    norm_type = float(norm_type)
    with autograd.no_grad():
        if not tensors:
            return ops.tensor(0.0)
        device = tensors[0].device
        total = total_norm(tensors, norm_type)
        if total is None:
            norms = [t.detach().norm(norm_type).to(device) for t in tensors]
            total = ops.stack(norms).norm(norm_type)
    if error_if_nonfinite and not bool(ops.isfinite(total)):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale the gradients in place by max_norm / total_norm where that is below 1."""
    with autograd.no_grad():
        # Multiplying by 1 is cheaper than waiting for the norm to decide.
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        by_device: dict[object, list[Tensor]] = {}
        for grad in _gradients(_as_tensors(parameters)):
            if grad.is_leaf and not grad.requires_grad and grad.is_floating_point():
                by_device.setdefault((grad.device, grad.dtype), []).append(grad)
            else:
                grad.mul_(factor.to(grad.device))
        for grads in by_device.values():
            apply_rule(_scaled, grads, grads, [()] * len(grads), {"factor": factor}, {})


def _scaled(p: Tensor, g: Tensor, *, factor: Tensor) -> tuple[Tensor]:
    return (p * factor,)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of ``parameters`` in place so that their joint norm is at most ``max_norm``.

    Returns the norm before clipping, a 0-D tensor.
    """
    parameters = _as_tensors(parameters)
    if not parameters:
        warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2)
    total = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, total, foreach)
    return total


def clip_grad_norm(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Deprecated name of :func:`clip_grad_norm_`."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Limit each gradient entry to [-clip_value, clip_value], in place."""
    clip_value = float(clip_value)
    with autograd.no_grad():
        for grad in _gradients(_as_tensors(parameters)):
            grad.clamp_(min=-clip_value, max=clip_value)
