"""The public tensor class: properties, operators and methods on top of the ops."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from . import dtypes, formatting, ops
from . import layout as layouts
from .autograd.backward import backward as run_backward
from .autograd.backward import Ops
from .autograd.records import AccumulateGrad, GradFn, current_grad_fn, edge_of
from .autograd.hooks import RemovableHandle
from .autograd.inplace import retain
from .autograd.mode import mode
from .autograd.variable import INTERNAL, Tensor, log, user_attributes, view
from .device import device as Device
from .graph.log import log_of
from .graph.provided import Capture
from .graph.spec import Size, spec
from .ops import arithmetic, creation, indexing
from .ops.op import inplace_of, registry, scalar_type_name
from .ops.pointwise import is_number


def _method(function: Callable[..., Any]) -> Callable[..., Any]:
    setattr(Tensor, function.__name__, function)
    return function


# -- published ops become methods -----------------------------------------------------------------------------------------------
def _attach() -> None:
    for public in registry.values():
        call = public.call
        for name in (public.name, *public.aliases):
            if public.method:
                setattr(Tensor, name, call)
            if public.inplace:
                setattr(Tensor, f"{name}_", inplace_of(call, f"{name}_"))


_attach()


# -- description ----------------------------------------------------------------------------------------------------------------
for _name, _get in {
    "shape": lambda self: self._spec.shape,
    "dtype": lambda self: self._spec.dtype,
    "device": lambda self: self._spec.device,
    "ndim": lambda self: self._spec.ndim,
    "layout": lambda self: layouts.strided,
    "is_leaf": lambda self: not self._rg or (self._grad_fn is None and edge_is_leaf(self)),
    "is_cuda": lambda self: self._spec.device.kind == "gpu",
    "is_cpu": lambda self: self._spec.device.kind == "cpu",
    "is_meta": lambda self: self._spec.device.kind == "meta",
    "is_sparse": lambda self: False,
    "is_quantized": lambda self: False,
    "is_nested": lambda self: False,
    "is_mkldnn": lambda self: False,
    "is_mps": lambda self: False,
    "is_xpu": lambda self: False,
    "is_vulkan": lambda self: False,
    "itemsize": lambda self: self._spec.dtype.itemsize,
    "nbytes": lambda self: self._spec.numel * self._spec.dtype.itemsize,
    "output_nr": lambda self: self._out_nr,
    "name": lambda self: None,
    "names": lambda self: (None,) * self._spec.ndim,
    "retains_grad": lambda self: self._retain,
    "_version": lambda self: self._storage.version,
    "grad_dtype": lambda self: self._spec.dtype,
}.items():
    setattr(Tensor, _name, property(_get))


def edge_is_leaf(t: Tensor) -> bool:
    """Whether a tensor without a recorded function is a leaf (a view of a changed base is not)."""
    return t._base is None or current_grad_fn(t) is None


@_method
def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or one size."""
    if dim is None:
        return self._spec.shape
    ndim = self._spec.ndim
    if not -ndim <= dim < ndim:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-max(ndim, 1)}, {max(ndim, 1) - 1}], but got {dim})"
        )
    return self._spec.shape[dim]


@_method
def stride(self: Tensor, dim: int | None = None) -> Any:
    """Strides in elements, or one of them."""
    return self._spec.stride if dim is None else self._spec.stride[dim]


@_method
def dim(self: Tensor) -> int:
    """Number of dimensions."""
    return self._spec.ndim


@_method
def numel(self: Tensor) -> int:
    """Number of elements."""
    return self._spec.numel


Tensor.ndimension = dim
Tensor.nelement = numel


@_method
def storage_offset(self: Tensor) -> int:
    """Elements of the storage before the first one of this tensor."""
    return self._spec.offset


@_method
def element_size(self: Tensor) -> int:
    """Bytes an element."""
    return self._spec.dtype.itemsize


@_method
def is_floating_point(self: Tensor) -> bool:
    """Whether the dtype is a float."""
    return self._spec.dtype.is_floating_point


@_method
def is_complex(self: Tensor) -> bool:
    """Whether the dtype is complex."""
    return self._spec.dtype.is_complex


@_method
def is_signed(self: Tensor) -> bool:
    """Whether the dtype has negative values."""
    return self._spec.dtype.is_signed


