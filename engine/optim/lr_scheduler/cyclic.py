"""Cyclical learning rates (Smith, 2017)."""

import math
import types
from collections.abc import Callable
from typing import Any, Literal
from weakref import WeakMethod

from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer, per_group, set_group_value


def check_momentum(optimizer: Optimizer) -> bool:
    """Whether the optimizer's momentum is its first beta.

    Raises:
        ValueError: if it has no momentum.
    """
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
    return "betas" in optimizer.defaults


def set_momentum(group: dict[str, Any], value: float, as_beta1: bool) -> None:
    """Set a group's momentum or first beta."""
    if as_beta1:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


class CyclicLR(LRScheduler):
    """Moves lr between `base_lr` and `max_lr` in triangles of ``step_size_up + step_size_down`` batches.

    Args:
        mode: "triangular", "triangular2" (the height halves each cycle) or "exp_range" (height times
            ``gamma ** iteration``); ignored with `scale_fn`.
        scale_fn: factor of the height, a function of the cycle or the iteration, as `scale_mode` says.
        cycle_momentum: move the momentum the other way, between `max_momentum` and `base_momentum`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        base_lrs = per_group("base_lr", base_lr, optimizer)
        if last_epoch == -1:
            for lr, group in zip(base_lrs, optimizer.param_groups):
                set_group_value(group, "lr", lr)
        self.max_lrs = per_group("max_lr", max_lr, optimizer)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode
        self._init_scale_fn()
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._init_momentum(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def _init_scale_fn(self) -> None:
        if self._scale_fn_custom is not None:
            return
        name = f"_{self.mode}_scale_fn"
        self._scale_fn_ref = WeakMethod(getattr(self, name))  # a bound method would be a reference cycle
        self.scale_mode = "iterations" if self.mode == "exp_range" else "cycle"

    def _init_momentum(self, base: float | list[float], high: float | list[float], last_epoch: int) -> None:
        self.use_beta1 = check_momentum(self.optimizer)
        self.base_momentums = per_group("base_momentum", base, self.optimizer)
        self.max_momentums = per_group("max_momentum", high, self.optimizer)
        if last_epoch == -1:
            for low, top, group in zip(self.base_momentums, self.max_momentums, self.optimizer.param_groups):
                set_momentum(group, top, self.use_beta1)
                group["max_momentum"] = top
                group["base_momentum"] = low

    def scale_fn(self, x: float) -> float:
        """Factor of the triangle's height at a cycle or iteration."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        return self._scale_fn_ref()(x)

    def _triangular_scale_fn(self, x: float) -> float:
        return 1.0

    def _triangular2_scale_fn(self, x: float) -> float:
        return 1 / 2.0 ** (x - 1)

    def _exp_range_scale_fn(self, x: float) -> float:
        return self.gamma**x

    def get_lr(self) -> list[Any]:
        """Rates of batch `last_epoch`; sets the momentum too."""
        self._warn_outside_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for low, top, group in zip(self.base_momentums, self.max_momentums, self.optimizer.param_groups):
                set_momentum(group, top - (top - low) * height * scale, self.use_beta1)
        return [low + (top - low) * height * scale for low, top in zip(self.base_lrs, self.max_lrs)]

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimizer; a callable object `scale_fn` by its attributes, a function as None."""
        state = super().state_dict()
        state.pop("_scale_fn_ref", None)
        custom = state.pop("_scale_fn_custom")
        keep = custom is not None and not isinstance(custom, types.FunctionType)
        state["_scale_fn_custom"] = custom.__dict__.copy() if keep else None
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a `state_dict`; a function `scale_fn` stays that of this scheduler."""
        state = dict(state_dict)
        attributes = state.pop("_scale_fn_custom", None)
        super().load_state_dict(state)
        if attributes is not None and self._scale_fn_custom is not None:
            self._scale_fn_custom.__dict__.update(attributes)
        self._init_scale_fn()
