"""User-defined functions: autograd.Function."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from .backward import Ops
from .function import FREED, GradFn, Saved, edge_of
from .mode import mode, no_grad
from .variable import Tensor, view


class _Context:
    """``ctx``: what forward leaves for backward."""

    def __init__(self) -> None:
        self._to_save: tuple = ()
        self._dirty: tuple = ()
        self._not_differentiable: tuple = ()
        self._materialize = True
        self._fn: _FunctionBackward | None = None
        self.needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors (inputs, outputs or intermediate) for backward's ``ctx.saved_tensors``."""
        self._to_save = tensors

    save_for_forward = save_for_backward

    def mark_dirty(self, *args: Tensor) -> None:
        """Name inputs that forward changed in place; they must be returned."""
        self._dirty = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Name outputs without a gradient."""
        self._not_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether gradients that never arrived are given as zeros (default) or None."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple:
        """What save_for_backward was given. Raises RuntimeError once freed."""
        fn = self._fn
        if fn is None:
            return self._to_save
        if fn.freed:
            raise RuntimeError(FREED)
        return tuple(s.unpack(fn) if s is not None else None for s in fn.saved_in)

    saved_variables = saved_tensors


class _FunctionBackward(GradFn):
    __slots__ = ("ctx", "function", "count")

    def apply(self, grads: tuple) -> tuple:
        ctx = self.ctx
        if ctx._materialize:
            grads = tuple(
                Ops.zeros_spec(s) if g is None and s.floating else g for g, s in zip(grads, self.outs)
            )
        results = self.function.backward(ctx, *grads)
        if not isinstance(results, tuple):
            results = (results,)
        count = self.count
        if len(results) > count and all(r is None for r in results[count:]):
            results = results[:count]
        if len(results) != count:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected {count}, got {len(results)})"
            )
        return results


class _FunctionMeta(type):
    """Gives each subclass its backward node class, named as torch names it."""

    def __init__(cls, name: str, bases: tuple, attrs: dict) -> None:
        super().__init__(name, bases, attrs)
        cls._backward_cls = type(f"{name}Backward", (_FunctionBackward,), {"__slots__": ("__dict__",)})


class Function(metaclass=_FunctionMeta):
    """An op with a derivative of its own: static ``forward(ctx, ...)`` and ``backward(ctx, *grads)``; call ``apply``.

    ``forward`` may leave out ctx if ``setup_context(ctx, inputs, output)`` is defined. ``vmap`` and ``jvp`` may be
    defined for the function transforms and forward mode.
    """

    generate_vmap_rule = False

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
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with backward "
            "mode AD."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward and record the function."""
        ctx = _Context()
        split = cls.setup_context is not Function.setup_context
        tensors = [a for a in args if isinstance(a, Tensor)]
        recording = mode.grad and any(t._rg for t in tensors)
        ctx.needs_input_grad = tuple(isinstance(a, Tensor) and a._rg for a in args)
        with no_grad():
            if split:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args, **kwargs)
        single = not isinstance(output, tuple)
        outputs = (output,) if single else output
        if not recording:
            return output
        outputs = cls._record(ctx, args, outputs)
        return outputs[0] if single else tuple(outputs)

    @classmethod
    def _record(cls, ctx: _Context, args: tuple, outputs: tuple) -> list:
        edges = tuple(edge_of(a) if isinstance(a, Tensor) and a._spec.floating else None for a in args)
        produced = [o for o in outputs if isinstance(o, Tensor)]
        fn = cls._backward_cls(edges, tuple(o._spec for o in produced))
        fn.function, fn.ctx, fn.count = cls, ctx, len(args)
        ctx._fn = fn
        out = []
        number = 0
        not_differentiable = {id(t) for t in ctx._not_differentiable}
        dirty = {id(t) for t in ctx._dirty}
        renamed = {}
        for o in outputs:
            if not isinstance(o, Tensor):
                out.append(o)
                continue
            original = o
            if id(o) in dirty:
                if o._grad_fn is None and o._rg and o._base is None:
                    raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
            elif any(o is a for a in args) or o._rg:
                o = view(o, o._spec)
            if id(original) not in not_differentiable and o._spec.floating:
                o._grad_fn, o._out_nr, o._rg = fn, number, True
            renamed[id(original)] = (o, number)
            number += 1
            out.append(o)
        fn.saved_in = tuple(cls._save(t, renamed) for t in ctx._to_save)
        ctx._to_save = ()
        return out

    @staticmethod
    def _save(t: Any, outputs: dict) -> Saved | None:
        if t is None:
            return None
        if not isinstance(t, Tensor):
            raise TypeError(f"save_for_backward can only save variables, but argument is of type {type(t).__name__}")
        found = outputs.get(id(t))
        if found is None:
            return Saved(t, edge_of(t))
        saved = Saved(found[0], None, True)
        if found[0]._rg:
            saved.output_of = found[1]
        return saved


def once_differentiable(backward: Callable) -> Callable:
    """Decorator for a backward that cannot itself be differentiated: doing so raises RuntimeError."""

    @functools.wraps(backward)
    def wrapped(ctx: Any, *grads: Any) -> Any:
        with no_grad():
            results = backward(ctx, *grads)
        if not mode.grad or not any(isinstance(g, Tensor) and g._rg for g in grads):
            return results
        single = not isinstance(results, tuple)
        edges = tuple(edge_of(g) if isinstance(g, Tensor) else None for g in grads)
        out = []
        for r in (results,) if single else results:
            if isinstance(r, Tensor) and r._spec.floating:
                r = view(r, r._spec)
                fn = _NotTwice(edges, (r._spec,))
                r._grad_fn, r._rg = fn, True
            out.append(r)
        return out[0] if single else tuple(out)

    return wrapped


class _NotTwice(GradFn):
    __slots__ = ()

    def apply(self, grads: tuple) -> tuple:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )

    def name(self) -> str:
        return "torch::autograd::Error"
