"""Gradients: flags, hooks, backward."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from .. import dtypes
from ..autograd.backward import backward as run_backward
from ..autograd.hooks import RemovableHandle
from ..autograd.inplace import retain
from ..autograd.mode import mode
from ..autograd.records import AccumulateGrad, GradFn, current_grad_fn, edge_of
from ..autograd.variable import Tensor
from ..dtypes import scalar_type_name
from ..graph.provided import Capture
from .attach import method


def _set_rg(self: Tensor, value: bool) -> None:
    if value and not self._spec.floating:
        raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
    requires_grad_(self, value)


Tensor.requires_grad = property(lambda self: self._rg, _set_rg, doc="Whether gradients flow to this tensor.")


@method
def requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Switch recording for a leaf."""
    if not self._rg and not requires_grad:
        return self
    if self._grad_fn is not None and not requires_grad:
        raise RuntimeError(
            "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a "
            "subgraph "
            "that doesn't require differentiation use var_no_grad = var.detach()."
        )
    if requires_grad and not self._spec.floating:
        raise RuntimeError("only Tensors of floating point dtype can require gradients")
    if requires_grad and self._inference and not mode.inference:
        raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
    if requires_grad and self._views is not None:
        self._views = None  # views taken before are not part of what follows
    self._rg = bool(requires_grad)
    return self


def _get_grad_fn(self: Tensor) -> GradFn | None:
    return current_grad_fn(self) if self._base is not None else self._grad_fn


Tensor.grad_fn = property(_get_grad_fn, doc="The recorded function that made this tensor; None for leaves.")


def _get_grad(self: Tensor) -> Tensor | None:
    grad = self._grad
    if grad is None and self._rg and self._grad_fn is not None and not self._retain:
        warnings.warn(
            "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be "
            "populated during autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf "
            "Tensor, "
            "use .retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you "
            "access "
            "the leaf Tensor instead. See github.com/pytorch/pytorch/pull/30531 for more informations.",
            stacklevel=2,
        )
    return grad


def _set_grad(self: Tensor, value: Tensor | None) -> None:
    if value is not None:
        if not isinstance(value, Tensor):
            raise TypeError(
                f"assigned grad expected to be a Tensor or None but got grad of type {value.__class__.__name__}"
            )
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        _check_grad(self, value)
    if Capture.active is not None:
        Capture.active.touch(self)
    self._grad = value


def _check_grad(t: Tensor, value: Tensor) -> None:
    """Raise RuntimeError for a gradient that does not fit."""
    have, seen = value._spec, t._spec
    wanted = t.grad_dtype
    if wanted is not None and have.dtype is not wanted:
        raise RuntimeError(
            f"attempting to assign a gradient with dtype '{_word(have.dtype)}' to a tensor with grad_dtype "
            f"'{scalar_type_name(wanted)}'. The gradient must match the tensor's grad_dtype (defaults to the tensor's "
            f"dtype). "
            f"You can set the tensor's grad_dtype attribute with a specific dtype, or None to allow any dtype. Set "
            f"grad_dtype "
            f"with caution. Diverging the dtypes of a tensor and its gradient may break downstream systems that "
            f"assume they "
            f"match."
        )
    if have.device is not seen.device:
        raise RuntimeError(
            f"attempting to assign a gradient with device type '{have.device.type}' to a tensor with device type "
            f"'{seen.device.type}'. Please ensure that the gradient and the tensor are on the same device"
        )
    if have.shape != seen.shape:
        raise RuntimeError(
            f"attempting to assign a gradient of size '{list(have.shape)}' to a tensor of size '{list(seen.shape)}'. "
            f"Please "
            f"ensure that the gradient and the tensor are the same size"
        )


def _word(dtype: dtypes.dtype) -> str:
    """The C++ name of a dtype."""
    return {"float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16"}.get(
        dtype.name, dtype.name
    )


def _get_grad_dtype(self: Tensor) -> dtypes.dtype | None:
    wanted = self._grad_dtype
    return self._spec.dtype if wanted is Tensor else wanted


def _set_grad_dtype(self: Tensor, value: dtypes.dtype | None) -> None:
    if self.grad_fn is not None:
        raise RuntimeError("grad_dtype can only be set on leaf tensors.")
    if value is not None and self._grad is not None and self._grad._spec.dtype is not value:
        raise RuntimeError("Cannot set grad_dtype to a dtype other than that of the existing gradient.")
    self._grad_dtype = value


Tensor.grad_dtype = property(
    _get_grad_dtype, _set_grad_dtype, doc="The dtype of ``.grad``: the tensor's own, another, or None for any."
)


def _del_grad(self: Tensor) -> None:
    self._grad = None


Tensor.grad = property(_get_grad, _set_grad, _del_grad, doc="The accumulated gradient, or None.")


@method
def backward(
    self: Tensor, gradient: Tensor | None = None, retain_graph: bool | None = None, create_graph: bool = False,
    inputs: Any = None,
) -> None:  # fmt: skip
    """Accumulate the gradient of this tensor into the leaves."""
    run_backward(self, gradient, retain_graph, create_graph, inputs=inputs)


@method
def retain_grad(self: Tensor) -> None:
    """Keep this tensor's gradient in ``.grad`` although it is not a leaf."""
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if self.grad_fn is None or self._retain:
        return
    self._retain = True
    retain(self)


@method
def register_hook(self: Tensor, hook: Callable[[Tensor], Any]) -> RemovableHandle:
    """``hook(grad)`` whenever the gradient is computed; may return another gradient."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    fn, number = _hook_point(self)
    if fn.tensor_hooks is None:
        fn.tensor_hooks = {}
    return RemovableHandle(fn.tensor_hooks.setdefault(number, {}), hook)


def _hook_point(t: Tensor) -> tuple[GradFn, int]:
    """Where hooks of a tensor live; a leaf's accumulation point is kept from now on."""
    fn, number = edge_of(t)
    if type(fn) is AccumulateGrad:
        t._acc = fn
    return fn, number


@method
def register_post_accumulate_grad_hook(self: Tensor, hook: Callable[[Tensor], None]) -> RemovableHandle:
    """``hook(tensor)`` after the gradient of this leaf was accumulated."""
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if self.grad_fn is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    fn = _hook_point(self)[0]
    if fn.post_hooks is None:
        fn.post_hooks = {}
    return RemovableHandle(fn.post_hooks, hook)


def _get_backward_hooks(self: Tensor) -> dict | None:
    """Hooks of a leaf, as torch keeps them in this attribute; None without any."""
    fn = self._acc
    if type(fn) is AccumulateGrad and fn.tensor_hooks:
        return fn.tensor_hooks.get(0)
    return None


Tensor._backward_hooks = property(_get_backward_hooks, lambda self, value: None)


@method
def record_stream(self: Tensor, stream: Any) -> None:
    """Nothing to do: the queue keeps memory in order."""


def _get_post_hooks(self: Tensor) -> dict | None:
    fn = self._acc
    return fn.post_hooks if type(fn) is AccumulateGrad else None


Tensor._post_accumulate_grad_hooks = property(_get_post_hooks, lambda self, value: None)
Tensor._is_inference = property(lambda self: self._inference)


@method
def reinforce(self: Tensor, reward: Any) -> None:
    """Removed from torch long ago: raises RuntimeError."""
    raise RuntimeError(
        "reinforce() was removed. Use torch.distributions instead. See https://pytorch.org/docs/main/distributions.html"
    )
