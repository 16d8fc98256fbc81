"""Adadelta (Zeiler, 2012)."""

from typing import Any

from ..tensor import Tensor
from . import expr
from .optimizer import ParamsT
from .rule_optimizer import RuleOptimizer, check_lr, check_not_negative, is_active


def adadelta_rule(
    p: Tensor,
    g: Tensor,
    square_avg: Tensor,
    acc_delta: Tensor,
    *,
    lr: Any,
    rho: Any,
    mix: Any,
    eps: Any,
    weight_decay: Any,
    decay: bool,
    maximize: bool,
) -> tuple[Tensor, ...]:
    """``delta = sqrt(acc_delta + eps) / sqrt(square_avg + eps) * g``; ``p -= lr * delta``; ``mix`` is ``1 - rho``."""
    if maximize:
        g = -g
    if decay:
        g = g + weight_decay * p
    square_avg = rho * square_avg + mix * g * g
    delta = expr.sqrt(acc_delta + eps) / expr.sqrt(square_avg + eps) * g
    acc_delta = rho * acc_delta + mix * delta * delta
    return p - lr * delta, square_avg, acc_delta


class Adadelta(RuleOptimizer):
    """Adadelta. ``foreach`` and ``capturable`` are accepted."""

    rule = staticmethod(adadelta_rule)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_not_negative(epsilon=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _tensor_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("square_avg", "acc_delta")

    def _scalars(self, group: dict[str, Any], step: float) -> dict[str, Any]:
        return {
            "lr": group["lr"],
            "rho": group["rho"],
            "mix": 1 - group["rho"],
            "eps": group["eps"],
            "weight_decay": group["weight_decay"],
        }

    def _flags(self, group: dict[str, Any], step: float) -> dict[str, bool]:
        return {"decay": is_active(group["weight_decay"]), "maximize": group["maximize"]}
