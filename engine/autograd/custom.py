"""User-defined functions: autograd.Function."""

from __future__ import annotations

import functools
import itertools
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from ..device import device as Device
from .backward import Ops
from .backward import grad as run_grad
from .inplace import CUSTOM, rebase
from .mode import enable_grad, mode, no_grad
from .records import FREED, GradFn, connected, edge_of, restore_input, restore_output, save_input, save_output
from .variable import Tensor, view

_class_ids = itertools.count()


class FunctionCtx:
    """``ctx``: what forward leaves for backward; other attributes are the program's own."""

    _to_save: Sequence = ()
    _for_forward: Sequence = ()
    _dirty: Sequence = ()
    _not_differentiable: Sequence = ()
    _materialize: bool = True
    _saved: list | None = None
    _freed: bool = False
    _node: Any = None  # weak: the node holds the context
    needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors (inputs, outputs or intermediate) for backward's ``ctx.saved_tensors``."""
        self._to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors for ``jvp``."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise TypeError("save_for_forward expects all arguments to be tensors")
        self._for_forward = tensors

    def mark_dirty(self, *args: Tensor) -> None:
        """Name inputs that forward changed in place; they must be returned."""
        self._dirty = args

    def mark_shared_storage(self, *pairs: Any) -> None:
        """Deprecated and without effect."""

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Name outputs without a gradient."""
        self._not_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether gradients that never arrived are given as zeros (default) or None."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple:
        """What save_for_backward was given. Raises RuntimeError once freed."""
        if self._freed:
            raise RuntimeError(FREED)
        if self._saved is None:
            return tuple(self._to_save or self._for_forward)
        return tuple([None if s is None else self._restore(*s) for s in self._saved])

    @property
    def saved_variables(self) -> tuple:
        """Deprecated name of saved_tensors."""
        return self.saved_tensors

    def _restore(self, is_output: bool, held: Any, version: int, edge: tuple | None) -> Tensor:
        return restore_output(held, self._node()) if is_output else restore_input(held, version, edge)


class BackwardCFunction(FunctionCtx):
    """Base of the contexts' classes."""

    _forward_cls: Any

    def apply(self, *grads: Any) -> Any:
        """Run the Function's backward (``vjp``) for the given output gradients."""
        cls = self._forward_cls
        if cls.backward is not Function.backward and cls.vjp is not Function.vjp:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You should only "
                "implement one of "
                "them."
            )
        if cls.backward is Function.backward and cls.vjp is Function.vjp and cls.jvp is not Function.jvp:
            return _transposed(self, grads)
        return (cls.vjp if cls.vjp is not Function.vjp else cls.backward)(self, *grads)


def _transposed(ctx: BackwardCFunction, grads: tuple) -> tuple:
    """Backward of a Function that only has ``jvp``: that is linear in the tangents, and this is its derivative by
    them.
    """
    edges = ctx._node().edges
    with enable_grad():
        tangents = [None if e is None else Ops.zeros_spec(e[0].outs[e[1]]).requires_grad_() for e in edges]
        moved = ctx._forward_cls.jvp(ctx, *tangents)
        moved = moved if isinstance(moved, tuple) else (moved,)
    pairs = [(m, g) for m, g in zip(moved, grads) if isinstance(m, Tensor) and m._rg and g is not None]
    wanted = [v for v in tangents if v is not None]
    found = iter(
        run_grad([m for m, _ in pairs], wanted, [g for _, g in pairs], create_graph=mode.grad, allow_unused=True)
        if pairs
        else [None] * len(wanted)
    )
    return tuple([None if v is None else next(found) for v in tangents])


