"""The tensor object itself: storage, description and autograd record. Ops and methods are added on top of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..graph.log import log_of
from ..graph.node import Node, Storage
from ..graph.spec import Spec

if TYPE_CHECKING:
    from .records import GradFn

_new = object.__new__


class Tensor:
    """An n-dimensional array on an OpenCL device, with PyTorch's interface.

    Internally: ``_storage`` seen through ``_spec``; ``_rg`` whether gradients flow here; ``_grad_fn`` and ``_out_nr``
    the recorded op and which of its results this is (None for leaves); ``_base`` the tensor this is a view of,
    ``_seen`` the storage version at which a view's record was made, ``_made`` how a view came about where that forbids
    changing it in place, ``_views`` views taken while gradients did not flow; ``_acc`` the accumulation point of a leaf
    (weak, or strong as soon as it has hooks); ``_aside`` for ``.data``: changes do not count as versions.
    """

    _storage: Storage
    _spec: Spec
    _rg: bool = False
    _grad_fn: GradFn | None = None
    _out_nr: int = 0
    _base: Tensor | None = None
    _seen: int = 0
    _made: str | None = None
    _views: Any = None
    _grad: Tensor | None = None
    _acc: Any = None
    _inference: bool = False
    _aside: bool = False
    _retain: bool = False
    _grad_dtype: Any  # of ``.grad`` where it was set; the class itself stands for "the tensor's own"

    __array_priority__ = 1000


Tensor._grad_dtype = Tensor

#: What tensors keep in their ``__dict__`` for the library itself; everything else there is the user's.
INTERNAL = frozenset(
    (
        "_storage _spec _rg _grad_fn _out_nr _base _seen _made _views _grad _acc _inference _aside _retain _grad_dtype"
    ).split()
)


def user_attributes(t: Tensor) -> dict[str, Any]:
    """Attributes that a program gave a tensor: what pickling and deep copies keep besides the content."""
    return {name: value for name, value in t.__dict__.items() if name not in INTERNAL}


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