@_method
def is_contiguous(self: Tensor, memory_format: Any = None) -> bool:
    """Whether elements lie in memory in row-major (or the given) order without gaps."""
    return self._spec.contiguous if memory_format is None else memory_format.holds(self._spec)


@_method
def is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether the shapes are equal."""
    return self._spec.shape == other._spec.shape


@_method
def is_inference(self: Tensor) -> bool:
    """Whether the tensor was made in inference mode."""
    return self._inference


@_method
def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Whether the memory is page-locked: never."""
    return False


@_method
def is_shared(self: Tensor) -> bool:
    """Whether the memory is shared between processes: never."""
    return False


for _name in ("is_conj", "is_neg"):
    setattr(Tensor, _name, lambda self: False)
for _name in ("resolve_conj", "resolve_neg", "share_memory_", "pin_memory", "to_dense"):
    setattr(Tensor, _name, lambda self, *args, **kwargs: self)


@_method
def get_device(self: Tensor) -> int:
    """Index of the GPU, -1 on a CPU."""
    return self._spec.device.index if self._spec.device.kind == "gpu" else -1


@_method
def data_ptr(self: Tensor) -> int:
    """Address of the first element where the memory is the host's, else a number that is unique to the storage."""
    where = log(self)
    if self._spec.device.kind == "meta" or not self._spec.numel:
        return 0
    raw = where.host_view(self._storage.node)
    base = raw.ctypes.data if raw is not None else id(self._storage)
    return base + self._spec.offset * self._spec.dtype.itemsize


for _name, _get in {
    "T": lambda self: self.permute(*reversed(range(self._spec.ndim))) if self._spec.ndim != 2 else self.t(),
    "mT": lambda self: self.transpose(-2, -1),
    "H": lambda self: self.t() if not self._spec.dtype.is_complex else self.t().conj(),
    "mH": lambda self: self.adjoint(),
}.items():
    setattr(Tensor, _name, property(_get))
for _name, _get in {"real": ops.real, "imag": ops.imag}.items():
    setattr(Tensor, _name, property(_get, lambda self, value, part=_get: part(self).copy_(value) and None))


# -- content on the host --------------------------------------------------------------------------------------------------------
def host_copy(t: Tensor) -> np.ndarray:
    """The elements in storage format (bfloat16 as uint16), a new array of the tensor's shape."""
    seen = t._spec
    if t._storage.dtype is not seen.dtype:
        t = creation.copy_in_order(t, None)
        seen = t._spec
    if seen.contiguous and seen.numel * 4 >= t._storage.size:
        flat = log(t).read(t._storage.node)
        return flat[seen.offset : seen.offset + seen.numel].reshape(seen.shape)
    t = creation.copy_in_order(t, None)
    return log(t).read(t._storage.node).reshape(seen.shape)


def values_of(t: Tensor) -> np.ndarray:
    """The elements as a NumPy array of a dtype NumPy has (bfloat16 as float32)."""
    return dtypes.from_storage(host_copy(t), t._spec.dtype)


@_method
def item(self: Tensor) -> Any:
    """The only element as a Python number. Raises RuntimeError for other element counts."""
    seen = self._spec
    if seen.numel != 1:
        raise RuntimeError(f"a Tensor with {seen.numel} elements cannot be converted to Scalar")
    if seen.device.kind == "meta":
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")
    if self._storage.size == 1:
        raw = log(self).read(self._storage.node)
        if raw.dtype is seen.dtype.numpy and seen.dtype is not dtypes.bfloat16:
            return raw.item()
    return values_of(self).reshape(()).item()


@_method
def tolist(self: Tensor) -> Any:
    """Nested lists of Python numbers."""
    return values_of(self).tolist()


@_method
def numpy(self: Tensor, *, force: bool = False) -> np.ndarray:
    """A NumPy array over the same memory (a copy on devices whose memory is not the host's)."""
    if force:
        return self.detach().cpu().resolve_conj().numpy()
    if self._rg:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    seen = self._spec
    if seen.device.kind == "gpu":
        raise TypeError(
            f"can't convert {seen.device} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory "
            f"first."
        )
    if seen.dtype is dtypes.bfloat16:
        raise TypeError("Got unsupported ScalarType BFloat16")
    raw = log(self).host_view(self._storage.node) if self._storage.dtype is seen.dtype and seen.numel else None
    if raw is None:
        return values_of(self)
    array = raw[seen.offset :]
    seen_by_host = weakref.ref(array)
    self._storage.pin_to(self._storage.node.buffer, lambda: seen_by_host() is not None)
    self._storage.host_fresh = False
    steps = tuple(s * seen.dtype.itemsize for s in seen.stride)
    return np.lib.stride_tricks.as_strided(array, tuple(seen.shape), steps)


