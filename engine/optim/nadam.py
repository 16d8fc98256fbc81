"""NAdam: Adam with Nesterov momentum (Dozat, 2016)."""

from typing import Any

import numpy as np

from ..dtypes import float32
from ..tensor import Tensor
from . import expr
from .optimizer import ParamsT
from .rule_optimizer import RuleOptimizer, check_betas, check_lr, check_not_negative, is_active
from .state import ParamState


def nadam_rule(
    p: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    *,
    grad_step: Any,
    momentum_step: Any,
    mix1: Any,
    beta2: Any,
    mix2: Any,
    bias_correction2: Any,
    eps: Any,
    weight_decay: Any,
    shrink: Any,
    decay: bool,
    decoupled: bool,
    maximize: bool,
) -> tuple[Tensor, ...]:
    """``p -= (grad_step * g + momentum_step * m) / (sqrt(v / (1 - beta2**t)) + eps)``.

    With ``mu_t = beta1 * (1 - 0.96**(t * momentum_decay) / 2)`` and ``M_t`` the product of ``mu_1 .. mu_t``:
    ``grad_step = lr * (1 - mu_t) / (1 - M_t)`` and ``momentum_step = lr * mu_(t+1) / (1 - M_(t+1))``.
    """
    if maximize:
        g = -g
    if decay and decoupled:
        p = p * shrink
    elif decay:
        g = g + weight_decay * p
    m = m + mix1 * (g - m)
    v = beta2 * v + mix2 * g * g
    scale = expr.sqrt(v / bias_correction2) + eps
    return p - grad_step * g / scale - momentum_step * m / scale, m, v


class NAdam(RuleOptimizer):
    """Adam with Nesterov momentum. ``foreach`` and ``capturable`` are accepted."""

    rule = staticmethod(nadam_rule)
    host_names = ("step", "mu_product")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check_not_negative(weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _host_start(self, group: dict[str, Any]) -> dict[str, float]:
        return {"step": 0.0, "mu_product": 1.0}

    def _advance(self, state: ParamState, group: dict[str, Any], p: Tensor) -> tuple[float, float]:
        step = state.advance()
        product = state.host["mu_product"]
        factor = self._mu(group, step)
        if product.dtype == float32:  # the product is kept in float32: round its factor as well
            factor = float(np.float32(factor))
        return step, product.set(product.get() * factor)

    @staticmethod
    def _mu(group: dict[str, Any], step: float) -> float:
        return group["betas"][0] * (1.0 - 0.5 * 0.96 ** (step * group["momentum_decay"]))

    def _tensor_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq")

    def _scalars(self, group: dict[str, Any], step: float, product: float) -> dict[str, Any]:
        lr = group["lr"]
        beta1, beta2 = group["betas"]
        mu, mu_next = self._mu(group, step), self._mu(group, step + 1)
        return {
            "grad_step": lr * (1.0 - mu) / (1.0 - product),
            "momentum_step": lr * mu_next / (1.0 - product * mu_next),
            "mix1": 1 - beta1,
            "beta2": beta2,
            "mix2": 1 - beta2,
            "bias_correction2": 1 - beta2**step,
            "eps": group["eps"],
            "weight_decay": group["weight_decay"],
            "shrink": 1 - lr * group["weight_decay"],
        }

    def _flags(self, group: dict[str, Any], step: float, product: float) -> dict[str, bool]:
        return {
            "decay": is_active(group["weight_decay"]),
            "decoupled": group["decoupled_weight_decay"],
            "maximize": group["maximize"],
        }
