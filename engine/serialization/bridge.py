"""What files need to know of tensors, storages and devices: the one place that depends on how these are made."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import dtypes, opencl
from engine import layout as layouts
from engine.autograd.variable import Tensor, view
from engine.device import device as Device
from engine.device import get_default_device
from engine.errors import NoDeviceError
from engine.graph.log import log_of
from engine.graph.node import Storage, leaf
from engine.graph.spec import Size, spec
from engine.nn.parameter import Parameter
from engine.tensor import UntypedStorage

from .storages import LoadedStorage

TENSOR: type = Tensor
PARAMETER: type = Parameter
SIZE: type = Size
DEVICE: type = Device
LAYOUT: type = layouts.layout

# From here on NumPy asks for huge pages. The kernel reads a file into fresh small pages at least as fast, and several
# times faster on virtual machines whose huge pages the host has yet to provide.
_LARGE = 4 << 20
_ALIGNMENT = 64  # kernels read whole vectors
_new = object.__new__


@dataclass(slots=True)
class StorageParts:
    """A storage to be written: an identity that storages share only if they are one, its size, and where it lives.

    read: gives all of its bytes, as a contiguous array.
    """

    key: Hashable
    nbytes: int
    location: str
    read: Callable[[], np.ndarray]


@dataclass(slots=True)
class TensorParts:
    """A tensor to be written: its storage (None on the "meta" device) and how it looks at it, in elements."""

    storage: StorageParts | None
    dtype: dtypes.dtype
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    requires_grad: bool


def file_classes() -> dict[str, Any]:
    """Classes and functions that any file may name, by torch's full name."""
    return {
        "torch.Tensor": Tensor,
        "torch.nn.parameter.Parameter": Parameter,
        "torch.Size": Size,
        "torch.device": device_from_file,
        "torch.serialization._get_layout": _get_layout,
    }


def _get_layout(name: str) -> Any:
    """The layout object of a name like "torch.strided". ValueError for those that this library does not have."""
    if name != str(layouts.strided):
        raise ValueError(f"tensors of layout {name} are not supported")
    return layouts.strided


def is_tensor(obj: Any) -> bool:
    """Whether it is a tensor of any class."""
    return isinstance(obj, Tensor)


# -- tensors to files ------------------------------------------------------------------------------------------------


def describe(tensor: Tensor) -> TensorParts:
    """The parts of a tensor; nothing is computed or copied yet."""
    seen = tensor._spec
    storage = None if seen.device.kind == "meta" else _storage_parts(tensor._storage, seen.device)
    return TensorParts(
        storage, seen.dtype, seen.offset, tuple(seen.shape), tuple(seen.stride), bool(tensor.requires_grad)
    )


def reduces_itself(tensor: Tensor) -> bool:
    """Whether its class says in a way of its own how it is pickled."""
    own = type(tensor).__reduce_ex__
    return own is not Tensor.__reduce_ex__ and own is not Parameter.__reduce_ex__


def is_storage(obj: Any) -> bool:
    """Whether it is the storage object of a tensor."""
    return isinstance(obj, UntypedStorage)


def describe_storage(storage: UntypedStorage) -> StorageParts:
    """The parts of a storage object."""
    return _storage_parts(storage._storage, storage.device)


def _storage_parts(storage: Storage, device: Device) -> StorageParts:
    return StorageParts(id(storage), storage.nbytes, str(device.canonical), lambda: _storage_bytes(storage, device))


def _storage_bytes(storage: Storage, device: Device) -> np.ndarray:
    """All bytes of a storage: its own memory where the host sees it."""
    log = log_of(device)
    values = log.host_view(storage.node)
    if values is None:
        values = log.read(storage.node)
    return values.view(np.uint8)


