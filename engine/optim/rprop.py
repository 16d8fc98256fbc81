"""Resilient backpropagation (Riedmiller & Braun, 1993)."""

from typing import Any

from .. import ops
from ..tensor import Tensor
from . import expr
from .optimizer import ParamsT
from .rule_optimizer import RuleOptimizer, check_lr


def rprop_rule(
    p: Tensor,
    g: Tensor,
    prev: Tensor,
    size: Tensor,
    *,
    eta_minus: Any,
    eta_plus: Any,
    size_min: Any,
    size_max: Any,
    maximize: bool,
) -> tuple[Tensor, ...]:
    """``p -= sign(g) * size``; `size` grows while the sign of the gradient stays and shrinks where it turns.

    Where it turns the gradient counts as zero for this step and as the next step's previous one.
    """
    if maximize:
        g = -g
    agreement = g * prev
    turned = agreement < 0
    size = expr.where(turned, size * eta_minus, expr.where(agreement > 0, size * eta_plus, size))
    size = expr.where(size < size_min, size_min, expr.where(size > size_max, size_max, size))
    g = expr.where(turned, 0.0, g)
    p = expr.where(g > 0, p - size, expr.where(g < 0, p + size, p))
    return p, g, size


class Rprop(RuleOptimizer):
    """Resilient backpropagation, for full batches. ``foreach`` and ``capturable`` are accepted."""

    rule = staticmethod(rprop_rule)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _advance(self, state: Any, group: dict[str, Any], p: Tensor) -> tuple:
        state.advance()
        return ()  # the update does not depend on the step

    def _tensor_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("prev", "step_size")

    def _new_tensors(self, p: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        lr = float(group["lr"])
        start = complex(lr, lr) if p.is_complex() else lr
        return {"prev": ops.zeros_like(p), "step_size": ops.full_like(p, start)}

    def _scalars(self, group: dict[str, Any]) -> dict[str, Any]:
        eta_minus, eta_plus = group["etas"]
        size_min, size_max = group["step_sizes"]
        return {"eta_minus": eta_minus, "eta_plus": eta_plus, "size_min": size_min, "size_max": size_max}

    def _flags(self, group: dict[str, Any]) -> dict[str, bool]:
        return {"maximize": group["maximize"]}
