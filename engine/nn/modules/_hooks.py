"""Hooks of a Module: registration, the global ones, and the call that runs them."""

from __future__ import annotations

import functools
import itertools
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

from engine import autograd, ops
from engine.tensor import Tensor

__all__ = ["RemovableHandle", "global_hooks"]


class RemovableHandle:
    """Removes one hook from its dictionary (and from the companion dictionaries) when asked; a context manager too."""

    _ids = itertools.count()

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = next(RemovableHandle._ids)
        extras = () if extra_dict is None else extra_dict if isinstance(extra_dict, (list, tuple)) else (extra_dict,)
        self.extra_dict_ref = tuple(weakref.ref(d) for d in extras)

    def remove(self) -> None:
        """Take the hook out; harmless when repeated."""
        for ref in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = ref()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self) -> tuple:
        return self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref)

    def __setstate__(self, state: tuple) -> None:
        hooks, self.id, extras = state
        # A handle without its dictionary still needs something weakly referable.
        self.hooks_dict_ref = weakref.ref(OrderedDict() if hooks is None else hooks)
        self.extra_dict_ref = tuple(weakref.ref(OrderedDict() if d is None else d) for d in extras)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


class _GlobalHooks:
    """The hooks that apply to every Module of the process."""

    def __init__(self) -> None:
        self.forward: OrderedDict[int, Callable] = OrderedDict()
        self.forward_with_kwargs: OrderedDict[int, bool] = OrderedDict()
        self.forward_always: OrderedDict[int, bool] = OrderedDict()
        self.forward_pre: OrderedDict[int, Callable] = OrderedDict()
        self.backward: OrderedDict[int, Callable] = OrderedDict()
        self.backward_pre: OrderedDict[int, Callable] = OrderedDict()
        self.is_full_backward: bool | None = None
        self.buffer_registration: OrderedDict[int, Callable] = OrderedDict()
        self.parameter_registration: OrderedDict[int, Callable] = OrderedDict()
        self.module_registration: OrderedDict[int, Callable] = OrderedDict()

    def any_on_call(self) -> bool:
        return bool(self.forward or self.forward_pre or self.backward or self.backward_pre)


global_hooks = _GlobalHooks()


def _add(
    hooks: OrderedDict, hook: Callable, *flags: tuple[OrderedDict, bool], prepend: bool = False
) -> RemovableHandle:
    handle = RemovableHandle(hooks, extra_dict=[d for d, _ in flags])
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    for flagged, on in flags:
        if on:
            flagged[handle.id] = True
    return handle


def register_module_buffer_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, name, buffer) -> None or buffer`` at every ``register_buffer``."""
    return _add(global_hooks.buffer_registration, hook)


def register_module_module_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, name, submodule) -> None or submodule`` at every ``register_module``."""
    return _add(global_hooks.module_registration, hook)


def register_module_parameter_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, name, parameter) -> None or parameter`` at every ``register_parameter``."""
    return _add(global_hooks.parameter_registration, hook)


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, args) -> None or new args`` before every Module's forward."""
    return _add(global_hooks.forward_pre, hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call ``hook(module, args, output) -> None or new output`` after every Module's forward."""
    g = global_hooks
    return _add(g.forward, hook, (g.forward_with_kwargs, with_kwargs), (g.forward_always, always_call))


def _claim_global_backward(full: bool) -> None:
    if global_hooks.is_full_backward is (not full):
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module hook. Please use only "
            "one of them."
        )
    global_hooks.is_full_backward = full