@_method
def __array__(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """For NumPy functions."""
    array = self.numpy()
    if dtype is not None and array.dtype != dtype:
        return array.astype(dtype)
    return array.copy() if copy else array


@_method
def __len__(self: Tensor) -> int:
    """Size of the first dimension. Raises TypeError for 0-dim tensors."""
    if not self._spec.ndim:
        raise TypeError("len() of a 0-d tensor")
    return self._spec.shape[0]


@_method
def __bool__(self: Tensor) -> bool:
    """Truth of the only element."""
    if self._spec.numel != 1:
        if self._spec.numel == 0:
            raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
        raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
    return bool(self.item())


@_method
def __int__(self: Tensor) -> int:
    return int(_scalar(self))


@_method
def __float__(self: Tensor) -> float:
    return float(_scalar(self))


@_method
def __complex__(self: Tensor) -> complex:
    return complex(_scalar(self))


@_method
def __index__(self: Tensor) -> int:
    if self._spec.numel != 1 or self._spec.floating or self._spec.dtype is dtypes.bool and self._spec.ndim:
        raise TypeError("only integer tensors of a single element can be converted to an index")
    return int(self.item())


def _scalar(t: Tensor) -> Any:
    if t._spec.numel != 1:
        raise RuntimeError(f"a Tensor with {t._spec.numel} elements cannot be converted to Scalar")
    return t.item()


@_method
def __iter__(self: Tensor) -> Iterator[Tensor]:
    """Views along the first dimension."""
    if not self._spec.ndim:
        raise TypeError("iteration over a 0-d tensor")
    return iter(self.unbind(0))


@_method
def __contains__(self: Tensor, element: Any) -> bool:
    """Whether any element equals ``element``."""
    if isinstance(element, Tensor) or is_number(element):
        return bool((element == self).any().item())
    raise RuntimeError(
        f"Tensor.__contains__ only supports Tensor or scalar, but you passed in a {type(element)}."
    )


@_method
def __hash__(self: Tensor) -> int:
    return id(self)


@_method
def __format__(self: Tensor, spec_: str) -> str:
    if not self._spec.ndim and spec_:
        return format(self.item(), spec_)
    return object.__format__(self, spec_) if not spec_ else format(str(self), spec_)


@_method
def __dir__(self: Tensor) -> list[str]:
    return sorted({*dir(type(self)), *self.__dict__})


# -- printing -------------------------------------------------------------------------------------------------------------------
def show(t: Tensor) -> str:
    """Text of a tensor as torch prints it."""
    seen = t._spec
    meta = seen.device.kind == "meta"
    grad_fn = current_grad_fn(t).name() if t._rg and t._grad_fn is not None else None
    shown_device = str(seen.device) if meta or seen.device.kind != "cpu" or seen.device.index else None

    def fetch(segments: Any) -> np.ndarray:
        part = view(t, seen)
        with _quiet():
            for d, ranges in enumerate(segments):
                pieces = [part.narrow(d, a, b - a) for a, b in ranges]
                part = pieces[0] if len(pieces) == 1 else ops.cat(pieces, d)
            return values_of(part)

    return formatting.format_tensor(
        None if meta else fetch,
        seen.dtype,
        shape=tuple(seen.shape),
        device=shown_device,
        requires_grad=t._rg,
        grad_fn=grad_fn,
        type_name="tensor" if type(t) is Tensor or getattr(type(t), "_prints_as_tensor", False) else type(t).__name__,
    )


class _quiet:
    def __enter__(self) -> None:
        self._before = mode.grad
        mode.grad = False

    def __exit__(self, *exc: object) -> None:
        mode.grad = self._before


@_method
def __repr__(self: Tensor, *, tensor_contents: Any = None) -> str:
    return show(self)


# -- operators ------------------------------------------------------------------------------------------------------------------
_NUMBERS = (int, float, bool, complex)


def _operator(name: str, op: Any, reverse: bool) -> None:
    tensors, number, side = op.tensors, op.number, ("r" if reverse else "s")

    def forward(self: Tensor, other: Any) -> Any:
        kind = type(other)
        if kind is Tensor:
            return tensors(self, other)
        if kind in _NUMBERS:
            return number(self, other, side)
        return _other(self, other)

    def backward(self: Tensor, other: Any) -> Any:
        if isinstance(other, Tensor):
            return tensors(other, self)
        if is_number(other):
            return number(self, other, "r")
        if isinstance(other, np.ndarray):
            return tensors(creation.from_array(other), self)
        return NotImplemented

    def _other(self: Tensor, other: Any) -> Any:
        if isinstance(other, Tensor):
            return tensors(self, other)
        if is_number(other):
            return number(self, other, "s")
        if isinstance(other, np.ndarray):
            return tensors(self, creation.from_array(other))
        return NotImplemented

    call = backward if reverse else forward
    call.__name__ = call.__qualname__ = name
    setattr(Tensor, name, call)


for _word, _op in {
    "add": arithmetic._add, "sub": arithmetic._sub, "mul": arithmetic._mul, "truediv": arithmetic._true_div,
    "floordiv": arithmetic._floor_div, "mod": arithmetic._remainder, "and": arithmetic.bitwise_and,
    "or": arithmetic.bitwise_or, "xor": arithmetic.bitwise_xor, "lshift": arithmetic.bitwise_left_shift,
    "rshift": arithmetic.bitwise_right_shift,
}.items():  # fmt: skip
    _operator(f"__{_word}__", _op, False)
    _operator(f"__r{_word}__", _op, True)
for _word in ("eq", "ne", "lt", "le", "gt", "ge"):
    _operator(f"__{_word}__", getattr(arithmetic, _word), False)


def _inplace_operator(name: str, method: str) -> None:
    def call(self: Tensor, other: Any) -> Tensor:
        if not isinstance(other, Tensor) and not is_number(other):
            return NotImplemented
        return getattr(self, method)(other)

    call.__name__ = name
    setattr(Tensor, name, call)


for _name, _twin in {
    "__iadd__": "add_", "__isub__": "sub_", "__imul__": "mul_", "__itruediv__": "div_", "__ifloordiv__": "floor_divide_",
    "__imod__": "remainder_", "__iand__": "bitwise_and_", "__ior__": "bitwise_or_", "__ixor__": "bitwise_xor_",
    "__ilshift__": "bitwise_left_shift_", "__irshift__": "bitwise_right_shift_",
}.items():  # fmt: skip
    _inplace_operator(_name, _twin)


@_method
def __pow__(self: Tensor, other: Any) -> Tensor:
    return arithmetic.pow(self, other)


@_method
def __rpow__(self: Tensor, other: Any) -> Tensor:
    return arithmetic.pow(other, self)


@_method
def __ipow__(self: Tensor, other: Any) -> Tensor:
    return self.pow_(other)


@_method
def __matmul__(self: Tensor, other: Any) -> Tensor:
    return ops.matmul(self, other) if isinstance(other, Tensor) else NotImplemented


@_method
def __neg__(self: Tensor) -> Tensor:
    return arithmetic.neg(self)


@_method
def __pos__(self: Tensor) -> Tensor:
    return self


@_method
def __abs__(self: Tensor) -> Tensor:
    return self.abs()


@_method
def __invert__(self: Tensor) -> Tensor:
    return arithmetic.bitwise_not(self)


Tensor.__getitem__ = indexing.getitem
Tensor.__setitem__ = indexing.setitem


# -- conversion -----------------------------------------------------------------------------------------------------------------
@_method
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


@_method
def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """On the CPU device."""
    return creation.to_device(self, "cpu")


@_method
def cuda(self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """On a GPU device. Raises NoDeviceError where there is none."""
    return creation.to_device(self, "cuda" if device is None else device)


for _name, _dtype in {
    "half": "float16", "bfloat16": "bfloat16", "float": "float32", "double": "float64", "char": "int8", "short": "int16",
    "int": "int32", "long": "int64", "byte": "uint8", "bool": "bool", "cfloat": "complex64", "cdouble": "complex128",
}.items():  # fmt: skip

    def _convert(self: Tensor, memory_format: Any = None, _to: Any = getattr(dtypes, _dtype)) -> Tensor:
        return creation.cast(self, _to)

    _convert.__name__ = _name
    setattr(Tensor, _name, _convert)


@_method
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
    for d in (getattr(dtypes, n) for n in ("float32", "float64", "float16", "bfloat16", "int8", "uint8", "int16", "int32",
                                           "int64", "bool", "complex64", "complex128")):  # fmt: skip
        if scalar_type_name(d) == kind:
            return d
    raise ValueError(f"invalid type: '{name}'")


@_method
def detach(self: Tensor) -> Tensor:
    """The same memory without the record."""
    t = view(self, self._spec)
    t._inference = self._inference
    return t


@_method
def detach_(self: Tensor) -> Tensor:
    """Drop the record in place."""
    if self._base is not None:
        raise RuntimeError("Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) "
                           "for training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, "
                           "and hence detach_() cannot be called on these gradients.")  # fmt: skip
    self._grad_fn = None
    self._rg = False
    return self


def _get_data(self: Tensor) -> Tensor:
    return view(self, self._spec)


def _set_data(self: Tensor, value: Tensor) -> None:
    self._storage = value._storage
    self._spec = value._spec


Tensor.data = property(_get_data, _set_data, doc="The same memory without the record; assigning replaces the memory.")


@_method
def as_subclass(self: Tensor, cls: Any) -> Tensor:
    """The same tensor as an instance of a subclass."""
    t = object.__new__(cls)
    t._storage, t._spec = self._storage, self._spec
    t._rg, t._grad_fn, t._out_nr, t._base, t._seen = self._rg, self._grad_fn, self._out_nr, self._base, self._seen
    return t


@_method
def set_(self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None) -> Tensor:
    """Take over another tensor's storage and shape."""
    if source is None:
        empty = creation.zeros_of((0,), self._spec.dtype, self._spec.device)
        self._storage, self._spec = empty._storage, empty._spec
        return self
    if isinstance(source, UntypedStorage):
        self._storage = source._storage
        self._spec = spec(self._spec.dtype, self._spec.device, tuple(size or (self._storage.size,)), stride, storage_offset)
        return self
    self._storage, self._spec = source._storage, source._spec
    if size is not None:
        self._spec = spec(source._spec.dtype, source._spec.device, tuple(size), stride, storage_offset)
    return self


@_method
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both are the same view of the same storage."""
    return self._storage is tensor._storage and self._spec is tensor._spec


@_method
def resize_(self: Tensor, *sizes: Any, memory_format: Any = None) -> Tensor:
    """Another size in place; memory grows if need be."""
    return creation.resize(self, creation.sizes_of(sizes, "resize_"))


@_method
def resize_as_(self: Tensor, other: Tensor, memory_format: Any = None) -> Tensor:
    """Another tensor's size, in place."""
    return creation.resize(self, tuple(other._spec.shape))


@_method
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
    for d in (getattr(dtypes, n) for n in ("float32", "float64", "float16", "bfloat16", "int8", "uint8", "int16", "int32",
                                           "int64", "bool"))  # fmt: skip
}


# -- storage --------------------------------------------------------------------------------------------------------------------
class UntypedStorage:
    """The bytes behind tensors."""

    def __init__(self, storage: Any, device: Device) -> None:
        self._storage = storage
        self.device = device

    def nbytes(self) -> int:
        """Size in bytes."""
        return self._storage.nbytes

    size = nbytes

    def __len__(self) -> int:
        return self._storage.nbytes

    def data_ptr(self) -> int:
        """Address, or a number unique to the storage."""
        raw = log_of(self.device).host_view(self._storage.node) if self._storage.size else None
        return raw.ctypes.data if raw is not None else id(self._storage)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntypedStorage) and other._storage is self._storage

    def __hash__(self) -> int:
        return id(self._storage)


