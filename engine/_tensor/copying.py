"""Deep copies and pickles."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from .. import dtypes
from ..autograd.variable import Tensor, user_attributes, view
from ..graph.spec import spec
from ..ops import creation
from .attach import method, quiet
from .storage import UntypedStorage

_NOT_A_LEAF = (
    "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If you "
    "were "
    "attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, see "
    "https://github.com/pytorch/pytorch/pull/103001"
)


@method
def __deepcopy__(self: Tensor, memo: dict) -> Tensor:
    """A leaf with a copy of the storage (once for all tensors that share it), of ``.grad`` and of attributes."""
    found = memo.get(id(self))
    if found is not None:
        return found
    if self.grad_fn is not None:
        raise RuntimeError(_NOT_A_LEAF)
    with quiet():
        copied = memo.get(("storage", id(self._storage)))
        if copied is None:
            flat = view(self, spec(self._storage.dtype, self._spec.device, (self._storage.size,)))
            copied = memo["storage", id(self._storage)] = creation.copy_in_order(flat, None)
    t = object.__new__(type(self))
    t._storage, t._spec = copied._storage, self._spec
    t._rg = self._rg
    if self._inference:
        t._inference = True
    memo[id(self)] = t
    if self._grad is not None:
        t._grad = deepcopy(self._grad, memo)
    for name, value in user_attributes(self).items():
        setattr(t, name, deepcopy(value, memo))
    return t


@method
def __reduce_ex__(self: Tensor, protocol: Any) -> tuple:
    """Storage, view, flag and attributes; tensors of one storage share it after unpickling in one go."""
    if self.grad_fn is not None:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support pickling; detach() the tensor first"
        )
    seen = self._spec
    if seen.device.kind == "meta":
        return _rebuild_meta, (type(self), seen.dtype.name, tuple(seen.shape), seen.stride, self._rg)
    storage = UntypedStorage.of(self._storage, seen.device)
    args = (type(self), storage, seen.dtype.name, seen.offset, tuple(seen.shape), seen.stride, self._rg)
    return _rebuild, args, user_attributes(self) or None


@method
def __setstate__(self: Tensor, state: Any) -> None:
    """Attributes of a pickled tensor."""
    if isinstance(state, tuple):  # (dictionary, slots)
        state = state[0]
    for name, value in (state or {}).items():
        setattr(self, name, value)


def _rebuild(
    cls: type, storage: UntypedStorage, dtype: str, offset: int, shape: tuple, stride: tuple, requires_grad: bool
) -> Tensor:
    t = object.__new__(cls)
    t._storage = storage._storage
    t._spec = spec(getattr(dtypes, dtype), storage.device, shape, stride, offset)
    t._rg = requires_grad
    return t


def _rebuild_meta(cls: type, dtype: str, shape: tuple, stride: tuple, requires_grad: bool) -> Tensor:
    t = creation.zeros_of(shape, getattr(dtypes, dtype), "meta").as_strided(shape, stride).detach()
    t = t if cls is Tensor else t.as_subclass(cls)
    t._rg = requires_grad
    return t
