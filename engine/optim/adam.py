"""Adam (Kingma & Ba, 2015; AMSGrad: Reddi et al., 2018)."""

from typing import Any

from ..tensor import Tensor
from . import expr
from .optimizer import ParamsT
from .rule_optimizer import RuleOptimizer, check_betas, check_lr, check_not_negative, is_active, root


def adam_rule(
    p: Tensor,
    g: Tensor,
    m: Tensor,
    v: Tensor,
    vmax: Tensor | None = None,
    *,
    step_size: Any,
    mix1: Any,
    beta2: Any,
    mix2: Any,
    bias_correction2_sqrt: Any,
    eps: Any,
    weight_decay: Any,
    shrink: Any,
    decay: bool,
    decoupled: bool,
    maximize: bool,
) -> tuple[Tensor, ...]:
    """``p -= lr / (1 - beta1**t) * m / (sqrt(v / (1 - beta2**t)) + eps)``.

    ``step_size`` is ``lr / (1 - beta1**t)``, ``mix`` is ``1 - beta``, ``shrink`` is ``1 - lr * weight_decay`` for the
    decoupled decay; with ``vmax`` the running maximum of ``v`` takes its place (AMSGrad).
    """
    if maximize:
        g = -g
    if decay and decoupled:
        p = p * shrink
    elif decay:
        g = g + weight_decay * p
    m = m + mix1 * (g - m)
    v = beta2 * v + mix2 * g * g
    if vmax is None:
        return p - step_size * m / (expr.sqrt(v) / bias_correction2_sqrt + eps), m, v
    vmax = expr.maximum(vmax, v)
    return p - step_size * m / (expr.sqrt(vmax) / bias_correction2_sqrt + eps), m, v, vmax


class Adam(RuleOptimizer):
    """Adam; the weight decay is an L2 penalty unless `decoupled_weight_decay`.

    ``foreach``, ``fused`` and ``capturable`` are accepted; updates are always fused.
    """

    rule = staticmethod(adam_rule)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if foreach and not capturable:
            for name, value in (("lr", lr), ("betas[0]", betas[0]), ("betas[1]", betas[1])):
                if isinstance(value, Tensor):
                    raise ValueError(f"{name} as a Tensor is not supported for capturable=False and foreach=True")  # noqa: TRY004
        check_lr(lr)
        check_not_negative(epsilon=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        if isinstance(betas[0], Tensor) != isinstance(betas[1], Tensor):
            raise ValueError("betas must be either both floats or both Tensors")
        for index, beta in enumerate(betas):
            if isinstance(beta, Tensor) and beta.numel() != 1:
                raise ValueError(f"Tensor betas[{index}] must be 1-element")
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        self._check_fused(fused, foreach, differentiable)

    def _tensor_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if group["amsgrad"] else ("exp_avg", "exp_avg_sq")

    def _scalars(self, group: dict[str, Any], step: float) -> dict[str, Any]:
        lr, decay = group["lr"], group["weight_decay"]
        beta1, beta2 = group["betas"]
        return {
            "step_size": lr / (1 - beta1**step),
            "mix1": 1 - beta1,
            "beta2": beta2,
            "mix2": 1 - beta2,
            "bias_correction2_sqrt": root(1 - beta2**step),
            "eps": group["eps"],
            "weight_decay": decay,
            "shrink": 1 - lr * decay,
        }

    def _flags(self, group: dict[str, Any], step: float) -> dict[str, bool]:
        return {
            "decay": is_active(group["weight_decay"]),
            "decoupled": group["decoupled_weight_decay"],
            "maximize": group["maximize"],
        }