def register_module_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Deprecated form of :func:`register_module_full_backward_hook`; sees the last autograd node only."""
    _claim_global_backward(False)
    return _add(global_hooks.backward, hook)


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, grad_output) -> None or new grad_output`` before every Module's backward."""
    return _add(global_hooks.backward_pre, hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call ``hook(module, grad_input, grad_output) -> None or new grad_input`` after every Module's backward."""
    _claim_global_backward(True)
    return _add(global_hooks.backward, hook)


class _Boundary(autograd.Function):
    """Identity on tensors; hands their gradients to a callback on the way back."""

    @staticmethod
    def forward(ctx: Any, on_backward: Callable[[tuple], tuple], *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.on_backward = on_backward
        ctx.set_materialize_grads(False)
        return tuple(t.view_as(t) for t in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple:
        return (None, *ctx.on_backward(grads))


class _BackwardHooks:
    """One call's full backward hooks: identity nodes around the module's inputs and outputs."""

    def __init__(self, module: Any, hooks: list[Callable], pre_hooks: list[Callable]) -> None:
        self.module, self.hooks, self.pre_hooks = module, hooks, pre_hooks
        self.grad_outputs: tuple | None = None
        self.input_count = 0
        self.watches_input = False

    def _attach(self, values: tuple, callback: Callable[[tuple], tuple], fill: bool) -> tuple[tuple, bool]:
        """Wrap the tensors of ``values`` that require gradients; ``callback`` gets one gradient slot a value.

        With ``fill`` tensors without a gradient get zeros, and only other values None.
        """
        where = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
        if not where or not autograd.is_grad_enabled():
            return values, False
        # Shapes only: the values themselves may go.
        kinds = [(v.shape, v.dtype, v.device) if fill and isinstance(v, Tensor) else None for v in values]

        def on_backward(grads: tuple) -> tuple:
            slots: list[Any] = [None] * len(kinds)
            for i, grad in zip(where, grads, strict=True):
                slots[i] = grad
            for i, kind in enumerate(kinds):
                if kind is not None and slots[i] is None:
                    slots[i] = ops.zeros(kind[0], dtype=kind[1], device=kind[2])
            slots = callback(tuple(slots))
            return tuple(slots[i] for i in where)

        wrapped = list(values)
        for i, tensor in zip(where, _Boundary.apply(on_backward, *(values[i] for i in where)), strict=True):
            wrapped[i] = tensor
        rebuilt = type(values)(*wrapped) if hasattr(values, "_fields") else tuple(wrapped)
        return rebuilt, True

    def around_input(self, args: tuple) -> tuple:
        self.input_count = len(args)
        if not self.hooks:
            return args
        args, self.watches_input = self._attach(args, self._on_input_grads, fill=True)
        return args

    def around_output(self, result: Any) -> Any:
        values = result if isinstance(result, tuple) else (result,)
        values, _ = self._attach(values, self._on_output_grads, fill=False)
        return values if isinstance(result, tuple) else values[0]

    def _on_input_grads(self, grads: tuple) -> tuple:
        if self.grad_outputs is None:  # the outputs took no part in this backward
            return grads
        for hook in self.hooks:
            new = hook(self.module, grads, self.grad_outputs)
            if new is None:
                continue
            new = new if isinstance(new, tuple) else (new,)
            if len(new) != len(grads):
                raise RuntimeError(
                    f"Backward hook returned an invalid number of grad_input, got {len(new)}, but expected {len(grads)}"
                )
            grads = new
        self.grad_outputs = None
        return grads

    def _on_output_grads(self, grads: tuple) -> tuple:
        for hook in self.pre_hooks:
            new = hook(self.module, grads)
            if new is None:
                continue
            new = new if isinstance(new, tuple) else (new,)
            if len(new) != len(grads):
                raise RuntimeError(
                    f"Backward pre hook returned an invalid number of grad_output, got {len(new)}, but expected "
                    f"{len(grads)}"
                )
            grads = new
        self.grad_outputs = grads
        if self.hooks and not self.watches_input:
            self._fire_without_input()
        return grads

    def _fire_without_input(self) -> None:
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to module outputs since no inputs "
            "require gradients.",
            stacklevel=5,
        )
        for hook in self.hooks:
            new = hook(self.module, (None,) * self.input_count, self.grad_outputs)
            if new is not None and not (isinstance(new, tuple) and all(g is None for g in new)):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always return None or None for "
                    "all gradients."
                )
        self.grad_outputs = None


def _first_tensor(result: Any) -> Tensor | None:
    """The tensor whose grad_fn a non-full backward hook attaches to."""
    while not isinstance(result, Tensor):
        if isinstance(result, dict):
            result = next((v for v in result.values() if isinstance(v, Tensor)), None)
        elif isinstance(result, (tuple, list)) and result:
            result = result[0]
        else:
            return None
    return result


class HookMixin:
    """Registration and running of hooks; part of Module."""

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Deprecated: use :meth:`register_full_backward_hook`. Sees only the last autograd node of forward."""
        self._claim_backward(False)
        return _add(self._backward_hooks, hook)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output) -> None or new grad_input`` after the module's backward."""
        self._claim_backward(True)
        return _add(self._backward_hooks, hook, prepend=prepend)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_output) -> None or new grad_output`` before the module's backward."""
        return _add(self._backward_pre_hooks, hook, prepend=prepend)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args[, kwargs])`` before forward; it may return new args (or (args, kwargs))."""
        return _add(self._forward_pre_hooks, hook, (self._forward_pre_hooks_with_kwargs, with_kwargs), prepend=prepend)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, args[, kwargs], output)`` after forward; it may return a new output.

        With ``always_call`` it also runs when forward raises (with output None).
        """
        return _add(
            self._forward_hooks,
            hook,
            (self._forward_hooks_with_kwargs, with_kwargs),
            (self._forward_hooks_always_called, always_call),
            prepend=prepend,
        )

    def _claim_backward(self, full: bool) -> None:
        if self._is_full_backward_hook is (not full):
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single Module. Please use only "
                "one of them."
            )
        self._is_full_backward_hook = full

    def _get_backward_hooks(self) -> tuple[list[Callable], list[Callable]]:
        """(full hooks, non-full hooks), global ones first."""
        full: list[Callable] = []
        last_node_only: list[Callable] = []
        (full if global_hooks.is_full_backward else last_node_only).extend(global_hooks.backward.values())
        (full if self._is_full_backward_hook else last_node_only).extend(self._backward_hooks.values())
        return full, last_node_only

    def _get_backward_pre_hooks(self) -> list[Callable]:
        return [*global_hooks.backward_pre.values(), *self._backward_pre_hooks.values()]

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        if not (
            self._forward_hooks
            or self._forward_pre_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
            or global_hooks.any_on_call()
        ):
            return self.forward(*args, **kwargs)
        return self._call_with_hooks(args, kwargs)

    def _call_with_hooks(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        called: set[int] = set()
        finished = False
        seen = [args, kwargs, None]
        try:
            result = self._run_with_hooks(seen, called)
            finished = True
            return result
        finally:
            if not finished:
                self._call_remaining_hooks(seen, called)

    def _run_with_hooks(self, seen: list, called: set[int]) -> Any:
        """``seen`` keeps the latest args, kwargs and result for hooks that must run after a failure."""
        seen[0], seen[1] = self._run_pre_hooks(seen[0], seen[1])
        full, last_node_only = self._get_backward_hooks()
        pre = self._get_backward_pre_hooks()
        backward = _BackwardHooks(self, full, pre) if full or pre else None
        if backward is not None:
            seen[0] = backward.around_input(seen[0])
        args, kwargs = seen[0], seen[1]
        seen[2] = result = self.forward(*args, **kwargs)
        for key, hook, with_kwargs, always in self._after_forward():
            if always:
                called.add(key)
            new = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
            if new is not None:
                seen[2] = result = new
        if backward is not None:
            result = backward.around_output(result)
        if last_node_only:
            self._attach_last_node_hooks(args, result, last_node_only)
        return result

    def _run_pre_hooks(self, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        for key, hook in itertools.chain(
            tuple(global_hooks.forward_pre.items()), tuple(self._forward_pre_hooks.items())
        ):
            if key in self._forward_pre_hooks_with_kwargs:
                new = hook(self, args, kwargs)
                if new is None:
                    continue
                if not (isinstance(new, tuple) and len(new) == 2):
                    raise RuntimeError(
                        f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {new}."
                    )
                args, kwargs = new
            else:
                new = hook(self, args)
                if new is not None:
                    args = new if isinstance(new, tuple) else (new,)
        return args, kwargs

    def _after_forward(self) -> Iterator[tuple[int, Callable, bool, bool]]:
        g = global_hooks
        for key, hook in tuple(g.forward.items()):
            yield key, hook, key in g.forward_with_kwargs, key in g.forward_always
        for key, hook in tuple(self._forward_hooks.items()):
            yield key, hook, key in self._forward_hooks_with_kwargs, key in self._forward_hooks_always_called

    def _call_remaining_hooks(self, seen: list, called: set[int]) -> None:
        """After a failure: the hooks registered with ``always_call`` that did not run yet."""
        args, kwargs, result = seen
        for key, hook, with_kwargs, always in self._after_forward():
            if not always or key in called:
                continue
            try:
                new = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
            except Exception as error:  # the user's hook may raise anything, and must not hide the first error
                warnings.warn(
                    "module forward hook with ``always_call=True`` raised an exception that was silenced as another "
                    f"error was raised in forward: {error}",
                    stacklevel=4,
                )
                continue
            if new is not None:
                result = new

    def _attach_last_node_hooks(self, args: tuple, result: Any, hooks: list[Callable]) -> None:
        tensor = _first_tensor(result)
        grad_fn = None if tensor is None else tensor.grad_fn
        if grad_fn is None:
            return
        for hook in hooks:
            grad_fn.register_hook(functools.partial(hook, self))
        self._maybe_warn_non_full_backward_hook(args, result, grad_fn)

    def _maybe_warn_non_full_backward_hook(self, inputs: Any, result: Any, grad_fn: Any) -> None:
        inputs = inputs if isinstance(inputs, tuple) else (inputs,)
        results = result if isinstance(result, tuple) else (result,)
        if not all(isinstance(r, Tensor) for r in results) or not all(isinstance(i, Tensor) for i in inputs):
            problem = "does not take as input and return only Tensors or tuples of Tensors"
        elif len(results) > 1:
            problem = "returns several Tensors"
        else:
            came_from = {i.grad_fn for i in inputs if i.grad_fn is not None}
            if came_from == {node for node, _ in grad_fn.next_functions}:
                return
            problem = "contains multiple autograd Nodes"
        warnings.warn(
            f"Using a non-full backward hook when the forward {problem} is deprecated: the hook will be missing some "
            "grad_input. Please use register_full_backward_hook to get the documented behavior.",
            FutureWarning,
            stacklevel=5,
        )
