"""Averaged stochastic gradient descent (Polyak & Juditsky, 1992)."""

from typing import Any

from ..tensor import Tensor
from .optimizer import ParamsT
from .rule_optimizer import RuleOptimizer, check_lr, check_not_negative, is_active
from .state import ParamState


def asgd_rule(
    p: Tensor,
    g: Tensor,
    ax: Tensor,
    *,
    eta: Any,
    shrink: Any,
    mu: Any,
    weight_decay: Any,
    decay: bool,
    averaging: bool,
    maximize: bool,
) -> tuple[Tensor, ...]:
    """``p = (1 - lambd * eta) * p - eta * g``; ``ax += mu * (p - ax)``, or ``ax = p`` while not averaging."""
    if maximize:
        g = -g
    if decay:
        g = g + weight_decay * p
    p = p * shrink - eta * g
    ax = ax + mu * (p - ax) if averaging else p
    return p, ax


class ASGD(RuleOptimizer):
    """Averaged SGD: the average starts after `t0` steps and lies in ``state[p]["ax"]``.

    ``foreach`` and ``capturable`` are accepted.
    """

    rule = staticmethod(asgd_rule)
    host_names = ("step", "eta", "mu")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _host_start(self, group: dict[str, Any]) -> dict[str, float]:
        return {"step": 0.0, "eta": float(group["lr"]), "mu": 1.0}

    def _advance(self, state: ParamState, group: dict[str, Any], p: Tensor) -> tuple[float, float]:
        step = state.advance()
        eta, mu = state.host["eta"], state.host["mu"]
        used = eta.get(), mu.get()
        lr = float(group["lr"])
        eta.set(lr / (1 + group["lambd"] * lr * step) ** group["alpha"])
        mu.set(1 / max(1, step - group["t0"]))
        return used

    def _tensor_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("ax",)

    def _scalars(self, group: dict[str, Any], eta: float, mu: float) -> dict[str, Any]:
        return {"eta": eta, "shrink": 1 - group["lambd"] * eta, "mu": mu, "weight_decay": group["weight_decay"]}

    def _flags(self, group: dict[str, Any], eta: float, mu: float) -> dict[str, bool]:
        return {"decay": is_active(group["weight_decay"]), "averaging": mu != 1, "maximize": group["maximize"]}
