"""Ops that only make another view of their operand's storage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from ..autograd.inplace import INFERENCE, MULTI, NO_GRAD, note_view
from ..autograd.mode import mode
from ..autograd.records import GradFn, edge_of, forward_trace, sequence
from ..autograd.variable import Tensor, view
from ..graph.node import Call
from ..graph.spec import Spec
from .op import _MAX_CALLS, camel

_new = object.__new__


class ViewOp:
    """An op that only changes how a storage is seen.

    Args:
        rule: ``rule(spec, *static) -> Spec`` over the same storage.
        grad: ``grad(ctx, g) -> gradient``; ctx has ``specs`` and ``static``. None: the general rule by geometry.
    """

    shown = None

    def __init__(
        self, name: str, rule: Callable[..., Spec], grad: Callable[..., Any] | None, grad_name: str | None = None
    ) -> None:
        self.name = name
        self.rule = rule
        self.derivative = grad
        self.calls: dict[tuple, Call] = {}
        self.grad_class = type(
            grad_name or f"{camel(name)}Backward0", (GradFn,), {"op": self, "__module__": "torch.autograd"}
        )

    def __call__(self, x: Tensor, static: tuple = ()) -> Tensor:
        """The view of ``x``."""
        seen = x._spec
        call = self.calls.get((seen, static))
        if call is None:
            if len(self.calls) > _MAX_CALLS:
                self.calls.clear()
            call = self.calls[seen, static] = Call(self.name, None, (seen,), self.rule(seen, *static), static)
        t = _new(Tensor)  # alias(x, call.out), written out: views are made often
        storage = t._storage = x._storage
        t._spec = call.out
        t._seen = storage.version
        base = x._base
        if base is None:
            t._base = base = x
        else:
            t._base = base
            t._made = x._made
        if x._inference or x._aside or not mode.grad:
            _special(x, t)
        elif x._rg:
            fn = _new(self.grad_class)
            fn.seq = next(sequence)
            fn.call = call
            fn.outs = call.outs
            fn.edges = (edge_of(x),)
            if mode.watch and mode.anomaly:
                fn.trace = forward_trace()
            t._grad_fn = fn
            t._rg = True
        elif seen.floating:
            views = base._views
            if views is None:
                base._views = [ref(t)]
            elif len(views) & 63:
                views.append(ref(t))
            else:
                note_view(base, t)
        return t


def _special(x: Tensor, t: Tensor) -> None:
    """Marks of a view ``t`` of ``x`` made in inference or no_grad mode, or of ``.data``."""
    if x._aside:
        t._aside = True
    if x._inference:
        t._inference = True
    elif not mode.grad:
        t._made = INFERENCE if mode.inference else NO_GRAD


def alias(x: Tensor, seen: Spec) -> Tensor:
    """A view of ``x``, without a record of its own."""
    t = view(x, seen)
    t._seen = x._storage.version
    base = t._base = x if x._base is None else x._base
    t._made = x._made
    if x._inference or x._aside or not mode.grad:
        _special(x, t)
    elif not base._rg and seen.floating:
        note_view(base, t)
    return t


class MultiViewOp:
    """Several views at once under one record (unbind, split); torch forbids changing those in place.

    Args:
        rule: ``rule(spec, *static) -> list of Spec`` over the same storage.
        grad: ``grad(ctx, *gs) -> gradient``; gs has None where no gradient arrived.
    """

    shown = None

    def __init__(self, name: str, rule: Callable[..., list[Spec]], grad: Callable[..., Any], grad_name: str) -> None:
        self.name = name
        self.rule = rule
        self.derivative = grad
        self.calls: dict[tuple, Call] = {}
        self.grad_class = type(grad_name, (GradFn,), {"op": self, "__module__": "torch.autograd"})

    def __call__(self, x: Tensor, static: tuple = ()) -> tuple[Tensor, ...]:
        """The views of ``x``."""
        seen = x._spec
        call = self.calls.get((seen, static))
        if call is None:
            if len(self.calls) > _MAX_CALLS:
                self.calls.clear()
            call = self.calls[seen, static] = Call(self.name, None, (seen,), tuple(self.rule(seen, *static)), static)
        views = tuple([alias(x, out) for out in call.outs])
        recording = x._rg and mode.grad
        if recording:
            fn = self.grad_class((edge_of(x),), call.outs)
            fn.call = call
        for i, t in enumerate(views):
            if mode.grad:
                t._made = MULTI
            if recording:
                t._grad_fn, t._out_nr, t._rg = fn, i, True
        return views
