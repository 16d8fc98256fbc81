"""Muon: momentum orthogonalised by a Newton-Schulz iteration (Jordan et al., 2024; Liu et al., 2025)."""

import math
from collections.abc import Callable
from typing import Any

from .. import ops
from ..autograd import enable_grad, no_grad
from ..dtypes import bfloat16
from ..ops.together import as_scalar
from ..tensor import Tensor
from .optimizer import Optimizer, ParamsT


def orthogonalise(g: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """A bfloat16 matrix near ``U @ V.T`` of the (rows, columns) matrix ``g = U @ S @ V.T``.

    Each step maps the singular values by the odd polynomial ``a x + b x**3 + c x**5``.
    """
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if g.dim() != 2:
        raise ValueError("Input tensor gradient must be a 2D matrix")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    x = g.to(bfloat16)
    tall = g.shape[0] > g.shape[1]
    if tall:
        x = x.T
    x = x / ops.clamp(x.norm(), min=eps)
    for _ in range(steps):
        gram = x @ x.T
        poly = ops.addmm(gram, gram, gram, beta=b, alpha=c)
        x = ops.addmm(x, poly, x, beta=a)
    return x.T if tall else x


class Muon(Optimizer):
    """Muon, for the matrices of a network's hidden layers; other parameters need another optimizer.

    Args:
        ns_coefficients, eps, ns_steps: of the Newton-Schulz iteration.
        adjust_lr_fn: "original" (or None) scales lr by ``sqrt(max(1, rows / columns))``, "match_rms_adamw" by
            ``0.2 * sqrt(max(rows, columns))``.

    Raises:
        ValueError: for parameters that are not matrices.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        for name, value in (("Learning rate", lr), ("momentum", momentum), ("weight decay", weight_decay)):
            if not 0.0 <= value:
                raise ValueError(f"{name} should be >= 0 but is: {value}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.dim() != 2:
                    raise ValueError(
                        f"Muon only supports 2D parameters whereas we found a parameter with size: {p.size()}"
                    )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; returns what `closure` returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._update_one(p, p.grad, group)
        return loss

    def _update_one(self, p: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        if p.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        state, momentum, lr = self.state[p], group["momentum"], as_scalar(group["lr"])
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = ops.zeros_like(grad)
        buf = state["momentum_buffer"].lerp_(grad, 1 - momentum)
        update = ops.lerp(grad, buf, momentum) if group["nesterov"] else buf
        update = orthogonalise(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
        size = lr * self._lr_ratio(group["adjust_lr_fn"], *p.shape)
        p.copy_(p * (1 - lr * group["weight_decay"]) - size * update.to(p.dtype))

    @staticmethod
    def _lr_ratio(adjust: str | None, rows: int, columns: int) -> float:
        if adjust == "match_rms_adamw":
            return 0.2 * math.sqrt(max(rows, columns))
        return math.sqrt(max(1, rows / columns))