class FunctionNode(GradFn):
    """The record of one call of a Function. Attributes that are not the node's are its context's."""

    ctx: BackwardCFunction
    count: int = 0

    def apply(self, grads: tuple) -> tuple:
        """Gradients of the inputs, checked for number, type and shape."""
        ctx = self.ctx
        if ctx._materialize:
            grads = tuple([Ops.zeros_spec(s) if g is None and s.floating else g for g, s in zip(grads, self.outs)])
        results = ctx.apply(*grads)
        if not isinstance(results, tuple):
            results = tuple(results) if isinstance(results, list) else (results,)
        count = self.count
        if len(results) > count and all(r is None for r in results[count:]):
            results = results[:count]
        if len(results) != count:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected {count}, got "
                f"{len(results)})"
            )
        for i, r in enumerate(results):
            self._check(i, r)
        return results

    def _check(self, i: int, r: Any) -> None:
        if r is not None and not isinstance(r, Tensor):
            raise TypeError(f"expected Variable or None (got {type(r).__name__})")
        edge = self.edges[i]
        if r is None or edge is None:
            return
        want = edge[0].outs[edge[1]]
        if r._spec.shape != want.shape:
            lead = len(r._spec.shape) - len(want.shape)
            if lead < 0 or not all(b in (1, a) for a, b in zip(r._spec.shape[lead:], want.shape)):
                raise RuntimeError(
                    f"Function {self.name()} returned an invalid gradient at index {i} - got {list(r._spec.shape)} "
                    f"but expected "
                    f"shape compatible with {list(want.shape)}"
                )

    def release(self) -> None:
        """Free saved tensors."""
        ctx = self.ctx
        if ctx._saved:
            ctx._freed = True
            ctx._saved = None

    def __getattr__(self, name: str) -> Any:
        if name == "ctx":
            raise AttributeError(name)
        return getattr(self.ctx, name)


BATCHED: Any = None  # set by func: a call within vmap of a Function with a vmap rule of its own


class FunctionMeta(type):
    """Gives each subclass its node class, named as torch names it."""

    def __init__(cls, name: str, bases: tuple, attrs: dict) -> None:
        super().__init__(name, bases, attrs)
        cls._backward_cls = type(f"{name}Backward", (BackwardCFunction,), {"_forward_cls": cls})
        cls._node_cls = type(f"{name}Backward", (FunctionNode,), {})
        cls._autograd_function_id = next(_class_ids)


class Function(FunctionCtx, metaclass=FunctionMeta):
    """An op with a derivative of its own: static ``forward(ctx, ...)`` and ``backward(ctx, *grads)``; call ``apply``.

    ``forward`` leaves out ctx if ``setup_context(ctx, inputs, output)`` is defined. ``vmap`` and ``jvp`` may be defined
    for the function transforms and forward mode.
    """

    generate_vmap_rule = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all static, so you should "
            f"invoke them "
            f"on the class itself. Instantiating an autograd function will raise an error in a future version of "
            f"PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd "
            "function "
            "with static forward method. (Example: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The function itself."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
        """Fill ctx after forward."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Gradients of the inputs."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward "
            "mode AD."
        )

    @staticmethod
    def vjp(ctx: Any, *grad_outputs: Any) -> Any:
        """Another name of backward."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function."
        )

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """Tangents of the outputs from those of the inputs, for forward mode."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @staticmethod
    def vmap(info: Any, in_dims: tuple, *args: Any) -> Any:
        """The function over a batch; returns outputs and their batch dimensions."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the vmap staticmethod or set "
            "generate_vmap_rule=True."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward and record the function."""
        if cls.vmap is not Function.vmap and BATCHED is not None:
            if any([isinstance(a, Tensor) and type(a._spec.device) is not Device for a in args]):
                return BATCHED(cls, args)
        ctx = cls._backward_cls()
        split = cls.setup_context is not Function.setup_context
        needs = tuple([isinstance(a, Tensor) and a._rg for a in args])
        ctx.needs_input_grad = needs
        recording = mode.grad and True in needs
        with no_grad():
            if split:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args, **kwargs)
        single = not isinstance(output, tuple)
        if not recording:
            _no_record(ctx, (output,) if single else output)
            return output
        outputs = _record(ctx, args, (output,) if single else output)
        return outputs[0] if single else tuple(outputs)


class SingleLevelFunction(Function):
    """A Function; torch's name for one without function transforms."""


class InplaceFunction(Function):
    """Kept for old programs; the constructor's ``inplace`` flag is an attribute."""

    def __init__(self, inplace: bool = False) -> None:
        self.inplace = inplace


class NestedIOFunction(Function):
    """Kept for old programs that subclass it: a Function."""


def _no_record(ctx: BackwardCFunction, outputs: tuple) -> None:
    """Nothing was recorded; outputs that are inputs stay as they are."""
    for t in outputs:
        if not isinstance(t, (Tensor, type(None))) and ctx._dirty:
            raise TypeError(f"expected Tensor or None (got {type(t).__name__})")


