"""The recorded graph under torch's names: nodes, edges, and hooks on what is saved."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from .edges import GradientEdge, get_gradient_edge
from .hooks import RemovableHandle
from .mode import mode, no_grad
from .records import GradFn, edge_of
from .variable import Tensor

Node = GradFn

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class saved_tensors_hooks:
    """Inside, what ops save for backward goes through ``pack_hook(tensor)`` and, when read, ``unpack_hook(packed)``."""

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        if mode.no_saved_hooks is not None:
            raise RuntimeError(mode.no_saved_hooks)
        mode.saved_hooks = [*mode.saved_hooks, (self.pack_hook, self.unpack_hook)]
        mode.look()

    def __exit__(self, *exc: object) -> None:
        mode.saved_hooks = mode.saved_hooks[:-1]
        mode.look()


class save_on_cpu(saved_tensors_hooks):
    """Inside, saved tensors are kept on the CPU and brought back when backward reads them."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(t: Tensor) -> tuple:
            return t.device, t.cpu() if t.device.type != "cpu" else t.detach().clone()

        def unpack(packed: tuple) -> Tensor:
            device, t = packed
            return t.to(device)

        super().__init__(pack, unpack)


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Inside, entering saved_tensors_hooks raises RuntimeError with that message."""
    if mode.saved_hooks:
        raise RuntimeError(error_message)
    before = mode.no_saved_hooks
    mode.no_saved_hooks = error_message
    try:
        yield
    finally:
        mode.no_saved_hooks = before


class _MultiHandle(RemovableHandle):
    def __init__(self, handles: Sequence[RemovableHandle]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        """Take all hooks out."""
        for handle in self.handles:
            handle.remove()

    def __getstate__(self) -> tuple:
        return self.handles

    def __setstate__(self, state: tuple) -> None:
        self.handles = state


def register_multi_grad_hook(
    tensors: Sequence[Tensor], fn: Callable[..., None], *, mode: str = "all"
) -> RemovableHandle:
    """Call ``fn`` once a backward pass has the gradients of all (or, with mode "any", of the first) of ``tensors``.

    ``fn(list of gradients or None)`` for "all", ``fn(gradient)`` for "any". The gradients cannot be changed.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    lock = threading.Lock()
    handler = _hook_all(tensors, fn, lock) if mode == "all" else _hook_any(fn, lock)
    return _MultiHandle([t.register_hook(handler(i)) for i, t in enumerate(tensors)])


def _hook_any(fn: Callable, lock: threading.Lock) -> Callable[[int], Callable]:
    ran: WeakKeyDictionary = WeakKeyDictionary()

    def make(i: int) -> Callable:
        def hook(grad: Tensor) -> None:
            with lock:
                task = _running()
                first = task not in ran
                ran[task] = True
            if first:
                fn(grad)

        return hook

    return make


def _hook_all(tensors: Sequence[Tensor], fn: Callable, lock: threading.Lock) -> Callable[[int], Callable]:
    seen: WeakKeyDictionary = WeakKeyDictionary()
    points = [edge_of(t) for t in tensors]

    def make(i: int) -> Callable:
        def hook(grad: Tensor) -> None:
            with lock:
                task = _running()
                state = seen.get(task)
                if state is None:
                    state = seen[task] = [[None] * len(points), 0, sum(task.will_run(f) for f, _ in points)]
                state[0][i] = grad
                state[1] += 1
                ready = state[1] == state[2]
            if ready:
                fn(state[0])

        return hook

    return make


def _running() -> Any:
    if not mode.passes:
        raise RuntimeError("expected this hook to be called inside a backward call")
    return mode.passes[-1]


def increment_version(tensor: Tensor | Sequence[Tensor]) -> None:
    """Count a change that the library did not see, so that backward notices that saved values are stale."""
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        t._storage.version += 1


@contextlib.contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[None]:
    """Inside, tensors saved for backward may be changed in place: the old value is what backward uses."""

    def pack(t: Tensor) -> Tensor:
        with no_grad():
            return t.detach().clone()

    with saved_tensors_hooks(pack, lambda t: t):
        yield
