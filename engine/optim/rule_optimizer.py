"""Optimizers that are one elementwise rule per parameter."""

import math
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from .. import ops
from ..autograd import enable_grad
from ..autograd.mode import mode
from ..graph.provided import Capture, Source, Stale, provide
from ..ops.together import Rule, apply_rule, as_scalar
from ..tensor import Tensor
from .optimizer import Optimizer
from .state import HostScalar, ParamState, scalar_dtype

# Options that checkpoints of old versions lack, with the value that means "as before".
_ABSENT_OPTIONS = {
    "amsgrad": False,
    "capturable": False,
    "centered": False,
    "decoupled_weight_decay": False,
    "differentiable": False,
    "foreach": None,
    "fused": None,
    "maximize": False,
    "nesterov": False,
}


def check_lr(lr: float | Tensor) -> None:
    """Refuse a negative learning rate or a tensor of several elements."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not 0.0 <= lr:
        raise ValueError(f"Invalid learning rate: {lr}")


def check_not_negative(**values: Any) -> None:
    """Refuse negative values; the names are those of the messages, `epsilon` for eps."""
    for name, value in values.items():
        if not 0.0 <= value:
            raise ValueError(f"Invalid {name} value: {value}")


def check_betas(betas: tuple[Any, Any]) -> None:
    """Refuse decay rates outside [0, 1)."""
    for index, beta in enumerate(betas[:2]):
        if not 0.0 <= beta < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {beta}")


def is_active(value: Any) -> bool:
    """Whether an option like weight_decay takes part; a tensor always does, so that it need not be read."""
    return isinstance(value, Tensor) or value != 0


def root(value: Any) -> Any:
    """Square root of a scalar, number or tensor."""
    return ops.sqrt(value) if isinstance(value, Tensor) else math.sqrt(value)


class RuleOptimizer(Optimizer):
    """Base of the elementwise optimizers.

    A subclass names its `rule` and `host_names` (0-dim state kept on the host) and gives `_tensor_names`, `_scalars`
    and `_flags`. Parameters that share their host values go into one `apply_rule`.
    """

    rule: ClassVar[Rule]
    host_names: ClassVar[tuple[str, ...]] = ("step",)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in _ABSENT_OPTIONS.items():
                if name in self.defaults:
                    group.setdefault(name, value)
            for p in group["params"]:
                held = self.state.get(p)
                if held and type(held) is not ParamState:
                    self._adopt(p, held, group)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: evaluates the model again, with gradients enabled, and returns the loss.

        Returns: what `closure` returned, or None.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        before = mode.grad
        mode.grad = bool(self.defaults.get("differentiable"))
        try:
            for group in self.param_groups:
                self._update(group)
        finally:
            mode.grad = before
        return loss

    def _update(self, group: dict[str, Any]) -> None:
        names = self._tensor_names(group)
        buckets: dict[tuple, tuple[list, list, list]] = {}
        held = self.state
        last = bucket = None
        for p in group["params"]:
            grad = p._grad
            if grad is None:
                continue
            state = held[p]
            if type(state) is not ParamState:
                state = self._adopt(p, state, group)
            key = self._advance(state, group, p)
            if key != last:
                last = key
                bucket = buckets.get(key)
                if bucket is None:
                    bucket = buckets[key] = ([], [], [])
            bucket[0].append(p)
            bucket[1].append(grad)
            bucket[2].append([state[name] for name in names])
        for key, (params, grads, states) in buckets.items():
            self._apply(params, grads, states, group, key)

    def _apply(self, params: list, grads: list, states: list, group: dict[str, Any], key: tuple) -> None:
        scalars = {name: as_scalar(value) for name, value in self._scalars(group, *key).items()}
        if Capture.active is not None:
            source = _StepNumbers(self, params, group, key, tuple(scalars))
            for i, (name, value) in enumerate(scalars.items()):
                if not isinstance(value, Tensor):
                    scalars[name] = provide(value, source, i)
        apply_rule(self.rule, params, grads, states, scalars, self._flags(group, *key))

    def _adopt(self, p: Tensor, held: dict[str, Any], group: dict[str, Any]) -> ParamState:
        """Make `p`'s state anew if it is empty, else a `ParamState` of the plain dict that was loaded."""
        if held:
            tensors = {name: value for name, value in held.items() if name not in self.host_names}
            host = {name: held[name] for name in self.host_names if name in held}
        else:
            tensors, host = self._new_tensors(p, group), self._new_host(p, group)
        state = self.state[p] = ParamState(tensors, host)
        return state

    def _new_host(self, p: Tensor, group: dict[str, Any]) -> dict[str, HostScalar]:
        device = p.device if group.get("capturable") or group.get("fused") else "cpu"
        return {name: HostScalar(value, scalar_dtype(), device) for name, value in self._host_start(group).items()}

    def _host_start(self, group: dict[str, Any]) -> dict[str, float]:
        """First values of the host scalars."""
        return dict.fromkeys(self.host_names, 0.0)

    def _advance(self, state: ParamState, group: dict[str, Any], p: Tensor) -> tuple:
        """Count the step of `p`; what is returned goes to `_scalars` and `_flags` and tells buckets apart."""
        return (state.advance(),)

    def _tensor_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        """Names of the state tensors that the rule takes, in its order."""
        raise NotImplementedError

    def _new_tensors(self, p: Tensor, group: dict[str, Any]) -> dict[str, Tensor]:
        """First values of the state tensors."""
        return {name: ops.zeros_like(p) for name in self._tensor_names(group)}

    def _scalars(self, group: dict[str, Any], *key: Any) -> dict[str, Any]:
        """Numbers for the rule."""
        raise NotImplementedError

    def _flags(self, group: dict[str, Any], *key: Any) -> dict[str, bool]:
        """Static choices of the rule."""
        raise NotImplementedError

    def _all_params(self) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        for group in self.param_groups:
            for p in group["params"]:
                yield p, group

    def _check_fused(self, fused: bool | None, foreach: bool | None, differentiable: bool) -> None:
        """`fused` asks for what is done anyway; only contradictions are refused."""
        if not fused:
            return
        if differentiable:
            raise RuntimeError("`fused` does not support `differentiable`")
        if foreach:
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
        if not all(p.is_floating_point() for p, _ in self._all_params()):
            raise RuntimeError("`fused=True` requires all the params to be floating point Tensors")


