"""One name for the record of a function that is made of several ops.

PyTorch has a single backward function where a function here is a composition. ``labelled`` lets ``grad_fn`` of the
result carry PyTorch's name and show the function's own inputs as ``next_functions``; the derivative is unchanged.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .mode import mode
from .records import GradFn, edge_of, sequence
from .variable import Tensor

_classes: dict[tuple[type, str], type] = {}


def _named(kind: type, name: str) -> type:
    found = _classes.get((kind, name))
    if found is None:
        found = _classes[kind, name] = type(name, (kind,), {"__module__": "torch.autograd", "name": GradFn.name})
    return found


def _edges(values: Any) -> list:
    edges = []
    for value in values:
        if isinstance(value, Tensor):
            if value._rg or value._spec.floating:
                edges.append(edge_of(value) if value._rg else None)
        elif type(value) in (list, tuple):
            edges.extend(_edges(value))
    return edges


def label(out: Any, name: str, inputs: Any, start: int) -> None:
    """Give the record of ``out`` (a tensor or several), if it was made after ``start``, another name."""
    if isinstance(out, Tensor):
        fn: GradFn | None = out._grad_fn
        if out._rg and fn is not None and fn.seq > start and type(fn).__name__ != name and fn.variable is None:
            fn.__class__ = _named(type(fn), name)
            fn.shown_edges = tuple(_edges(inputs))
    elif isinstance(out, tuple):
        for part in out:
            label(part, name, inputs, start)


def labelled(call: Callable[..., Any], name: str | Callable[..., str | None]) -> Callable[..., Any]:
    """``call`` whose results show ``name`` (or what ``name(*args, **kwargs)`` says; None: no change)."""

    @functools.wraps(call)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not mode.grad:
            return call(*args, **kwargs)
        start = next(sequence)
        out = call(*args, **kwargs)
        shown = name if type(name) is str else name(*args, **kwargs)
        if shown is not None:
            label(out, shown, (*args, *kwargs.values()), start)
        return out

    return wrapped


def shows(name: str | Callable[..., str | None]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``labelled`` as a decorator."""
    return lambda call: labelled(call, name)
