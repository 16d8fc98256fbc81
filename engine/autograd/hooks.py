"""Handles of registered hooks."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import Any


class RemovableHandle:
    """Removes a hook from the dictionary it was put in (and from ``extra_dict``, one or several)."""

    next_id = 0
    _numbers = itertools.count()

    def __init__(self, hooks: dict, hook: Callable | None = None, *, extra_dict: Any = None) -> None:
        self.id = next(RemovableHandle._numbers)
        RemovableHandle.next_id = self.id + 1
        extras = extra_dict if isinstance(extra_dict, (list, tuple)) else [extra_dict]
        self._dicts = [_reference(d) for d in (hooks, *extras) if d is not None]
        if hook is not None:
            hooks[self.id] = hook

    def remove(self) -> None:
        """Take the hook out; more than once is harmless."""
        for get in self._dicts:
            d = get()
            if d is not None:
                d.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()

    def __getstate__(self) -> tuple:
        return self.id, [get() for get in self._dicts]

    def __setstate__(self, state: tuple) -> None:
        self.id, dicts = state
        self._dicts = [_reference({} if d is None else d) for d in dicts]


def _reference(d: dict) -> Callable[[], dict | None]:
    """A weak reference where the kind of dictionary allows one, so that a handle keeps nothing alive."""
    try:
        return weakref.ref(d)
    except TypeError:
        return lambda: d
