"""What an in-place change does to the record: of the tensor itself, of its base, of other views."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from ..graph.node import Storage
from ..graph.spec import Spec
from . import records
from .mode import mode
from .records import GradFn, edge_of
from .variable import Tensor

_new = object.__new__

NO_GRAD, MULTI, INFERENCE, CUSTOM = "no_grad", "multi", "inference", "custom"

_TRACKED = (
    " Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your code by moving "
    "both the "
    "view and the inplace either both inside the no_grad block (if you don't want the inplace to be tracked) or both "
    "outside (if you want the inplace to be tracked)."
)


class AsStridedBackward0(GradFn):
    """Gradient of a view by geometry: zeros of the base with the gradient written at the view's place."""

    scatter: Callable[[Tensor, Spec, Spec], Tensor]  # set by ops: the op that writes a gradient into zeros

    def __init__(self, edge: tuple, base: Spec, seen: Spec) -> None:
        super().__init__((edge,), (seen,))
        self.base = base
        self.seen = seen

    def apply(self, grads: tuple) -> tuple:
        return (AsStridedBackward0.scatter(grads[0], self.base, self.seen),)


class CopySlices(GradFn):
    """An in-place change of a view, seen from its base: the base's old value outside the view, a new one inside."""

    gather: Callable[[Tensor, Spec, Spec], Tensor]
    clear: Callable[[Tensor, Spec, Spec], Tensor]

    def __init__(self, base_edge: tuple | None, value_edge: tuple | None, base: Spec, seen: Spec) -> None:
        super().__init__((base_edge, value_edge), (base,))
        self.base = base
        self.seen = seen

    def apply(self, grads: tuple) -> tuple:
        grad = grads[0]
        base_edge, value_edge = self.edges
        inside = CopySlices.gather(grad, self.base, self.seen) if value_edge is not None else None
        outside = CopySlices.clear(grad, self.base, self.seen) if base_edge is not None else None
        return outside, inside

    def name(self) -> str:
        return "torch::autograd::CopySlices"


class Overwrite(GradFn):
    """All of a tensor was replaced: the old value gets zeros, the new one (if it has a record) the gradient."""

    zeros: Callable[[Tensor], Tensor]

    def apply(self, grads: tuple) -> tuple:
        old = Overwrite.zeros(grads[0]) if self.edges[0] is not None else None
        return (old, grads[0])[: len(self.edges)]


class CopyBackwards(Overwrite):
    """Replaced by another tensor's content."""

    def name(self) -> str:
        return "torch::autograd::CopyBackwards"


class FillBackward2(Overwrite):
    """Replaced by something without a gradient."""


class ZeroBackward0(Overwrite):
    """Replaced by zeros."""


def rebase(t: Tensor, value_edge: tuple | None, overwrites: bool | type[Overwrite] = False) -> None:
    """Record that ``t`` was given a new value, in place, whose gradient goes to ``value_edge``.

    ``overwrites``: the value does not come from the old one, whose gradient is therefore zero; or the kind of record
    that says so.
    """
    base = t._base
    if base is None:
        old = t._grad_fn
        if value_edge is None or overwrites:
            edges = (edge_of(t),) if value_edge is None else (edge_of(t), value_edge)
            kind = overwrites if isinstance(overwrites, type) else FillBackward2 if len(edges) == 1 else CopyBackwards
            value_edge = (kind(edges, (t._spec,)), 0)
        t._grad_fn, t._out_nr = value_edge
        _now_differentiable(t)
        if t._retain and old is not None:
            _move_retained(t, old)
        return
    fn = CopySlices(edge_of(base), value_edge, base._spec, t._spec)
    base._grad_fn, base._out_nr = fn, 0
    _now_differentiable(base)
    t._grad_fn, t._out_nr = AsStridedBackward0((fn, 0), base._spec, t._spec), 0
    t._rg = True
    t._seen = t._storage.version


def _now_differentiable(t: Tensor) -> None:
    """Views taken while ``t`` had no gradient have one from now on."""
    t._rg = True
    if t._views is not None:
        for ref in t._views:
            seen = ref()
            if seen is not None:
                seen._rg = True
                seen._seen = -1  # the record is made when it is asked for
        t._views = None


def _move_retained(t: Tensor, old: GradFn) -> None:
    """``retain_grad`` follows the tensor to its new record."""
    for number, ref in list((old.retained or {}).items()):
        if ref() is t:
            del old.retained[number]
    retain(t)


def retain(t: Tensor) -> None:
    """Have the gradient that reaches the tensor's record kept in ``.grad``."""
    fn, number = edge_of(t)
    if fn.retained is None:
        fn.retained = {}
    fn.retained[number] = weakref.ref(t)


