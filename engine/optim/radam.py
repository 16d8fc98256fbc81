"""RAdam: Adam with a rectified adaptive rate (Liu et al., 2020)."""

import math
from typing import Any

from ..tensor import Tensor
from . import expr
from .optimizer import ParamsT
from .rule_optimizer import RuleOptimizer, check_betas, check_lr, check_not_negative, is_active

# Below this length of the approximated average the variance of the adaptive rate cannot be trusted.
_MIN_LENGTH = 5.0


def radam_rule(
    p: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    *,
    step_size: Any,
    rectified_size: Any,
    mix1: Any,
    beta2: Any,
    mix2: Any,
    eps: Any,
    weight_decay: Any,
    shrink: Any,
    rectified: bool,
    decay: bool,
    decoupled: bool,
    maximize: bool,
) -> tuple[Tensor, ...]:
    """``p -= rectified_size * m / (sqrt(v) + eps)`` once rectified, else ``p -= step_size * m``.

    ``step_size = lr / (1 - beta1**t)``; ``rectified_size`` also has ``r_t * sqrt(1 - beta2**t)`` in it.
    """
    if maximize:
        g = -g
    if decay and decoupled:
        p = p * shrink
    elif decay:
        g = g + weight_decay * p
    m = m + mix1 * (g - m)
    v = beta2 * v + mix2 * g * g
    p = p - rectified_size * m / (expr.sqrt(v) + eps) if rectified else p - step_size * m
    return p, m, v


class RAdam(RuleOptimizer):
    """Rectified Adam. ``foreach`` and ``capturable`` are accepted."""

    rule = staticmethod(radam_rule)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative(epsilon=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    @staticmethod
    def _rectification(beta2: float, step: float) -> float | None:
        """``r_t`` of the paper, None while the approximated average is too short."""
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * step * beta2**step / (1 - beta2**step)
        if length <= _MIN_LENGTH:
            return None
        return math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))

    def _tensor_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def _scalars(self, group: dict[str, Any], step: float) -> dict[str, Any]:
        lr = group["lr"]
        beta1, beta2 = group["betas"]
        step_size = lr / (1 - beta1**step)
        rectification = self._rectification(beta2, step) or 0.0
        return {
            "step_size": step_size,
            "rectified_size": step_size * (rectification * math.sqrt(1 - beta2**step)),
            "mix1": 1 - beta1,
            "beta2": beta2,
            "mix2": 1 - beta2,
            "eps": group["eps"],
            "weight_decay": group["weight_decay"],
            "shrink": 1 - lr * group["weight_decay"],
        }

    def _flags(self, group: dict[str, Any], step: float) -> dict[str, bool]:
        return {
            "rectified": self._rectification(group["betas"][1], step) is not None,
            "decay": is_active(group["weight_decay"]),
            "decoupled": group["decoupled_weight_decay"],
            "maximize": group["maximize"],
        }
