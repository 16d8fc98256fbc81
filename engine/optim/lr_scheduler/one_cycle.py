"""The 1cycle policy (Smith & Topin, 2018)."""

import math
from typing import Any, Literal

from ..optimizer import Optimizer
from .base import LRScheduler, check_optimizer, per_group
from .cyclic import check_momentum, set_momentum


def _total_steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is not None:
        checked = {"total_steps": total_steps}
    elif epochs is not None and steps_per_epoch is not None:
        checked = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    else:
        raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
    for name, value in checked.items():
        if value <= 0 or not isinstance(value, int):
            raise ValueError(f"Expected positive integer {name}, but got {value}")
    return math.prod(checked.values())


def _phase(end_step: float, start_lr: str, end_lr: str, start_momentum: str, end_momentum: str) -> dict[str, Any]:
    return {
        "end_step": end_step,
        "start_lr": start_lr,
        "end_lr": end_lr,
        "start_momentum": start_momentum,
        "end_momentum": end_momentum,
    }


class OneCycleLR(LRScheduler):
    """Raises lr from ``max_lr / div_factor`` to `max_lr` and lowers it to ``max_lr / div_factor / final_div_factor``.

    Args:
        total_steps: batches of the whole cycle, or else `epochs` times `steps_per_epoch`.
        pct_start: part of the cycle that rises.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: move the momentum from `max_momentum` to `base_momentum` and back.
        three_phase: fall symmetrically to the initial rate first, then to the final one.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        self._schedule_phases = self._phases(pct_start, three_phase)
        if pct_start < 0 or pct_start > 1 or not isinstance(pct_start, float):
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self._anneal_func_type = anneal_strategy
        max_lrs = per_group("max_lr", max_lr, optimizer)
        if last_epoch == -1:
            for group, top in zip(optimizer.param_groups, max_lrs):
                group["initial_lr"] = top / div_factor
                group["max_lr"] = top
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._init_momentum(base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def _phases(self, pct_start: float, three_phase: bool) -> list[dict[str, Any]]:
        """Phases by their last step and the names of the groups' options between which they move."""
        rise, last = float(pct_start * self.total_steps) - 1, self.total_steps - 1
        up = _phase(rise, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        if not three_phase:
            return [up, _phase(last, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        fall = float(2 * pct_start * self.total_steps) - 2
        down = _phase(fall, "max_lr", "initial_lr", "base_momentum", "max_momentum")
        return [up, down, _phase(last, "initial_lr", "min_lr", "max_momentum", "max_momentum")]

    def _init_momentum(self, base: float | list[float], high: float | list[float], last_epoch: int) -> None:
        self.use_beta1 = check_momentum(self.optimizer)
        highs, bases = per_group("max_momentum", high, self.optimizer), per_group("base_momentum", base, self.optimizer)
        if last_epoch == -1:
            for top, low, group in zip(highs, bases, self.optimizer.param_groups):
                set_momentum(group, top, self.use_beta1)
                group["max_momentum"] = top
                group["base_momentum"] = low

    def _anneal_func(self, start: float, end: float, pct: float) -> float:
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * pct) + 1)
        return (end - start) * pct + start

    def get_lr(self) -> list[Any]:
        """Rates of batch `last_epoch`; sets the momentum too."""
        self._warn_outside_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(f"Tried to step {step} times. The specified number of total steps is {self.total_steps}")
        start_step = 0.0
        for phase in self._schedule_phases:
            if step <= phase["end_step"]:
                break
            if phase is not self._schedule_phases[-1]:
                start_step = phase["end_step"]
        pct = (step - start_step) / (phase["end_step"] - start_step)
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                momentum = self._anneal_func(group[phase["start_momentum"]], group[phase["end_momentum"]], pct)
                set_momentum(group, momentum, self.use_beta1)
        return [
            self._anneal_func(group[phase["start_lr"]], group[phase["end_lr"]], pct)
            for group in self.optimizer.param_groups
        ]
