"""Other dtypes, devices, sizes and classes of a tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.backward import Ops
from ..autograd.mode import mode
from ..autograd.records import edge_of
from ..autograd.variable import Tensor, view
from ..device import device as Device
from ..dtypes import scalar_type_name
from ..graph.spec import Size, spec
from ..ops import creation
from ..ops.op import dense_strides
from ..ops.views import sizes_of
from .attach import method


@method
def to(
    self: Tensor, *args: Any, dtype: Any = None, device: Any = None, non_blocking: bool = False, copy: bool = False,
    memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Convert dtype and/or device: ``to(dtype)``, ``to(device, dtype)``, ``to(other)``. Itself if nothing changes."""
    for i, arg in enumerate(args):
        if isinstance(arg, dtypes.dtype):
            dtype = arg
        elif isinstance(arg, Tensor):
            dtype, device = arg._spec.dtype, arg._spec.device
        elif isinstance(arg, (str, Device)) or (isinstance(arg, int) and not isinstance(arg, bool)):
            device = arg
        elif isinstance(arg, bool):
            if i == len(args) - 1 and i > 1:
                copy = arg
        elif arg is not None:
            raise TypeError(f"to() received an invalid combination of arguments - got ({type(arg).__name__})")
    out = creation.convert(self, dtype, device, copy)
    if memory_format is not None and memory_format.name != "preserve":
        out = out.contiguous(memory_format=memory_format)
    return out


@method
def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """On the CPU device."""
    return creation.to_device(self, "cpu")


@method
def cuda(self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """On a GPU device. Raises NoDeviceError where there is none."""
    return creation.to_device(self, "cuda" if device is None else device)


for _name, _dtype in {
    "half": "float16", "bfloat16": "bfloat16", "float": "float32", "double": "float64", "char": "int8",
        "short": "int16",
    "int": "int32", "long": "int64", "byte": "uint8", "bool": "bool", "cfloat": "complex64", "cdouble": "complex128",
    "chalf": "complex32",
}.items():  # fmt: skip

    def _convert(self: Tensor, memory_format: Any = None, _to: str = _dtype) -> Tensor:
        return creation.cast(self, getattr(dtypes, _to))

    _convert.__name__ = _name
    setattr(Tensor, _name, _convert)


@method
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """Converted to another tensor's dtype and device."""
    return creation.convert(self, other._spec.dtype, other._spec.device)


def _type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The type's name ("torch.FloatTensor"), or a conversion to a dtype or a type of that name."""
    if dtype is None:
        where = "cuda." if self._spec.device.kind == "gpu" else ""
        return f"torch.{where}{scalar_type_name(self._spec.dtype)}Tensor"
    if isinstance(dtype, str):
        dtype = _dtype_by_name(dtype)
    elif not isinstance(dtype, dtypes.dtype):
        dtype = dtype.dtype
    return creation.cast(self, dtype)


Tensor.type = _type


def _dtype_by_name(name: str) -> dtypes.dtype:
    kind = name.rsplit(".", 1)[-1].removesuffix("Tensor")
    for d in (getattr(dtypes, n) for n in ("float32", "float64", "float16", "bfloat16", "int8", "uint8", "int16",
        "int32",
                                           "int64", "bool", "complex64", "complex128")):  # fmt: skip
        if scalar_type_name(d) == kind:
            return d
    raise ValueError(f"invalid type: '{name}'")


@method
def detach(self: Tensor) -> Tensor:
    """The same memory without the record."""
    t = view(self, self._spec)
    if self._inference:
        t._inference = True
    if self._aside:
        t._aside = True
    return t


@method
def detach_(self: Tensor) -> Tensor:
    """Drop the record in place."""
    if self._base is not None:
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for "
            "training, "
            "and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence detach_() "
            "cannot be "
            "called on these gradients. To fix this error, please refer to the Optimizer.zero_grad() function in "
            "torch/optim/optimizer.py as a solution."
        )
    self._grad_fn = None
    self._rg = self._retain = False
    return self


