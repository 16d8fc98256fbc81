"""Records of ops for the backward pass."""

from __future__ import annotations

import itertools
import sys
import traceback
import weakref
from collections.abc import Callable
from typing import Any

from ..graph.spec import Spec
from .mode import mode
from .variable import Tensor, view

_sequence = itertools.count()

FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
    "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
    "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors "
    "after calling backward."
)


class Saved:
    """A tensor kept for the backward pass: storage, description and the version it had.

    Outputs of the recording op are kept without their record (the op is its own): no reference cycle.
    """

    __slots__ = ("storage", "spec", "version", "edge", "leaf", "packed", "output_of", "subclass")

    def __init__(self, t: Tensor, edge: tuple | None, is_output: bool = False) -> None:
        self.leaf = None
        self.packed = None
        self.output_of = None
        if mode.saved_hooks:
            pack, unpack = mode.saved_hooks[-1]
            with _no_hooks():
                self.packed = (pack(t if not is_output else view(t, t._spec)), unpack)
            self.storage = None
            self.edge = edge
            return
        self.storage = t._storage
        self.spec = t._spec
        self.version = t._storage.version
        self.edge = edge
        if edge is not None and type(edge[0]) is AccumulateGrad:
            self.leaf = t

    def unpack(self, owner: GradFn) -> Tensor:
        """The tensor, connected to the graph again. Raises RuntimeError if it was changed in place since."""
        if self.packed is not None:
            held, unpack = self.packed
            got = unpack(held)
            if self.edge is not None and got._grad_fn is None and not got._rg and type(self.edge[0]) is not AccumulateGrad:
                got = view(got, got._spec)
                got._grad_fn, got._out_nr = self.edge
                got._rg = True
            return got
        if self.storage.version != self.version:
            raise RuntimeError(self._modified(owner))
        if self.leaf is not None:
            return self.leaf
        t = object.__new__(Tensor)
        t._storage = self.storage
        t._spec = self.spec
        if self.output_of is not None:
            t._grad_fn, t._out_nr = owner, self.output_of
            t._rg = True
        elif self.edge is not None:
            t._grad_fn, t._out_nr = self.edge
            t._rg = True
        return t

    def _modified(self, owner: GradFn) -> str:
        spec = self.spec
        kind = {"float32": "torch.FloatTensor", "float64": "torch.DoubleTensor"}.get(
            spec.dtype.name, f"torch.{spec.dtype.name}"
        )
        text = (
            f"one of the variables needed for gradient computation has been modified by an inplace operation: "
            f"[{kind} {list(spec.shape)}]"
        )
        if self.output_of is not None:
            text += f", which is output {self.output_of} of {owner.name()},"
        elif self.edge is not None:
            text += f", which is output {self.edge[1]} of {self.edge[0].name()},"
        return (
            f"{text} is at version {self.storage.version}; expected version {self.version} instead. Hint: enable anomaly "
            f"detection to find the operation that failed to compute its gradient, with "
            f"torch.autograd.set_detect_anomaly(True)."
        )


class _no_hooks:
    def __enter__(self) -> None:
        self._before = mode.saved_hooks
        mode.saved_hooks = []

    def __exit__(self, *exc: object) -> None:
        mode.saved_hooks = self._before


