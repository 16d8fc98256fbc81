"""The tensor object itself: storage, description and autograd record. Ops and methods are added on top of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..graph.log import log_of
from ..graph.node import Node, Storage
from ..graph.spec import Spec

if TYPE_CHECKING:
    from .function import GradFn

_new = object.__new__


class Tensor:
    """An n-dimensional array on an OpenCL device, with PyTorch's interface.

    Internally: ``_storage`` seen through ``_spec``; ``_rg`` whether gradients flow here; ``_grad_fn`` and ``_out_nr``
    the recorded op and which of its results this is (None for leaves); ``_base`` the tensor this is a view of, and
    ``_seen`` the storage version at which a view's record was made.
    """

    _storage: Storage
    _spec: Spec
    _rg: bool = False
    _grad_fn: GradFn | None = None
    _out_nr: int = 0
    _base: Tensor | None = None
    _seen: int = 0
    _grad: Tensor | None = None
    _acc: Any = None
    _hooks: dict[int, Any] | None = None
    _inference: bool = False
    _retain: bool = False

    __array_priority__ = 1000


def make(node: Node, spec: Spec) -> Tensor:
    """A tensor that owns the value of ``node``."""
    t = _new(Tensor)
    t._storage = Storage(node)
    t._spec = spec
    return t


def view(of: Tensor, spec: Spec) -> Tensor:
    """Another tensor over the same storage, without an autograd record."""
    t = _new(Tensor)
    t._storage = of._storage
    t._spec = spec
    return t


def log(t: Tensor) -> Any:
    """The pending work of the tensor's device."""
    return t._spec.device.graph or log_of(t._spec.device)
