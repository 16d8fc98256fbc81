"""Adagrad (Duchi et al., 2011)."""

from typing import Any

from .. import ops
from ..tensor import Tensor
from . import expr
from .optimizer import ParamsT
from .rule_optimizer import RuleOptimizer, check_lr, check_not_negative, is_active


def adagrad_rule(
    p: Tensor,
    g: Tensor,
    total: Tensor,
    *,
    step_size: Any,
    eps: Any,
    weight_decay: Any,
    decay: bool,
    maximize: bool,
) -> tuple[Tensor, ...]:
    """``total += g**2``; ``p -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(total) + eps)``."""
    if maximize:
        g = -g
    if decay:
        g = g + weight_decay * p
    total = total + g * g
    return p - step_size * g / (expr.sqrt(total) + eps), total


class Adagrad(RuleOptimizer):
    """Adagrad; its state exists from the start. ``foreach`` and ``fused`` are accepted."""

    rule = staticmethod(adagrad_rule)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative(
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        self._check_fused(fused, foreach, differentiable)
        for p, group in self._all_params():
            self._adopt(p, {}, group)

    def share_memory(self) -> None:
        """Share the accumulators between processes."""
        for p, _ in self._all_params():
            self.state[p]["sum"].share_memory_()

    def _tensor_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("sum",)

    def _new_tensors(self, p: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        start = group["initial_accumulator_value"]
        return {"sum": ops.full_like(p, complex(start, start) if p.is_complex() else start)}

    def _scalars(self, group: dict[str, Any], step: float) -> dict[str, Any]:
        return {
            "step_size": group["lr"] / (1 + (step - 1) * group["lr_decay"]),
            "eps": group["eps"],
            "weight_decay": group["weight_decay"],
        }

    def _flags(self, group: dict[str, Any], step: float) -> dict[str, bool]:
        return {"decay": is_active(group["weight_decay"]), "maximize": group["maximize"]}
