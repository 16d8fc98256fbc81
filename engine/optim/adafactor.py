"""Adafactor (Shazeer & Stern, 2018), without the running average of the gradient."""

from typing import Any

from .. import ops
from ..dtypes import finfo
from ..ops.together import as_scalar
from ..tensor import Tensor
from .optimizer import ParamsT
from .rule_optimizer import RuleOptimizer
from .state import ParamState


def _check_options(lr: Any, beta2_decay: float, eps: tuple[float | None, float], d: float, weight_decay: float) -> None:
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not 0.0 <= lr:
        raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
    if not beta2_decay <= 0.0:
        raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
    if eps[0] is not None and not 0.0 <= eps[0]:
        raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
    if not 0.0 <= eps[1]:
        raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
    if not 1.0 <= d:
        raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
    if not 0.0 <= weight_decay:
        raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")


def _rms(x: Tensor) -> Tensor:
    return ops.sqrt(ops.mean(x * x))


class Adafactor(RuleOptimizer):
    """Adafactor: matrices keep row and column means of the squared gradient instead of all of it.

    Args:
        lr: upper bound of the relative step size ``min(lr, 1 / sqrt(t))``.
        beta2_decay: exponent of ``1 - t ** beta2_decay``, the decay rate of the second moment.
        eps: regularisers of the squared gradient (None: the dtype's epsilon) and of the parameter's size.
        d: threshold of the update's root mean square.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        _check_options(lr, beta2_decay, eps, d, weight_decay)
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _new_tensors(self, p: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        if p.dim() < 2:
            return {"variance": ops.zeros_like(p)}
        lead, (rows, columns) = tuple(p.shape[:-2]), p.shape[-2:]
        return {
            "row_var": ops.zeros((*lead, rows, 1), dtype=p.dtype, device=p.device),
            "col_var": ops.zeros((*lead, 1, columns), dtype=p.dtype, device=p.device),
        }

    def _update(self, group: dict[str, Any]) -> None:
        for p in group["params"]:
            if p.grad is None:
                continue
            if p.is_complex():
                raise RuntimeError("Adafactor does not support complex parameters")
            state = self.state[p]
            if type(state) is not ParamState:
                state = self._adopt(p, state, group)
            self._update_one(p, p.grad, state, group)

    def _update_one(self, p: Tensor, grad: Tensor, state: ParamState, group: dict[str, Any]) -> None:
        step, lr, (eps1, eps2) = state.advance(), as_scalar(group["lr"]), group["eps"]
        if eps1 is None:
            eps1 = finfo(p.dtype).eps
        if group["maximize"]:
            grad = -grad
        bound = step**-0.5
        relative = ops.clamp(lr, max=bound) if isinstance(lr, Tensor) else min(lr, bound)
        size = ops.clamp(_rms(p), min=eps2) * relative
        new = p
        if group["weight_decay"] != 0:
            new = p * (1 - lr * group["weight_decay"])
        variance = self._second_moment(grad, state, step ** group["beta2_decay"], eps1)
        update = ops.rsqrt(ops.clamp(variance, min=eps1 * eps1)) * grad
        scale = size / ops.clamp(_rms(update) / group["d"], min=1.0)
        p.copy_(new - scale * update)

    @staticmethod
    def _second_moment(grad: Tensor, state: ParamState, weight: float, eps1: float) -> Tensor:
        """Fold the squared gradient in with `weight` and return its estimate in full size."""
        square = grad * grad
        if grad.dim() < 2:
            return state["variance"].lerp_(square, weight)
        row = state["row_var"].lerp_(square.mean(dim=-1, keepdim=True), weight)
        column = state["col_var"].lerp_(square.mean(dim=-2, keepdim=True), weight)
        return row * column / ops.clamp(row.mean(dim=-2, keepdim=True), min=eps1)
