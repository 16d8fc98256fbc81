"""Records of ops for the backward pass."""

from __future__ import annotations

import itertools
import sys
import traceback
import weakref
from collections.abc import Callable
from typing import Any

from .. import dtypes
from ..graph.spec import Spec
from .hooks import RemovableHandle
from .mode import mode
from .variable import Tensor, view

_new = object.__new__
sequence = itertools.count()

FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
    "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
    "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors "
    "after calling backward."
)
INFERENCE = (
    "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in "
    "computation "
    "tracked by autograd. To work around this, you can make a clone to get a normal tensor and use it in autograd, or "
    "use "
    "`torch.no_grad()` instead of `torch.inference_mode()`."
)
_LEAF_SEQ = 1 << 62


class GradFn:
    """One recorded op. Subclasses carry the op's name; ``apply`` maps output gradients to input gradients.

    Attributes:
        edges: for each input (function, output number) or None where no gradient is wanted.
        outs: description of each output. seq: order of creation.
        op, call, scalars: what was applied. saved_in, versions: inputs kept, and their versions then.
        saved_out: outputs kept. freed: whether a backward pass dropped them.
        tensor_hooks: by output number, hooks of the tensor; retained: by output number, weak references to tensors that
        want their gradient kept; pre_hooks, hooks: of the function itself, before and after it runs.
        trace: the forward call's stack in anomaly mode. shown_edges: what ``next_functions`` shows, if not the edges.
    """

    edges: tuple = ()
    outs: tuple[Spec, ...] = ()
    seq: int = 0
    op: Any = None
    call: Any = None
    scalars: tuple = ()
    saved_in: tuple = ()
    versions: tuple = ()
    saved_out: tuple = ()
    freed: bool = False
    tensor_hooks: dict[int, dict] | None = None
    retained: dict[int, Any] | None = None
    pre_hooks: dict | None = None
    hooks: dict | None = None
    trace: str | None = None
    unpacked: tuple | None = None
    _meta: dict | None = None
    shown_edges: tuple | None = None
    variable: Any = None

    def __init__(self, edges: tuple, outs: tuple[Spec, ...]) -> None:
        self.edges = edges
        self.outs = outs
        self.seq = next(sequence)
        if mode.anomaly:
            self.trace = forward_trace()

    # -- for derivative formulas ------------------------------------------------------------------------------------
    @property
    def static(self) -> tuple:
        """The op's static arguments."""
        return self.call.static

    @property
    def specs(self) -> tuple[Spec, ...]:
        """Descriptions of all inputs."""
        return self.call.specs

    @property
    def needs(self) -> tuple[bool, ...]:
        """For each input whether its gradient is wanted."""
        return tuple([e is not None for e in self.edges])

    @property
    def inputs(self) -> tuple[Tensor | None, ...]:
        """The saved inputs (None where an input was not saved). Raises RuntimeError if one was changed or freed."""
        if self.freed:
            raise RuntimeError(FREED)
        if self.unpacked is not None:
            return self.unpacked
        found, packed = [], False
        for t, version, edge in zip(self.saved_in, self.versions, self.edges):
            if t is not None:
                packed = packed or type(t) is Packed
                t = restore_input(t, version, edge)
            found.append(t)
        found = tuple(found)
        if packed and mode.passes:
            self.unpacked = found  # unpack hooks run once a pass, however often a formula looks
        return found

    @property
    def outputs(self) -> tuple[Tensor | None, ...]:
        """The saved outputs. Raises RuntimeError if one was changed or freed."""
        if self.freed:
            raise RuntimeError(FREED)
        saved = self.saved_out
        if len(saved) == 1 and saved[0] is not None:
            return (restore_output(saved[0], self),)  # the usual case, as fast as can be
        return tuple([None if s is None else restore_output(s, self) for s in saved])

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
        edges = self.edges
        if self.shown_edges is not None:
            edges = self.shown_edges
        elif self.op is not None:
            specs = self.call.specs
            if None in edges and len(specs) == len(edges):  # indices and masks are not shown
                edges = [e for e, s in zip(edges, specs) if e is not None or s.floating]
            if self.op.shown is not None:
                edges = self.op.shown(edges, self.static)
        return tuple([e if e is not None else (None, 0) for e in edges])

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

    def _sequence_nr(self) -> int:
        return self.seq

    def _register_hook_dict(self, hooks: dict) -> None:
        self.tensor_hooks = self.tensor_hooks or {}
        self.tensor_hooks[0] = hooks

    _SAVED = {"_saved_self": 0, "_saved_input": 0, "_saved_mat1": 0, "_saved_other": 1, "_saved_mat2": 1}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_saved_"):
            if name == "_saved_result":
                return self.outputs[0]
            number = GradFn._SAVED.get(name)
            if number is not None and number < len(self.saved_in):
                return self.inputs[number]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {id(self):#x}>"

    def __call__(self, *grads: Any) -> Any:
        out = self.apply(grads)
        if type(out) is not tuple:
            return out
        return out[0] if len(out) == 1 else out


class AccumulateGrad(GradFn):
    """The end of the graph at a leaf: adds to its ``.grad``."""

    post_hooks: dict | None = None
    seq = _LEAF_SEQ

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable

    @property
    def outs(self) -> tuple[Spec, ...]:
        """The leaf's description, which ``.data = ...`` may have changed."""
        return (self.variable._spec,)

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"


class Packed:
    """A saved tensor that went through a pack hook. ``number``: which output of its function it is, if one."""

    __slots__ = ("held", "hook", "number")

    def __init__(self, t: Tensor, number: int | None = None) -> None:
        pack, self.hook = mode.saved_hooks[-1]
        self.number = number
        before = mode.saved_hooks
        mode.saved_hooks = []
        try:
            self.held = pack(t)
        finally:
            mode.saved_hooks = before

    def unpack(self, edge: tuple | None) -> Tensor:
        """The tensor, connected to the graph again."""
        got = self.hook(self.held)
        if not isinstance(got, Tensor):
            raise TypeError(
                f"Output of saved tensor unpack_hook expected to be a Tensor but got result of type {type(got)}"
            )
        if edge is None:
            return view(got, got._spec) if got._rg else got
        if type(edge[0]) is AccumulateGrad and edge[0].variable is got:
            return got
        return connected(got, edge)


def connected(t: Tensor, edge: tuple) -> Tensor:
    """The same memory, with gradients going to ``edge``."""
    if type(edge[0]) is AccumulateGrad:
        leaf = edge[0].variable
        if leaf._storage is t._storage and leaf._spec is t._spec:
            return leaf
    out = view(t, t._spec)
    out._grad_fn, out._out_nr = edge
    out._rg = True
    return out


def forward_trace() -> str:
    """The program's stack, as anomaly mode prints it."""
    return "".join(traceback.format_stack(sys._getframe(2)))


def modified(spec: Spec, edge: tuple | None, now: int, then: int) -> str:
    """torch's text for a saved tensor that was changed in place."""
    kind = f"torch.{dtypes.scalar_type_name(spec.dtype)}Tensor"
    text = (
        f"one of the variables needed for gradient computation has been modified by an inplace operation: "
        f"[{kind} {list(spec.shape)}]"
    )
    if edge is not None and type(edge[0]) is not AccumulateGrad:
        text += f", which is output {edge[1]} of {edge[0].name()},"
    hint = (
        "Hint: the backtrace further above shows the operation that failed to compute its gradient. The variable in "
        "question "
        "was changed in there or anywhere later. Good luck!"
        if mode.anomaly
        else "Hint: enable anomaly detection to find the operation that failed to compute its gradient, with "
        "torch.autograd.set_detect_anomaly(True)."
    )
    return f"{text} is at version {now}; expected version {then} instead. {hint}"


def save_input(t: Tensor) -> Any:
    """What a record keeps of an input: the tensor, or what the program's pack hook made of it."""
    if t._inference:
        raise RuntimeError(INFERENCE)
    return Packed(t) if mode.saved_hooks else t


def save_output(t: Tensor, number: int | None) -> Any:
    """What a record keeps of its own output: no reference to the tensor, which would close a cycle."""
    if mode.saved_hooks:
        return Packed(view(t, t._spec), number)
    return (t._storage, t._spec, t._storage.version, number)


def restore_input(t: Any, version: int, edge: tuple | None) -> Tensor:
    """A saved input with its record. Raises RuntimeError if it was changed in place since."""
    if type(t) is Packed:
        return t.unpack(edge)
    if t._storage.version != version:
        raise RuntimeError(modified(t._spec, edge, t._storage.version, version))
    if edge is None:
        return view(t, t._spec) if t._rg else t
    fn = edge[0]
    have = t._grad_fn
    if have is fn or (have is None and type(fn) is AccumulateGrad and fn.variable is t):
        return t
    return connected(t, edge)


def restore_output(saved: Any, owner: GradFn) -> Tensor:
    """A saved output of ``owner`` with its record. Raises RuntimeError if it was changed in place since."""
    if type(saved) is Packed:
        return saved.unpack(None if saved.number is None else (owner, saved.number))
    storage, spec, version, number = saved
    if storage.version != version:
        edge = None if number is None else (owner, number)
        raise RuntimeError(modified(spec, edge, storage.version, version))
    t = _new(Tensor)
    t._storage = storage
    t._spec = spec
    if number is not None:
        t._grad_fn, t._out_nr, t._rg = owner, number, True
    return t


def accumulator(t: Tensor) -> AccumulateGrad:
    """The accumulation point of a leaf (one for all uses while any of them lives)."""
    fn = t._acc
    if fn is not None:
        if type(fn) is AccumulateGrad:
            return fn
        fn = fn()
    if fn is None:
        fn = _new(AccumulateGrad)
        fn.variable = t
        t._acc = weakref.ref(fn)
    return fn


def edge_of(t: Tensor) -> tuple | None:
    """Where a gradient of ``t`` goes: (function, output number), or None."""
    if not t._rg:
        return None
    fn = t._grad_fn if t._base is None else current_grad_fn(t)
    return (fn, t._out_nr) if fn is not None else (accumulator(t), 0)


def current_grad_fn(t: Tensor) -> GradFn | None:
    """The record of a view, made anew if the memory was changed in place since."""
    version = t._storage.version
    if t._seen != version:
        base = t._base
        if base is not None and base._rg and (t._grad_fn is not None or base._grad_fn is not None):
            t._grad_fn = REVIEW(t)
            t._out_nr = 0
            t._rg = True
        t._seen = version
    return t._grad_fn


REVIEW: Any = None  # set by the in-place module: the record of a view of a base that was changed