@_method
def untyped_storage(self: Tensor) -> UntypedStorage:
    """The storage."""
    return UntypedStorage(self._storage, self._spec.device)


@_method
def storage(self: Tensor) -> UntypedStorage:
    """The storage."""
    return UntypedStorage(self._storage, self._spec.device)


@_method
def storage_type(self: Tensor) -> Any:
    """The class of the storage."""
    return UntypedStorage


@_method
def realize(self: Tensor) -> Tensor:
    """Compute now what is pending for this tensor (enqueued, not waited for)."""
    log(self).realize(self._storage.node)
    return self


# -- autograd -------------------------------------------------------------------------------------------------------------------
def _get_rg(self: Tensor) -> bool:
    if self._base is not None and not self._rg:
        current_grad_fn(self)
    return self._rg


def _set_rg(self: Tensor, value: bool) -> None:
    requires_grad_(self, value)


Tensor.requires_grad = property(_get_rg, _set_rg, doc="Whether gradients flow to this tensor.")


@_method
def requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Switch recording for a leaf."""
    if requires_grad and not self._spec.floating:
        raise RuntimeError("only Tensors of floating point dtype can require gradients")
    if self._grad_fn is not None and not requires_grad:
        raise RuntimeError(
            "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph "
            "that doesn't require differentiation use var_no_grad = var.detach()."
        )
    if requires_grad and self._inference and not mode.inference:
        raise RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.")
    self._rg = bool(requires_grad)
    return self


def _get_grad_fn(self: Tensor) -> GradFn | None:
    return current_grad_fn(self) if self._base is not None else self._grad_fn


Tensor.grad_fn = property(_get_grad_fn, doc="The recorded function that made this tensor; None for leaves.")


def _get_grad(self: Tensor) -> Tensor | None:
    return self._grad


def _set_grad(self: Tensor, value: Tensor | None) -> None:
    if value is not None:
        if not isinstance(value, Tensor):
            raise TypeError(f"assigned grad expected to be a Tensor or None but got grad of type {value.__class__.__name__}")
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        if value._spec.dtype is not self._spec.dtype:
            raise RuntimeError(
                f"assigned grad has data of a different type: expected {self.type()} but got {value.type()}"
            )
        if value._spec.device is not self._spec.device:
            raise RuntimeError("assigned grad has data located on a different device")
        if value._spec.shape != self._spec.shape:
            raise RuntimeError("assigned grad has data of a different size")
    if Capture.active is not None:
        Capture.active.touch(self)
    self._grad = value


def _del_grad(self: Tensor) -> None:
    self._grad = None


Tensor.grad = property(_get_grad, _set_grad, _del_grad, doc="The accumulated gradient, or None.")


@_method
def backward(
    self: Tensor, gradient: Tensor | None = None, retain_graph: bool | None = None, create_graph: bool = False,
    inputs: Any = None,
) -> None:  # fmt: skip
    """Accumulate the gradient of this tensor into the leaves."""
    run_backward(self, gradient, retain_graph, create_graph, inputs=inputs)


@_method
def retain_grad(self: Tensor) -> None:
    """Keep this tensor's gradient in ``.grad`` although it is not a leaf."""
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    if self.grad_fn is None or self._retain:
        return
    self._retain = True
    retain(self)


