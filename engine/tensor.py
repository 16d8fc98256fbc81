"""The public tensor class: properties, operators and methods on top of the ops."""

from __future__ import annotations

from . import overrides  # noqa: F401 (adds its part to Tensor)
from ._tensor import (  # noqa: F401 (each adds its methods to Tensor)
    content,
    conversion,
    copying,
    description,
    operators,
    printing,
    record,
    storage,
)
from ._tensor.content import host_copy, values_of
from ._tensor.conversion import LEGACY_TYPES, set_default_tensor_type
from ._tensor.printing import show
from ._tensor.storage import UntypedStorage
from .autograd.variable import Tensor
from .ops.publish import inplace_of, registry


def _attach() -> None:
    """Published ops become methods; what the parts define by hand goes first."""
    for public in registry.values():
        call = public.call
        for name in (public.name, *public.aliases):
            if public.method and name not in Tensor.__dict__:
                setattr(Tensor, name, call)
            if public.inplace and f"{name}_" not in Tensor.__dict__:
                setattr(Tensor, f"{name}_", inplace_of(call, f"{name}_"))


_attach()

__all__ = ["LEGACY_TYPES", "Tensor", "UntypedStorage", "host_copy", "set_default_tensor_type", "show", "values_of"]
