"""Averages of a model's weights: stochastic weight averaging (Izmailov et al., 2018) and moving averages."""

import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any, Literal

from .. import ops
from ..autograd import no_grad
from ..dtypes import int64
from ..nn import BatchNorm1d, BatchNorm2d, BatchNorm3d, Module
from ..ops.together import apply_rule
from ..tensor import Tensor
from .lr_scheduler.base import LRScheduler, check_optimizer, per_group
from .optimizer import Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def _lerp_rule(average: Tensor, value: Tensor, *, weight: Any) -> tuple[Tensor]:
    """``average + weight * (value - average)``."""
    return (average + weight * (value - average),)


def _average(averages: Sequence[Tensor], values: Sequence[Tensor], weight: Any) -> None:
    """Move every average towards its value; integer tensors are rounded down to their dtype."""
    apply_rule(_lerp_rule, averages, values, [()] * len(averages), {"weight": weight}, {})


def _check_decay(decay: float) -> None:
    if decay < 0.0 or decay > 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[..., None]:
    """In-place exponential moving average of lists of tensors: ``ema = decay * ema + (1 - decay) * value``."""
    _check_decay(decay)

    def ema_update(averages: Sequence[Tensor], values: Sequence[Tensor], num_averaged: Any) -> None:
        with no_grad():
            _average(averages, values, 1 - decay)

    return ema_update


def get_swa_multi_avg_fn() -> Callable[..., None]:
    """In-place equal average of lists of tensors."""

    def swa_update(averages: Sequence[Tensor], values: Sequence[Tensor], num_averaged: Tensor | int) -> None:
        with no_grad():
            _average(averages, values, 1 / (num_averaged + 1))

    return swa_update


def get_ema_avg_fn(decay: float = 0.999) -> Callable[..., Tensor]:
    """Exponential moving average of a tensor: ``decay * ema + (1 - decay) * value``."""
    _check_decay(decay)

    def ema_update(average: Tensor, value: Tensor, num_averaged: Any) -> Tensor:
        with no_grad():
            return decay * average + (1 - decay) * value

    return ema_update


def get_swa_avg_fn() -> Callable[..., Tensor]:
    """Equal average of a tensor."""

    def swa_update(average: Tensor, value: Tensor, num_averaged: Tensor | int) -> Tensor:
        with no_grad():
            return average + (value - average) / (num_averaged + 1)

    return swa_update


class AveragedModel(Module):
    """A copy of a model whose parameters are the running average of the model's.

    Args:
        device: where the average lives, by default with the model.
        avg_fn: new average of one parameter from (average, parameter, number averaged).
        multi_avg_fn: updates lists of averages in place; by default the equal average.
        use_buffers: average the buffers as well, instead of copying them.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Callable[[Tensor, Tensor, Tensor | int], Tensor] | None = None,
        multi_avg_fn: Callable[[Sequence[Tensor], Sequence[Tensor], Tensor | int], None] | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", ops.zeros((), dtype=int64, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the averaged model."""
        return self.module(*args, **kwargs)

    def _count(self) -> int:
        """`n_averaged` as a number, read from the device only after somebody else wrote it."""
        known = self.__dict__.get("_known_count")
        buffer = self.n_averaged
        if known is None or known[0] is not buffer or known[1] != buffer._version:
            known = (buffer, buffer._version, int(buffer))
        return known[2]

    def update_parameters(self, model: Module) -> None:
        """Take the model's present parameters into the average."""
        averages, values = self._pairs(model)
        with no_grad():
            count = self._count()
            if count == 0:
                for average, value in zip(averages, values):
                    average.copy_(value)
            elif self.avg_fn is not None:
                for average, value in zip(averages, values):
                    average.copy_(self.avg_fn(average, value, self.n_averaged.to(average.device)))
            else:
                self._update_lists(averages, values, count)
            if not self.use_buffers:
                for average, value in zip(self.module.buffers(), model.buffers()):
                    average.copy_(value.to(average.device))
            self.n_averaged.fill_(count + 1)
            self.__dict__["_known_count"] = (self.n_averaged, self.n_averaged._version, count + 1)

    def _pairs(self, model: Module) -> tuple[list[Tensor], list[Tensor]]:
        """The averaged tensors and what is to be averaged, on their devices."""
        averages, values = list(self.module.parameters()), list(model.parameters())
        if self.use_buffers:
            averages, values = list(chain(averages, self.module.buffers())), list(chain(values, model.buffers()))
        pairs = list(zip(averages, values))
        return (
            [average.detach() for average, _ in pairs],
            [value.detach().to(average.device) for average, value in pairs],
        )

    def _update_lists(self, averages: list[Tensor], values: list[Tensor], count: int) -> None:
        if self.multi_avg_fn is None:
            _average(averages, values, 1 / (count + 1))
            return
        by_kind: dict[tuple, tuple[list[Tensor], list[Tensor]]] = {}
        for average, value in zip(averages, values):
            lists = by_kind.setdefault((average.device, average.dtype), ([], []))
            lists[0].append(average)
            lists[1].append(value)
        for (device, _), (some_averages, some_values) in by_kind.items():
            self.multi_avg_fn(some_averages, some_values, self.n_averaged.to(device))


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Set the running statistics of the model's batch norms to those of one pass over `loader`.

    Batches may be tensors or lists and tuples whose first item is the input.
    """
    norms = {
        module: module.momentum
        for module in model.modules()
        if isinstance(module, BatchNorm1d | BatchNorm2d | BatchNorm3d)
    }
    if not norms:
        return
    was_training = model.training
    model.train()
    for module in norms:
        module.reset_running_stats()
        module.momentum = None  # cumulative average
    with no_grad():
        for batch in loader:
            inputs = batch[0] if isinstance(batch, list | tuple) else batch
            model(inputs if device is None else inputs.to(device))
    for module, momentum in norms.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Anneals lr to `swa_lr` over `anneal_epochs` epochs and keeps it there."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | list[float],
        anneal_epochs: int = 10,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        for lr, group in zip(per_group("swa_lr", swa_lr, optimizer), optimizer.param_groups):
            group["swa_lr"] = lr
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self._anneal_strategy = anneal_strategy
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def anneal_func(self, t: float) -> float:
        """Part of the way to swa_lr at `t` in [0, 1]."""
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list[Any]:
        """Rates of this epoch, from the current ones."""
        self._warn_outside_step()
        step, epochs = self._step_count - 1, max(1, self.anneal_epochs)
        if self.anneal_epochs == 0:
            step = max(1, step)
        before = self.anneal_func(max(0, min(1, (step - 1) / epochs)))
        now = self.anneal_func(max(0, min(1, step / epochs)))
        lrs = []
        for group, lr in zip(self.optimizer.param_groups, self._current_lrs()):
            goal = group["swa_lr"]
            start = goal if before == 1 else (lr - before * goal) / (1 - before)
            lrs.append(goal * now + start * (1 - now))
        return lrs
