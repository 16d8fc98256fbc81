"""Base class of the learning-rate schedulers."""

import functools
import warnings
from collections.abc import Sequence
from typing import Any
from weakref import ref

from ...tensor import Tensor
from ..optimizer import Optimizer

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. Please use "
    "`scheduler.step()` to step the scheduler. During the deprecation, if epoch is different from None, the closed "
    "form is used instead of the new chainable form, where available. Please open an issue if you are unable to "
    "replicate your use case: https://github.com/pytorch/pytorch/issues/new/choose."
)
_MORE = "See more details at https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"


def group_values(optimizer: Optimizer, key: str) -> list[Any]:
    """An option of every group; tensors are copied, so that later steps do not change what was returned."""
    values = (group[key] for group in optimizer.param_groups)
    return [value.clone() if isinstance(value, Tensor) else value for value in values]


def set_group_value(group: dict[str, Any], key: str, value: Any) -> None:
    """Set an option; a tensor option keeps its identity and is written in place."""
    held = group.get(key)
    if not isinstance(held, Tensor):
        group[key] = value
    elif isinstance(value, Tensor):
        held.copy_(value.reshape(held.shape))
    else:
        held.fill_(value)


def per_group(name: str, value: Any, optimizer: Optimizer) -> list[Any]:
    """One value a group, from a scalar or a sequence of the right length."""
    groups = len(optimizer.param_groups)
    if not isinstance(value, list | tuple):
        return [value] * groups
    if len(value) != groups:
        raise ValueError(
            f"{name} must have the same length as optimizer.param_groups. "
            f"{name} has {len(value)} values, param_groups has {groups}."
        )
    return list(value)


def check_optimizer(optimizer: Any) -> None:
    """Raise TypeError unless this is an optimizer."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def _track_steps(optimizer: Optimizer) -> None:
    """Make `optimizer.step` note that it was called, for the warning about the order of calls."""
    if hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        return
    step, owner = optimizer.step, ref(optimizer)
    function = getattr(step, "__func__", None)  # of a method; binding it here would keep the optimizer in a cycle

    @functools.wraps(step if function is None else function)
    def tracked(*args: Any, **kwargs: Any) -> Any:
        optimizer = owner()
        optimizer._opt_called = True
        return step(*args, **kwargs) if function is None else function(optimizer, *args, **kwargs)

    if function is not None:
        del step

    tracked._wrapped_by_lr_sched = True
    optimizer.step = tracked


class LRScheduler:
    """Adjusts the learning rate of every group at each `step`.

    A subclass gives `get_lr`, usually from the groups' current rates so that schedulers can be chained, and may give
    `_get_closed_form_lr` from the initial ones.

    Args:
        last_epoch: index of the last epoch when resuming; the groups then need "initial_lr".
    """

    _get_lr_called_within_step: bool = False
    _is_initial: bool = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                lr = group["lr"]
                group.setdefault("initial_lr", lr.clone() if isinstance(lr, Tensor) else lr)
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{number}] when resuming scheduler with "
                    f"last_epoch >= 0.\nLoad the optimizer's state before making the scheduler; a fresh training run "
                    "takes last_epoch=-1."
                )
        self.base_lrs: list[Any] = group_values(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        _track_steps(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        """Set the rates of the first epoch."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """All attributes but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a `state_dict`."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Any]:
        """The rates that the last step set, one a group."""
        return [lr.clone() if isinstance(lr, Tensor) else lr for lr in self._last_lr]

    def get_lr(self) -> Sequence[Any]:
        """The rates of epoch `last_epoch`, one a group."""
        raise NotImplementedError

    def step(self, epoch: int | None = None) -> None:
        """Go on to the next epoch; `epoch` is deprecated and uses the closed form where there is one."""
        if self._step_count == 1:
            self._check_order()
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _check_order(self) -> None:
        if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
            warnings.warn(
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler initialization. "
                f"Please, make sure to call `optimizer.step()` before `lr_scheduler.step()`. {_MORE}",
                UserWarning,
                stacklevel=3,
            )
        elif not getattr(self.optimizer, "_opt_called", False):
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch 1.1.0 and later, you "
                "should call them in the opposite order: `optimizer.step()` before `lr_scheduler.step()`.  Failure to "
                f"do this will result in PyTorch skipping the first value of the learning rate schedule. {_MORE}",
                UserWarning,
                stacklevel=3,
            )

    def _update_lr(self, epoch: int | None = None) -> None:
        self._get_lr_called_within_step = True
        try:
            if epoch is None:
                self.last_epoch += 1
                values = self.get_lr()
            else:
                self.last_epoch = epoch
                closed = getattr(self, "_get_closed_form_lr", None)
                values = self.get_lr() if closed is None else closed()
        finally:
            self._get_lr_called_within_step = False
        for group, lr in zip(self.optimizer.param_groups, values):
            set_group_value(group, "lr", lr)
        self._last_lr = group_values(self.optimizer, "lr")

    def _current_lrs(self) -> list[Any]:
        return group_values(self.optimizer, "lr")

    def _warn_outside_step(self) -> None:
        """For `get_lr`: what it computes is only meant for `step`."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )


class _LRScheduler(LRScheduler):
    """The name that LRScheduler had before PyTorch 2."""