def _review(t: Tensor) -> GradFn:
    base = t._base
    fn = AsStridedBackward0(edge_of(base), base._spec, t._spec)
    if t._retain and t._grad_fn is not None:
        old = t._grad_fn
        for number, ref in list((old.retained or {}).items()):
            if ref() is t:
                del old.retained[number]
        fn.retained = {0: weakref.ref(t)}
    return fn


records.REVIEW = _review


def note_view(base: Tensor, t: Tensor) -> None:
    """Remember a view of a tensor without a gradient, in case an in-place op gives it one."""
    views = base._views
    if views is None:
        base._views = [weakref.ref(t)]
        return
    views[:] = [ref for ref in views if ref() is not None]
    views.append(weakref.ref(t))


# -- rules ------------------------------------------------------------------------------------------------------------
def check_inplace(x: Tensor, name: str, recording: bool = False) -> None:
    """Raise what torch raises where an in-place op is not allowed (``recording``: another operand has a gradient)."""
    base = x._base
    if mode.grad:
        if x._rg or recording or (base is not None and base._rg):
            _check_record(x, base)
    if x._inference and not mode.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a "
            "normal "
            "tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
        )
    seen = x._spec
    if not seen.contiguous:
        check_overlap(seen)


def check_overlap(seen: Spec) -> None:
    """Raise RuntimeError for a target in which several indices name one element."""
    for size, stride in zip(seen.shape, seen.stride):
        if stride == 0 and size > 1:
            raise RuntimeError(
                "unsupported operation: more than one element of the written-to tensor refers to a single memory "
                "location. "
                "Please clone() the tensor before performing the operation."
            )


def _check_record(x: Tensor, base: Tensor | None) -> None:
    if base is not None:
        made = x._made
        if made is not None:
            _refuse(x, made)
        if base._rg and base._grad_fn is None:
            raise RuntimeError("a view of a leaf Variable that requires grad is being used in an in-place operation.")
    elif x._rg and x._grad_fn is None:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")


def _refuse(x: Tensor, made: str) -> None:
    fn = records.current_grad_fn(x)
    what = (
        f"Output {x._out_nr} of {_short(fn)} is a view and"
        if fn is not None
        else "A view was created in no_grad mode and"
    )
    if made == NO_GRAD:
        if fn is None:
            raise RuntimeError(f"{what} is being modified inplace with grad mode enabled.{_TRACKED}")
        raise RuntimeError(
            f"{what} is being modified inplace. This view was created inside a no_grad context.{_TRACKED}"
        )
    if made == INFERENCE:
        raise RuntimeError(
            f"{what} is being modified inplace. This view was created in inference mode and is being modified inplace "
            f"in "
            f"normal mode."
        )
    if made == MULTI:
        why = (
            "This view is the output of a function that returns multiple views. Such functions do not allow the "
            "output views "
            "to be modified inplace. You should replace the inplace operation by an out-of-place one."
        )
    else:
        why = (
            "This view was created inside a custom Function (or because an input was returned as-is) and the autograd "
            "logic "
            "to handle view+inplace would override the custom backward associated with the custom Function, leading to "
            "incorrect gradients. This behavior is forbidden. You can fix this by cloning the output of the custom "
            "Function."
        )
    raise RuntimeError(f"{what} is being modified inplace. {why}")


def _short(fn: GradFn) -> str:
    return fn.name().removesuffix("0").removesuffix("Backward")


# -- old values -------------------------------------------------------------------------------------------------------
class Before:
    """The value a tensor has now, apart from the tensor: what an in-place op computes with and may save.

    The storage's node gets a storage of its own; ``done`` gives it back if the change did not come about.
    """

    __slots__ = ("x", "node", "old")

    copy: Any = None  # set by ops: a plain copy, for memory that NumPy sees and that is really overwritten

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.node = x._storage.node
        old = _new(Tensor)
        if x._storage.pin is not None:
            before, mode.grad = mode.grad, False
            try:
                copied = Before.copy(x)
            finally:
                mode.grad = before
            old._storage, old._spec = copied._storage, copied._spec
        else:
            old._storage, old._spec = Storage(self.node), x._spec
        edge = edge_of(x)
        if edge is not None:
            old._grad_fn, old._out_nr = edge
            old._rg = True
        self.old = old

    def done(self) -> None:
        """To be called whether or not the op succeeded."""
        storage = self.x._storage
        if storage.node is self.node:
            self.node.owner = weakref.ref(storage)
