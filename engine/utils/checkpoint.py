"""Trading time for memory: parts of a network whose inner values are computed again in the backward pass.

Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from ..amp.state import autocast_state
from ..autograd.backward import backward as run_backward
from ..autograd.custom import Function
from ..autograd.graph import saved_tensors_hooks
from ..autograd.mode import enable_grad, mode, no_grad
from ..nn.modules.container import Sequential
from ..random import get_rng_state, set_rng_state
from ..tensor import Tensor

__all__ = [
    "CheckpointError",
    "checkpoint",
    "checkpoint_sequential",
    "detach_variable",
    "get_device_states",
    "noop_context_fn",
    "set_checkpoint_early_stop",
    "set_device_states",
]


class CheckpointError(RuntimeError):
    """The function saved other values when it was run again."""


def noop_context_fn() -> tuple[contextlib.AbstractContextManager, contextlib.AbstractContextManager]:
    """Contexts for the forward pass and for the recomputation that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


class _Surroundings:
    """What a function's result depends on besides its arguments: random state and autocast."""

    def __init__(self, keep_rng: bool) -> None:
        self.rng = get_rng_state() if keep_rng else None
        self.autocast = self._autocast_now()

    @staticmethod
    def _autocast_now() -> list[tuple]:
        return [(kind, slot.enabled, slot.dtype) for kind, slot in autocast_state.slots.items()]

    @contextlib.contextmanager
    def restored(self) -> Iterator[None]:
        """Everything as it was then; afterwards as it was before."""
        now = self._autocast_now()
        rng = get_rng_state() if self.rng is not None else None
        for setting in self.autocast:
            autocast_state.set(*setting)
        if self.rng is not None:
            set_rng_state(self.rng)
        try:
            yield
        finally:
            for setting in now:
                autocast_state.set(*setting)
            if rng is not None:
                set_rng_state(rng)


class _Frame:
    """One checkpointed call. Saved values are numbered in order; the first one asked for recomputes them all."""

    def __init__(self, run: Callable[[], Any], keep_rng: bool, context: contextlib.AbstractContextManager) -> None:
        self.run = run
        self.context = context
        self.surroundings = _Surroundings(keep_rng)
        self.count = 0
        self.values: dict[int, Tensor] = {}

    def pack(self, t: Tensor) -> Any:
        """A number instead of the tensor; leaves are there anyway."""
        if t.is_leaf and t.requires_grad:
            return t
        self.count += 1
        return self.count - 1

    def unpack(self, held: Any) -> Tensor:
        """The tensor of a number."""
        if isinstance(held, Tensor):
            return held
        if held not in self.values:
            self._recompute()
        return self.values.pop(held)

    def _recompute(self) -> None:
        found: dict[int, Tensor] = {}

        def keep(t: Tensor) -> Any:
            if not (t.is_leaf and t.requires_grad):
                found[len(found)] = t.detach()
            return t

        with enable_grad(), self.surroundings.restored(), self.context, saved_tensors_hooks(keep, lambda t: t):
            self.run()
        if len(found) != self.count:
            raise CheckpointError(
                f"torch.utils.checkpoint: A different number of tensors was saved during the original forward and "
                f"recomputation.\nNumber of tensors saved during forward: {self.count}\nNumber of tensors saved during "
                f"recomputation: {len(found)}."
            )
        self.values = found


class _Reentrant(Function):
    """The older way: a function whose backward runs the part again and goes backward through it."""

    @staticmethod
    def forward(ctx: Any, function: Callable, keep_rng: bool, *args: Any) -> Any:
        """The function itself."""
        ctx.function = function
        ctx.surroundings = _Surroundings(keep_rng)
        ctx.args = args
        with no_grad():
            return function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Gradients of the arguments; those of other leaves are accumulated on the way."""
        args = detach_variable(ctx.args)
        with enable_grad(), ctx.surroundings.restored():
            outputs = ctx.function(*args)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        pairs = [(o, g) for o, g in zip(outputs, grads) if isinstance(o, Tensor) and o.requires_grad]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        run_backward([o for o, _ in pairs], [g for _, g in pairs])
        return (None, None, *(a.grad if isinstance(a, Tensor) else None for a in args))


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Tensors without their record, which want a gradient if they did before."""
    if not isinstance(inputs, tuple):
        raise RuntimeError(f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs).__name__}")
    return tuple(x.detach().requires_grad_(x.requires_grad) if isinstance(x, Tensor) else x for x in inputs)


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)`` whose inner values are not kept but computed again in the backward pass.

    Args:
        use_reentrant: True is torch's older way, which takes no keyword arguments and needs an argument that requires
            grad; False works with everything.
        context_fn: gives two context managers, for the first run and for the one in the backward pass.
        preserve_rng_state: dropout drops the same elements again.

    Raises CheckpointError if the second run saves other values, ValueError for arguments that do not go together.
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. use_reentrant=False is "
            "recommended",
            stacklevel=2,
        )
        use_reentrant = True
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        if mode.grad and not any(isinstance(a, Tensor) and a.requires_grad for a in args):
            warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)
        return _Reentrant.apply(function, preserve_rng_state, *args)
    first, again = context_fn()
    if not mode.grad:
        with first:
            return function(*args, **kwargs)
    frame = _Frame(lambda: function(*args, **kwargs), preserve_rng_state, again)
    with first, saved_tensors_hooks(frame.pack, frame.unpack):
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any,
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """A Sequential (or list of functions) in ``segments`` parts; all but the last are checkpointed."""
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if use_reentrant is None:
        use_reentrant = True
    parts = list(functions.children()) if isinstance(functions, Sequential) else list(functions)

    def runner(start: int, end: int) -> Callable[[Any], Any]:
        def run(value: Any) -> Any:
            for part in parts[start:end]:
                value = part(value)
            return value

        return run

    size = len(parts) // segments
    end = 0
    for start in range(0, size * (segments - 1), size):
        end = start + size
        input = checkpoint(
            runner(start, end), input, use_reentrant=use_reentrant, preserve_rng_state=preserve_rng_state
        )
    return runner(end, len(parts))(input)


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Accepted; a recomputation always runs to its end, and what it need not compute is never computed."""
    yield


def get_device_states(*args: Any) -> tuple[list[int], list[Any]]:
    """Random states of the GPUs that hold the arguments: there is one stream of numbers, the host's."""
    return [], []


def set_device_states(devices: list[int], states: list[Any], **_: Any) -> None:
    """Restore what ``get_device_states`` gave."""