@_method
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


@_method
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


@_method
def record_stream(self: Tensor, stream: Any) -> None:
    """Nothing to do: the queue keeps memory in order."""


# -- copying and pickling -------------------------------------------------------------------------------------------------------
@_method
def __deepcopy__(self: Tensor, memo: dict) -> Tensor:
    found = memo.get(id(self))
    if found is not None:
        return found
    if self._grad_fn is not None:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If you "
            "were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, see "
            "https://github.com/pytorch/pytorch/pull/103001"
        )
    with _quiet():
        copied = memo.get(id(self._storage))
        if copied is None:
            flat = view(self, spec(self._storage.dtype, self._spec.device, (self._storage.size,)))
            copied = memo[id(self._storage)] = creation.copy_in_order(flat, None)
    t = object.__new__(self.__class__)
    t._storage, t._spec = copied._storage, self._spec
    t._rg = self._rg
    memo[id(self)] = t
    if self._grad is not None:
        t._grad = __deepcopy__(self._grad, memo)
    return t


@_method
def __reduce_ex__(self: Tensor, protocol: Any) -> tuple:
    if self._grad_fn is not None:
        raise RuntimeError("Only Tensors created explicitly by the user (graph leaves) support pickling of their record")
    return _rebuild, (host_copy(self), self._spec.dtype.name, str(self._spec.device), self._rg)


def _rebuild(array: np.ndarray, dtype: str, device: str, requires_grad: bool) -> Tensor:
    t = creation.from_array(array, getattr(dtypes, dtype), device)
    t._rg = requires_grad
    return t


__all__ = ["LEGACY_TYPES", "Tensor", "UntypedStorage"]