def _record(ctx: BackwardCFunction, args: tuple, outputs: tuple) -> list:
    """Record the function for the tensors among the outputs."""
    node = ctx._forward_cls._node_cls(tuple([edge_of(a) if isinstance(a, Tensor) else None for a in args]), ())
    node.ctx = ctx
    node.count = len(args)
    ctx._node = weakref.ref(node)
    inputs = {id(a) for a in args if isinstance(a, Tensor)}
    plain = {id(t) for t in ctx._not_differentiable}
    dirty = {id(t) for t in ctx._dirty}
    _check_dirty(ctx, inputs, outputs)
    out: list[Any] = []
    made: dict[int, tuple[Tensor, int]] = {}
    outs = []
    for o in outputs:
        if not isinstance(o, Tensor):
            out.append(o)
            continue
        number = len(outs)
        outs.append(o._spec)
        original = id(o)
        carries = original not in plain and o._spec.floating
        if original in dirty:
            _connect_dirty(node, o, number)
        else:
            if original in inputs or o._rg:
                o = _passed_through(o, original in inputs)
            if carries:
                o._grad_fn, o._out_nr, o._rg = node, number, True
                if o._base is not None:
                    o._seen = o._storage.version
                    o._made = CUSTOM
        made[original] = (o, number)
        out.append(o)
    node.outs = tuple(outs)
    _save(ctx, made, inputs)
    return out


def _check_dirty(ctx: BackwardCFunction, inputs: set[int], outputs: tuple) -> None:
    returned = {id(o) for o in outputs}
    for t in ctx._dirty:
        if not isinstance(t, Tensor):
            raise TypeError(f"mark_dirty only accepts variables, but argument is of type {type(t).__name__}")
        if id(t) not in returned:
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as output. The inputs "
                "that are modified inplace must all be outputs of the Function."
            )
        if t._rg and t._grad_fn is None and t._base is None:
            raise RuntimeError("a leaf Variable that requires grad has been used in an in-place operation.")


def _connect_dirty(node: FunctionNode, o: Tensor, number: int) -> None:
    """An input that forward changed: its record is this function from now on."""
    if o._base is not None:
        rebase(o, (node, number))
    else:
        o._grad_fn, o._out_nr, o._rg = node, number, True


def _passed_through(o: Tensor, is_input: bool) -> Tensor:
    """An output that is an input, or has a record of its own: another tensor over the same memory."""
    if not is_input:
        return view(o, o._spec)
    with no_grad():
        t = Ops.alias(o)
    t._made = None
    return t


def _save(ctx: BackwardCFunction, made: dict[int, tuple[Tensor, int]], inputs: set[int]) -> None:
    saved: list[Any] = []
    dirty = {id(t) for t in ctx._dirty}
    for i, t in enumerate(ctx._to_save or ctx._for_forward):
        if t is None:
            saved.append(None)
            continue
        if not isinstance(t, Tensor):
            raise TypeError(
                f"save_for_backward can only save variables, but argument {i} is of type {type(t).__name__}"
            )
        found = made.get(id(t))
        if found is None or (id(t) in inputs and id(t) not in dirty):
            saved.append((False, save_input(t), t._storage.version, edge_of(t)))
        else:
            saved.append((True, save_output(found[0], found[1] if found[0]._rg else None), 0, None))
    ctx._saved = saved
    ctx._to_save = ctx._dirty = ctx._not_differentiable = ()


def once_differentiable(backward: Callable) -> Callable:
    """Decorator for a backward that cannot itself be differentiated: doing so raises RuntimeError."""

    @functools.wraps(backward)
    def wrapped(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            results = backward(ctx, *grads)
        if not mode.grad or not any(isinstance(g, Tensor) and g._rg for g in grads):
            return results
        single = not isinstance(results, tuple)
        edges = tuple([edge_of(g) if isinstance(g, Tensor) else None for g in grads])
        out = []
        for r in (results,) if single else results:
            if isinstance(r, Tensor) and r._spec.floating:
                r = connected(r, (DelayedError(edges, (r._spec,)), 0))
            out.append(r)
        return out[0] if single else tuple(out)

    return wrapped


class DelayedError(GradFn):
    """Stands where a second derivative does not exist."""

    def apply(self, grads: tuple) -> tuple:
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")

    def name(self) -> str:
        return "torch::autograd::Error"


def traceable(fn_cls: type) -> type:
    """Kept for old programs: marks nothing here."""
    fn_cls.is_traceable = True
    return fn_cls