class GradFn:
    """One recorded op. Subclasses carry the op's name; ``apply`` maps output gradients to input gradients.

    Attributes:
        edges: for each input (function, output number) or None. needs: which inputs want a gradient.
        outs: descriptions of the outputs, for gradients that never arrive.
    """

    __slots__ = (
        "edges", "saved_in", "saved_out", "freed", "op", "call", "static", "scalars", "seq", "outs", "hooks", "pre_hooks",
        "_meta", "trace", "__weakref__", "retained",
    )  # fmt: skip

    def __init__(self, edges: tuple, outs: tuple[Spec, ...]) -> None:
        self.edges = edges
        self.outs = outs
        self.seq = next(_sequence)
        self.saved_in: tuple = ()
        self.saved_out: tuple = ()
        self.freed = False
        self.static: tuple = ()
        self.scalars: tuple = ()
        self.hooks: Any = None
        self.pre_hooks: Any = None
        self._meta: dict | None = None
        self.retained: Any = None
        self.trace = "".join(traceback.format_stack(sys._getframe(2))) if mode.anomaly else None

    # -- for derivative formulas ------------------------------------------------------------------------------------
    @property
    def needs(self) -> tuple[bool, ...]:
        """For each input whether its gradient is wanted."""
        return tuple(e is not None for e in self.edges)

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The saved inputs (None where an input was not saved)."""
        if self.freed:
            raise RuntimeError(FREED)
        return tuple(s.unpack(self) if s is not None else None for s in self.saved_in)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The saved outputs."""
        if self.freed:
            raise RuntimeError(FREED)
        return tuple(s.unpack(self) if s is not None else None for s in self.saved_out)

    @property
    def specs(self) -> tuple[Spec, ...]:
        """Descriptions of all inputs."""
        return self.call.specs

    def apply(self, grads: tuple) -> tuple:
        """Gradients of the inputs from those of the outputs."""
        return self.op.derivative(self, *grads)

    def release(self) -> None:
        """Free saved tensors."""
        if self.saved_in or self.saved_out:
            self.freed = True
            self.saved_in = self.saved_out = ()

    # -- torch's interface ------------------------------------------------------------------------------------------
    def name(self) -> str:
        """The op's name as shown in ``grad_fn``."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple:
        """(function, output number) of each input."""
        return tuple(e if e is not None else (None, 0) for e in self.edges)

    @property
    def metadata(self) -> dict:
        """A dictionary for the user."""
        if self._meta is None:
            self._meta = {}
        return self._meta

    def register_hook(self, hook: Callable) -> RemovableHandle:
        """``hook(grad_inputs, grad_outputs)`` after this function ran; may return other input gradients."""
        if self.hooks is None:
            self.hooks = {}
        return RemovableHandle(self.hooks, hook)

    def register_prehook(self, hook: Callable) -> RemovableHandle:
        """``hook(grad_outputs)`` before this function runs; may return other output gradients."""
        if self.pre_hooks is None:
            self.pre_hooks = {}
        return RemovableHandle(self.pre_hooks, hook)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"

    def __call__(self, *grads: Any) -> Any:
        out = self.apply(grads)
        return out[0] if len(out) == 1 else out


class AccumulateGrad(GradFn):
    """The end of the graph at a leaf: adds to its ``.grad``."""

    __slots__ = ("_variable", "post_hooks")

    def __init__(self, variable: Tensor) -> None:
        super().__init__((), (variable._spec,))
        self.seq = 1 << 62
        self._variable = variable
        self.post_hooks: Any = None

    @property
    def variable(self) -> Tensor:
        """The leaf."""
        return self._variable


class RemovableHandle:
    """Removes a hook from the dictionary it was put in (and from ``extra_dict``, one or several)."""

    _next = itertools.count()

    def __init__(self, hooks: dict, hook: Callable | None = None, *, extra_dict: Any = None) -> None:
        self.id = next(RemovableHandle._next)
        extras = extra_dict if isinstance(extra_dict, (list, tuple)) else [extra_dict]
        self._dicts = [d for d in (hooks, *extras) if d is not None]
        if hook is not None:
            hooks[self.id] = hook

    def remove(self) -> None:
        """Take the hook out; more than once is harmless."""
        for d in self._dicts:
            d.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def accumulator(t: Tensor) -> AccumulateGrad:
    """The accumulation point of a leaf (one for all uses while any of them lives)."""
    ref = t._acc
    fn = ref() if ref is not None else None
    if fn is None:
        fn = AccumulateGrad(t)
        t._acc = weakref.ref(fn)
    return fn


def edge_of(t: Tensor) -> tuple | None:
    """Where a gradient of ``t`` goes: (function, output number), or None."""
    if not t._rg:
        return None
    if t._base is not None:
        fn = current_grad_fn(t)
        return (fn, t._out_nr) if fn is not None else (accumulator(t), 0)
    fn = t._grad_fn
    return (fn, t._out_nr) if fn is not None else (accumulator(t), 0)


def current_grad_fn(t: Tensor) -> GradFn | None:
    """The record of a view, made anew if its base was changed in place since."""
    base = t._base
    if base is not None and t._seen != t._storage.version:
        if base._rg and base._grad_fn is not None and base._grad_fn.seq > (t._grad_fn.seq if t._grad_fn is not None else -1):
            t._grad_fn = AsStridedBackward0(edge_of(base), base._spec, t._spec)
            t._out_nr = 0
            t._rg = True
        t._seen = t._storage.version
    return t._grad_fn


class AsStridedBackward0(GradFn):
    """Gradient of a view by geometry: zeros of the base with the gradient written at the view's place."""

    __slots__ = ("base", "seen")

    scatter: Callable[[Tensor, Spec, Spec], Tensor]  # set by ops: the op that writes a gradient into zeros

    def __init__(self, edge: tuple, base: Spec, seen: Spec) -> None:
        super().__init__((edge,), (seen,))
        self.base = base
        self.seen = seen

    def apply(self, grads: tuple) -> tuple:
        return (AsStridedBackward0.scatter(grads[0], self.base, self.seen),)


class CopySlices(GradFn):
    """An in-place change of a view, seen from its base: the base's old value outside the view, a new one inside."""

    __slots__ = ("base", "seen")

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

    gather: Callable[[Tensor, Spec, Spec], Tensor]
    clear: Callable[[Tensor, Spec, Spec], Tensor]


class FillBackward0(GradFn):
    """An in-place op whose result depends on no tensor with a gradient."""

    __slots__ = ()

    def apply(self, grads: tuple) -> tuple:
        return tuple(None for _ in self.edges)


def rebase(t: Tensor, value_edge: tuple | None) -> None:
    """Record that ``t`` was given a new value, in place, whose gradient goes to ``value_edge``."""
    base = t._base
    if base is None:
        if value_edge is None:
            t._grad_fn, t._out_nr = FillBackward0((), (t._spec,)), 0
        else:
            t._grad_fn, t._out_nr = value_edge
        t._rg = True
        return
    fn = CopySlices(edge_of(base), value_edge, base._spec, t._spec)
    base._grad_fn, base._out_nr, base._rg = fn, 0, True
    t._grad_fn = AsStridedBackward0((fn, 0), base._spec, t._spec)
    t._out_nr = 0
    t._rg = True
    t._seen = t._storage.version