class _StepNumbers(Source):
    """The host's part of a captured update: counts the step and works out its numbers."""

    def __init__(self, optimizer: RuleOptimizer, params: list, group: dict, key: tuple, names: tuple) -> None:
        self.optimizer = optimizer
        self.params = list(params)
        self.group = group
        self.flags = optimizer._flags(group, *key)
        self.names = names
        self._table: Any = None
        self._states: list[ParamState] = []
        self._options: tuple | None = None  # values of the group that `_numbers` was worked out from
        self._numbers: tuple = ()

    def _states_now(self) -> list[ParamState]:
        table = self.optimizer.state
        if table is not self._table or len(table) != self._size:
            found = [table.get(p) for p in self.params]
            self._table, self._size = table, len(table)
            self._states = [state for state in found if type(state) is ParamState]
        return self._states

    def refresh(self) -> tuple:
        optimizer, group = self.optimizer, self.group
        states = self._states_now()
        if not states and self._options is not None:
            for value, last in zip(group.values(), self._options):
                if value is not last:
                    break
            else:
                return self._numbers
        counted = [(h, h.get()) for s in states for h in s.host.values()]
        keys = {optimizer._advance(s, group, p) for s, p in zip(states, self.params)} or {(False,)}
        key = keys.pop()
        if keys or optimizer._flags(group, *key) != self.flags:
            for host, value in counted:
                host.set(value)
            raise Stale
        numbers = optimizer._scalars(group, *key)
        self._options = tuple(group.values())
        self._numbers = tuple([as_scalar(numbers[name]) for name in self.names])
        return self._numbers