def _get_data(self: Tensor) -> Tensor:
    t = view(self, self._spec)
    t._aside = True
    if self._inference:
        t._inference = True
    return t


def _set_data(self: Tensor, value: Tensor) -> None:
    if not isinstance(value, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
    if self._rg and not value._spec.floating:
        raise RuntimeError("data set to a tensor that requires gradients must be floating point or complex dtype")
    self._storage = value._storage
    self._spec = value._spec


def _del_data(self: Tensor) -> None:
    raise RuntimeError("Deleting tensor data is not allowed. Delete tensor instead!")


Tensor.data = property(
    _get_data, _set_data, _del_data, doc="The same memory without the record; assigning replaces the memory."
)


@method
def as_subclass(self: Tensor, cls: Any) -> Tensor:
    """The same tensor as an instance of a subclass; gradients flow through."""
    t = object.__new__(cls)
    t._storage, t._spec = self._storage, self._spec
    if self._rg and mode.grad:
        t._grad_fn, t._out_nr = edge_of(Ops.alias(self))
        t._rg = True
    if self._inference:
        t._inference = True
    if self._aside:
        t._aside = True
    return t


def _make_subclass(cls: Any, data: Tensor, require_grad: bool = False, **options: Any) -> Tensor:
    """A leaf of a subclass over the memory of ``data``."""
    t = data.detach().as_subclass(cls)
    t._rg = bool(require_grad)
    return t


Tensor._make_subclass = staticmethod(_make_subclass)


@method
def set_(self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None) -> Tensor:
    """Take over another tensor's (or storage's) memory, seen through ``size`` and ``stride``."""
    seen = self._spec
    if source is None:
        source = creation.zeros_of((0,), seen.dtype, seen.device)
    if isinstance(source, Tensor):
        if source._spec.dtype is not seen.dtype:
            raise RuntimeError(f"Could not set tensor of type {source._spec.dtype} to a tensor of type {seen.dtype}")
        if size is None:
            self._storage, self._spec = source._storage, source._spec
            self._storage.version += 1
            return self
    shape = tuple(size) if size is not None else (source.nbytes() // seen.dtype.itemsize - storage_offset,)
    new = spec(seen.dtype, source.device, shape, None if stride is None else tuple(stride), storage_offset)
    held = source._storage.nbytes
    if new.numel and new.reach() * seen.dtype.itemsize > held:
        raise RuntimeError(
            f"setStorage: sizes {list(new.shape)}, strides {list(new.stride)}, storage offset {storage_offset}, and "
            f"itemsize "
            f"{seen.dtype.itemsize} requiring a storage size of {new.reach() * seen.dtype.itemsize} are out of bounds "
            f"for "
            f"storage of size {held}"
        )
    self._storage, self._spec = source._storage, new
    self._storage.version += 1
    return self


@method
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both are the same view of the same storage."""
    return self._storage is tensor._storage and self._spec is tensor._spec


@method
def resize_(self: Tensor, *sizes: Any, memory_format: Any = None) -> Tensor:
    """Another size in place; memory grows if need be. Raises RuntimeError where gradients are recorded."""
    if self._rg and mode.grad:
        raise RuntimeError("cannot resize variables that require grad")
    creation.resize(self, sizes_of(sizes, "resize_"))
    order = None if memory_format is None else memory_format.order(self._spec.ndim)
    if order is not None:
        seen = self._spec
        self._spec = spec(
            seen.dtype, seen.device, tuple(seen.shape), dense_strides(seen.shape, list(order)), seen.offset
        )
    return self


@method
def resize_as_(self: Tensor, other: Tensor, memory_format: Any = None) -> Tensor:
    """Another tensor's size, in place."""
    return self.resize_(tuple(other._spec.shape), memory_format=memory_format)


@method
def share_memory_(self: Tensor) -> Tensor:
    """Itself: tensors travel between processes by value."""
    return self


@method
def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """Itself: transfers need no page-locked memory."""
    return self


@method
def to_dense(self: Tensor, dtype: Any = None, *, masked_grad: bool = True) -> Tensor:
    """Itself: there are no sparse tensors; with ``dtype`` converted."""
    return self if dtype is None else creation.cast(self, dtype)


@method
def refine_names(self: Tensor, *names: Any) -> Tensor:
    """Itself if no names are given. Raises RuntimeError otherwise: dimensions have no names here."""
    if any(n is not None and n is not Ellipsis for n in names):
        raise RuntimeError("named tensors are not supported")
    return self


Tensor.rename = Tensor.rename_ = refine_names


@method
def module_load(self: Tensor, other: Tensor, assign: bool = False) -> Tensor:
    """What load_state_dict puts in place of this tensor: itself with the other's content, or the other (``assign``)."""
    if assign:
        return other.detach()
    return self.detach().copy_(other.detach())


@method
def new(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """A tensor of this one's dtype: from sizes or data (old form)."""
    return legacy(self._spec.dtype, args, self._spec.device)


def legacy(dtype: dtypes.dtype, args: tuple, device: Any = None) -> Tensor:
    """``Tensor(2, 3)`` (sizes) against ``Tensor([2, 3])`` (data)."""
    if not args:
        return creation.zeros_of((0,), dtype, device)
    if all(isinstance(a, int) and not isinstance(a, bool) for a in args):
        return creation.zeros_of(args, dtype, device)
    if len(args) == 1 and isinstance(args[0], Size):
        return creation.zeros_of(args[0], dtype, device)
    if len(args) == 1 and isinstance(args[0], Tensor):
        return args[0].detach() if args[0]._spec.dtype is dtype else creation.cast(args[0].detach(), dtype)
    if len(args) == 1 and (isinstance(args[0], (list, tuple, np.ndarray)) or hasattr(args[0], "__len__")):
        return creation.tensor_from(args[0], dtype, device)
    raise TypeError(f"new(): data must be a sequence (got {args[0].__class__.__name__})")


def _construct(cls: Any, *args: Any, device: Any = None, **kwargs: Any) -> Tensor:
    made = legacy(dtypes.default.get(), args, device)
    return made if cls is Tensor else made.as_subclass(cls)


Tensor.__new__ = staticmethod(_construct)


class _LegacyType(type):
    """IntTensor and its siblings: constructors, and types for isinstance."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance._spec.dtype is cls.dtype

    def __call__(cls, *args: Any, device: Any = None) -> Tensor:
        return legacy(cls.dtype, args, device)


def _legacy_type(name: str, dtype: dtypes.dtype) -> Any:
    return _LegacyType(name, (), {"dtype": dtype, "__module__": "torch", "is_cuda": False, "is_sparse": False})


LEGACY_TYPES = {
    f"{scalar_type_name(d)}Tensor": _legacy_type(f"{scalar_type_name(d)}Tensor", d)
    for d in (
        getattr(dtypes, n)
        for n in ("float32", "float64", "float16", "bfloat16", "int8", "uint8", "int16", "int32", "int64", "bool")
    )  # fmt: skip
}


def set_default_tensor_type(t: Any, /) -> None:
    """The default dtype by the class of its tensors or that one's name ("torch.FloatTensor").

    Raises TypeError for types that are not floating ones.
    """
    name = t if isinstance(t, str) else getattr(t, "__name__", "")
    kind = LEGACY_TYPES.get(name.rpartition(".")[2])
    if kind is None:
        raise TypeError(f"invalid type object: {t if isinstance(t, str) else type(t).__name__}")
    if not kind.dtype.is_floating_point:
        raise TypeError(f"only floating-point types are supported as the default type, but got {name}")
    dtypes.set_default_dtype(kind.dtype)