def contiguous_bytes(tensor: Tensor) -> np.ndarray:
    """The bytes of a tensor's elements in row-major order, as a flat array."""
    seen = tensor._spec
    if seen.numel == 0:
        return np.empty(0, np.uint8)
    raw = _storage_bytes(tensor._storage, seen.device)
    size = seen.dtype.itemsize
    flat = raw[: raw.nbytes // size * size].view(seen.dtype.numpy)
    strides = [step * size for step in seen.stride]
    seen_through = np.lib.stride_tricks.as_strided(flat[seen.offset :], tuple(seen.shape), strides)
    return np.ascontiguousarray(seen_through).reshape(-1).view(np.uint8)


def data_of(tensor: Tensor) -> Tensor:
    """A plain tensor over the same storage, without gradient."""
    return view(tensor, tensor._spec)


def python_state(tensor: Tensor) -> dict[str, Any] | None:
    """Attributes that the user set on a tensor; None if there are none."""
    return {name: value for name, value in vars(tensor).items() if not name.startswith("_")} or None


def device_arguments(device: Device) -> tuple:
    """Arguments of torch.device for a device."""
    where = device if device.type == "meta" else device.canonical
    return (where.type,) if device.index is None else (where.type, device.index)


def device_from_file(*args: Any) -> Device:
    """The device of a pickled torch.device."""
    return Device(*args)


# -- files to tensors ------------------------------------------------------------------------------------------------


def check_location(location: str) -> str | None:
    """The canonical name of a device named in a file or by the user; None if it is no name of a device.

    RuntimeError if there is no such device. "cpu" is the default device where there is no CPU device.
    """
    try:
        device = Device(location).canonical
    except RuntimeError:
        return None
    if device.kind == "meta":
        return "meta"
    if _exists(device):
        return str(device)
    if device.kind == "cpu" and device.index is None:
        return str(get_default_device())
    if not _exists(Device("cuda", 0)):
        raise RuntimeError(
            "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is False. If you are "
            "running on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to map your "
            "storages to the CPU."
        )
    raise RuntimeError(
        f"Attempting to deserialize object on CUDA device {device.index} but there is no such device. Please use "
        "torch.load with map_location to map your storages to an existing device."
    )


def _exists(device: Device) -> bool:
    try:
        opencl.find(f"{device.kind}:{device.index or 0}")
    except NoDeviceError:
        return False
    return True


def _small_pages(nbytes: int) -> mmap.mmap:
    """Fresh memory of this process alone."""
    if hasattr(mmap, "MAP_ANONYMOUS"):
        return mmap.mmap(-1, nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return mmap.mmap(-1, nbytes)


def empty_host(nbytes: int, location: str | None = None) -> tuple[np.ndarray, Any]:
    """Memory to read a storage into, as a flat uint8 array, and its owner.

    Where the host sees the memory of the device named by `location`, it is the memory in which the storage will live,
    and the owner is its buffer; elsewhere it is the host's and the owner None.
    """
    memory = np.frombuffer(_small_pages(nbytes), np.uint8) if nbytes >= _LARGE else None
    if nbytes and location not in (None, "meta"):
        runtime = log_of(Device(location)).runtime
        buffer = runtime.memory.wrap(memory) if memory is not None else None
        if buffer is not None:
            return memory, buffer
        if runtime.memory.host_visible:
            buffer = runtime.memory.alloc(nbytes)
            shared = buffer.host_array()
            if shared is not None:
                runtime.queue.finish()  # commands that used this memory before
                return shared, buffer
    return (np.empty(nbytes, np.uint8) if memory is None else memory), None


def make_storage(loaded: LoadedStorage, dtype: dtypes.dtype) -> tuple[Storage, Device]:
    """The storage that a loaded one becomes, as elements of `dtype`, and its device."""
    device = Device(loaded.location).canonical
    log = log_of(device)
    count = loaded.nbytes() // dtype.itemsize
    if device.kind == "meta":
        return Storage(leaf(None, dtype, device, count)), device
    if loaded.owner is not None and loaded.owner.pool is log.runtime.memory:
        return Storage(leaf(loaded.owner, dtype, device, count)), device
    aligned = loaded.data.ctypes.data % _ALIGNMENT == 0
    buffer = log.runtime.memory.wrap(loaded.data) if loaded.mapped and aligned else None
    if buffer is not None:
        return Storage(leaf(buffer, dtype, device, count)), device
    values = loaded.data[: count * dtype.itemsize]
    return Storage(log.from_array(values.view(dtype.numpy), dtype)), device


def rebuild_tensor(
    made: tuple[Storage, Device], dtype: dtypes.dtype, offset: int, size: tuple[int, ...], stride: tuple[int, ...]
) -> Tensor:
    """A tensor over a storage made by `make_storage`. The caller has checked that it stays inside."""
    storage, device = made
    tensor = _new(Tensor)
    tensor._storage = storage
    tensor._spec = spec(dtype, device, size, stride, offset)
    return tensor


def rebuild_meta_tensor(dtype: dtypes.dtype, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """A tensor on the "meta" device."""
    device = Device("meta")
    reach = 0 if 0 in size else 1 + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    return rebuild_tensor((Storage(leaf(None, dtype, device, reach)), device), dtype, 0, size, stride)


def require_grad(tensor: Tensor) -> Tensor:
    """Let gradients flow to it. RuntimeError unless it is floating or complex."""
    return tensor.requires_grad_()


def make_parameter(tensor: Tensor, requires_grad: bool) -> Parameter:
    """A parameter over the storage of a tensor."""
    return Parameter(tensor, requires_grad)


def apply_metadata(tensor: Tensor, metadata: dict[str, bool]) -> Tensor:
    """Carry out what torch leaves undone in memory: conjugation and negation."""
    if metadata.get("conj"):
        tensor = tensor.conj_physical()
    return tensor.neg() if metadata.get("neg") else tensor


def convert_tensor(tensor: Tensor, dtype: dtypes.dtype, device: str) -> Tensor:
    """The tensor as another dtype on another device."""
    return tensor.to(dtype=dtype, device=device)


def as_subclass(tensor: Tensor, cls: type) -> Tensor:
    """The same tensor as an object of a subclass of Tensor. TypeError for other classes."""
    if type(tensor) is cls:
        return tensor
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise TypeError(f"expected a class of tensors, but got {cls}")
    other = _new(cls)
    vars(other).update(vars(tensor))
    return other


def set_python_state(tensor: Tensor, state: Any) -> Tensor:
    """Set the attributes that `python_state` gave, or those of an object's dict and slots."""
    for part in state if isinstance(state, tuple) else (state,):
        for name, value in (part or {}).items():
            if not isinstance(name, str) or name.startswith("_"):
                raise ValueError(f"{name!r} is no attribute of a tensor that a file may set")
            setattr(tensor, name, value)
    return tensor
