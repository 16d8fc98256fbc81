"""RMSprop (Hinton, lecture 6e, 2012; centered: Graves, 2013)."""

from typing import Any

from ..tensor import Tensor
from . import expr
from .optimizer import ParamsT
from .rule_optimizer import RuleOptimizer, check_lr, check_not_negative, is_active


def rmsprop_rule(
    p: Tensor,
    g: Tensor,
    square_avg: Tensor,
    *more: Tensor,
    lr: Any,
    alpha: Any,
    mix: Any,
    eps: Any,
    momentum: Any,
    weight_decay: Any,
    decay: bool,
    has_momentum: bool,
    centered: bool,
    maximize: bool,
) -> tuple[Tensor, ...]:
    """``p -= lr * g / (sqrt(square_avg) + eps)``; ``mix`` is ``1 - alpha``.

    `more` is the momentum buffer if ``has_momentum``, then the average gradient if ``centered``; the variance takes the
    place of the mean square in the latter case.
    """
    if maximize:
        g = -g
    if decay:
        g = g + weight_decay * p
    square_avg = alpha * square_avg + mix * g * g
    state = (square_avg,)
    spread = square_avg
    if centered:
        mean = more[-1] + mix * (g - more[-1])
        spread = square_avg - mean * mean
        state = (square_avg, mean)
    scale = expr.sqrt(spread) + eps
    if not has_momentum:
        return p - lr * g / scale, *state
    buf = momentum * more[0] + g / scale
    return p - lr * buf, square_avg, buf, *state[1:]


class RMSprop(RuleOptimizer):
    """RMSprop, optionally centered and with momentum. ``foreach`` and ``capturable`` are accepted."""

    rule = staticmethod(rmsprop_rule)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_not_negative(epsilon=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _tensor_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        names = ("square_avg",)
        if group["momentum"] > 0:
            names += ("momentum_buffer",)
        if group["centered"]:
            names += ("grad_avg",)
        return names

    def _scalars(self, group: dict[str, Any], step: float) -> dict[str, Any]:
        return {
            "lr": group["lr"],
            "alpha": group["alpha"],
            "mix": 1 - group["alpha"],
            "eps": group["eps"],
            "momentum": group["momentum"],
            "weight_decay": group["weight_decay"],
        }

    def _flags(self, group: dict[str, Any], step: float) -> dict[str, bool]:
        return {
            "decay": is_active(group["weight_decay"]),
            "has_momentum": group["momentum"] > 0,
            "centered": group["centered"],
            "maximize": group["maximize"],
        }
