"""Ordered hooks with removable handles, for single optimizers and for all of them."""

from collections import OrderedDict
from collections.abc import Callable
from itertools import count

_ids = count()


class HookHandle:
    """Removes its hook on `remove()` or at the end of a `with` block."""

    def __init__(self, hooks: OrderedDict):
        self.id = next(_ids)
        self._hooks = hooks

    def remove(self) -> None:
        self._hooks.pop(self.id, None)

    def __enter__(self) -> "HookHandle":  # noqa: PYI034
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def add_hook(hooks: OrderedDict, hook: Callable, prepend: bool = False) -> HookHandle:
    """Append (or prepend) a hook and return its handle."""
    handle = HookHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


class StepHooks:
    """The hooks that run around the step of every optimizer."""

    def __init__(self) -> None:
        self.pre: OrderedDict[int, Callable] = OrderedDict()
        self.post: OrderedDict[int, Callable] = OrderedDict()


global_step_hooks = StepHooks()


def register_optimizer_step_pre_hook(hook: Callable) -> HookHandle:
    """Call ``hook(optimizer, args, kwargs)`` before each step of any optimizer; it may return new ones."""
    return add_hook(global_step_hooks.pre, hook)


def register_optimizer_step_post_hook(hook: Callable) -> HookHandle:
    """Call ``hook(optimizer, args, kwargs)`` after the step of every optimizer."""
    return add_hook(global_step_hooks.post, hook)
