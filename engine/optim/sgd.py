"""Stochastic gradient descent with momentum (Sutskever et al., 2013)."""

from typing import Any

from .. import ops
from ..tensor import Tensor
from .optimizer import ParamsT
from .rule_optimizer import RuleOptimizer, check_lr, check_not_negative, is_active
from .state import ParamState


def sgd_rule(
    p: Tensor,
    g: Tensor,
    buf: Tensor | None = None,
    *,
    lr: Any,
    momentum: Any,
    undampened: Any,
    weight_decay: Any,
    decay: bool,
    nesterov: bool,
    maximize: bool,
    first: bool,
    detach: bool,
) -> tuple[Tensor, ...]:
    """``buf = momentum * buf + (1 - dampening) * g``; ``p -= lr * buf``. The first step takes ``buf = g``.

    ``detach`` (as in PyTorch's differentiable mode) keeps no gradient through that first ``g``.
    """
    if maximize:
        g = -g
    if decay:
        g = g + weight_decay * p
    if buf is None:
        return (p - lr * g,)
    if first:
        buf = g.detach() if detach else g
    else:
        buf = momentum * buf + undampened * g
    g = g + momentum * buf if nesterov else buf
    return p - lr * g, buf


class SGD(RuleOptimizer):
    """Stochastic gradient descent, optionally with (Nesterov) momentum.

    ``foreach`` and ``fused`` are accepted; updates are always fused.
    """

    rule = staticmethod(sgd_rule)
    host_names = ()

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_not_negative(momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        self._check_fused(fused, foreach, differentiable)

    def _update(self, group: dict[str, Any]) -> None:
        if group["momentum"] != 0:
            super()._update(group)
            return
        params = [p for p in group["params"] if p._grad is not None]
        if params:
            self._apply(params, [p._grad for p in params], [()] * len(params), group, (False,))

    def _advance(self, state: ParamState, group: dict[str, Any], p: Tensor) -> tuple[bool]:
        first = state.get("momentum_buffer") is None
        if first:
            state["momentum_buffer"] = ops.empty_like(p)
        return (first,)

    def _tensor_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",)

    def _new_tensors(self, p: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        return {}

    def _scalars(self, group: dict[str, Any], first: bool) -> dict[str, Any]:
        return {
            "lr": group["lr"],
            "momentum": group["momentum"],
            "undampened": 1 - group["dampening"],
            "weight_decay": group["weight_decay"],
        }

    def _flags(self, group: dict[str, Any], first: bool) -> dict[str, bool]:
        return {
            "decay": is_active(group["weight_decay"]),
            "nesterov": group["nesterov"],
            "maximize": group["maximize"],
            "first": first,
            "detach": first and bool(group["differentiable"]),
        }
