"""Adamax: Adam with the infinity norm (Kingma & Ba, 2015)."""

from typing import Any

from ..tensor import Tensor
from . import expr
from .optimizer import ParamsT
from .rule_optimizer import RuleOptimizer, check_betas, check_lr, check_not_negative, is_active


def adamax_rule(
    p: Tensor,
    g: Tensor,
    m: Tensor,
    u: Tensor,
    *,
    step_size: Any,
    mix1: Any,
    beta2: Any,
    eps: Any,
    weight_decay: Any,
    decay: bool,
    maximize: bool,
) -> tuple[Tensor, ...]:
    """``p -= lr / (1 - beta1**t) * m / u`` with ``u = max(beta2 * u, |g| + eps)``."""
    if maximize:
        g = -g
    if decay:
        g = g + weight_decay * p
    m = m + mix1 * (g - m)
    u = expr.maximum(beta2 * u, expr.absolute(g) + eps)
    return p - step_size * m / u, m, u


class Adamax(RuleOptimizer):
    """Adam with an exponentially weighted infinity norm. ``foreach`` and ``capturable`` are accepted."""

    rule = staticmethod(adamax_rule)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
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
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _tensor_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_inf")

    def _scalars(self, group: dict[str, Any], step: float) -> dict[str, Any]:
        beta1, beta2 = group["betas"]
        return {
            "step_size": group["lr"] / (1 - beta1**step),
            "mix1": 1 - beta1,
            "beta2": beta2,
            "eps": group["eps"],
            "weight_decay": group["weight_decay"],
        }

    def _flags(self, group: dict[str, Any], step: float) -> dict[str, bool]:
        return {"decay": is_active(group["weight_decay"]), "maximize": group["maximize"]}
