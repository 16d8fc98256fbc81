"""Writing objects as pickles that torch reads: tensors by torch's rebuild functions, classes by torch's names."""

from __future__ import annotations

import functools
import pickle
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import IO, Any, ClassVar

from engine import dtypes

from . import bridge, names, rebuild
from .storages import UNTYPED_DTYPES

PROTOCOL = 2


class Global:
    """A class or function of torch, by name."""

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name

    def __call__(self) -> None:
        """Only here because pickle wants the function of a reduction to be callable."""
        raise TypeError(f"{self.module}.{self.name} is only a name")


@functools.cache
def named(module: str, name: str) -> Global:
    """The one `Global` of a name, so that a pickle spells it once."""
    return Global(module, name)


class StorageReference:
    """Stands in a pickle for a storage; becomes its persistent id."""

    __slots__ = ("pid",)

    def __init__(self, pid: tuple) -> None:
        self.pid = pid


class StorageTable:
    """The storages met while pickling, numbered in order of appearance.

    legacy: persistent ids of the older format, which have one more field.
    """

    def __init__(self, legacy: bool = False) -> None:
        self._legacy = legacy
        self._keys: dict[Any, str] = {}
        self._dtypes: dict[Any, dtypes.dtype] = {}
        self._item_sizes: dict[str, int] = {}
        self.contents: dict[str, bridge.StorageParts] = {}
        """What is to be written for each key."""

    def item_size(self, key: str) -> int:
        """Bytes of an element of a storage, as its record in a legacy file counts them."""
        return self._item_sizes[key]

    def reference(self, storage: bridge.StorageParts, dtype: dtypes.dtype | None) -> StorageReference:
        """The stand-in for a storage seen as elements of `dtype` (None: as bytes).

        RuntimeError if it was seen as another type.
        """
        untyped = dtype is None or dtype in UNTYPED_DTYPES
        kind = dtypes.uint8 if untyped else dtype
        seen = self._dtypes.setdefault(storage.key, kind)
        if storage.nbytes and seen is not kind:
            raise RuntimeError("Cannot save multiple tensors or storages that view the same data as different types")
        key = self._keys.setdefault(storage.key, str(len(self._keys)))
        self.contents.setdefault(key, storage)
        self._item_sizes[key] = kind.itemsize
        name = named("torch.storage", "UntypedStorage") if untyped else named("torch", f"{dtype.scalar_name}Storage")
        pid = ("storage", name, key, sys.intern(storage.location), storage.nbytes // kind.itemsize)
        return StorageReference((*pid, None) if self._legacy else pid)


def reduce_tensor(tensor: Any, table: StorageTable) -> tuple:
    """The reduction (function, arguments) of a tensor or parameter, as torch writes it."""
    state = bridge.python_state(tensor)
    if issubclass(type(tensor), bridge.PARAMETER):
        args = (bridge.data_of(tensor), tensor.requires_grad, OrderedDict())
        if state:
            return named("torch._utils", "_rebuild_parameter_with_state"), (*args, state)
        return named("torch._utils", "_rebuild_parameter"), args
    function, args = _reduce_plain(tensor, table)
    if type(tensor) is bridge.TENSOR and not state:
        return function, args
    return named("torch._tensor", "_rebuild_from_type_v2"), (function, type(tensor), args, state)


def _reduce_plain(tensor: Any, table: StorageTable) -> tuple:
    parts = bridge.describe(tensor)
    if parts.storage is None:
        meta = (parts.dtype, parts.shape, parts.strides, parts.requires_grad)
        return named("torch._utils", "_rebuild_meta_tensor_no_storage"), meta
    reference = table.reference(parts.storage, parts.dtype)
    args = (reference, parts.offset, parts.shape, parts.strides, parts.requires_grad, OrderedDict())
    if parts.dtype in UNTYPED_DTYPES:
        return named("torch._utils", "_rebuild_tensor_v3"), (*args, parts.dtype)
    return named("torch._utils", "_rebuild_tensor_v2"), args


class _Writer:
    """What a pickler needs to write this library's objects; mixed into a pickler class."""

    table: StorageTable

    def persistent_id(self, obj: Any) -> Any:
        if bridge.is_storage(obj):
            return self.table.reference(bridge.describe_storage(obj), None).pid
        return obj.pid if type(obj) is StorageReference else None

    def reducer_override(self, obj: Any) -> Any:
        if bridge.is_tensor(obj):
            return NotImplemented if bridge.reduces_itself(obj) else reduce_tensor(obj, self.table)
        kind = type(obj)
        if kind is bridge.SIZE:
            return named("torch", "Size"), (tuple(obj),)
        if kind is bridge.DEVICE:
            return named("torch", "device"), bridge.device_arguments(obj)
        if kind is bridge.LAYOUT:
            return named("torch.serialization", "_get_layout"), (str(obj),)
        return NotImplemented


def _written_as(obj: Any, name: str | None) -> tuple[str, str] | None:
    if isinstance(obj, Global):
        return obj.module, obj.name
    if isinstance(obj, dtypes.dtype):
        return "torch", obj.name
    qualified = name or getattr(obj, "__qualname__", "")
    module = getattr(obj, "__module__", None)
    if not qualified or "." in qualified or not isinstance(module, str):
        return None
    return names.written_name(module, qualified)


class _NamingWriter(_Writer):
    """The same for picklers written in Python, whose way of writing names can be replaced."""

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write the name of a class, function, dtype or `Global`."""
        found = _written_as(obj, name)
        if found is None:
            super().save_global(obj, name)  # type: ignore[misc]
            return
        module, name = found
        if self.proto >= 4:  # type: ignore[attr-defined]
            self.save(module)  # type: ignore[attr-defined]
            self.save(name)  # type: ignore[attr-defined]
            self.write(pickle.STACK_GLOBAL)  # type: ignore[attr-defined]
        else:
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())  # type: ignore[attr-defined]
        self.memoize(obj)  # type: ignore[attr-defined]


class StandardWriter(_NamingWriter, pickle._Pickler):
    """The standard pickler with this library's objects; plain values take a short way, as there are many of them."""

    dispatch: ClassVar[dict[type, Callable]]

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        """Write one object."""
        kind = type(obj)
        if self.proto >= 4 or kind not in _PLAIN:
            super().save(obj, save_persistent_id)
            return
        known = self.memo.get(id(obj))
        if known is not None:
            self.write(self.get(known[0]))
        else:
            self.dispatch[kind](self, obj)


_PLAIN = frozenset((str, int, float, bool, type(None), tuple, list, dict, Global))


def _save_short_integer(pickler: Any, obj: int) -> None:
    """The commonest integers first; as pickle itself writes them."""
    if 0 <= obj < 256:
        pickler.write(pickle.BININT1 + bytes((obj,)))
    elif 0 <= obj < 65536:
        pickler.write(pickle.BININT2 + struct.pack("<H", obj))
    else:
        pickler.save_long(obj)


def _dispatch(base: type) -> dict[type, Callable]:
    return {**base.dispatch, Global: _NamingWriter.save_global, dtypes.dtype: _NamingWriter.save_global}


StandardWriter.dispatch = {
    **_dispatch(pickle._Pickler),
    FunctionType: _NamingWriter.save_global,
    int: _save_short_integer,
}


def pickler_class(module: ModuleType) -> type:
    """A pickler that writes this library's objects, made from the one of `pickle` or of a module like it.

    Picklers written in C (other than the standard one, which has a twin in Python) cannot write foreign names: their
    files are read by this library only.
    """
    if module is pickle:
        return StandardWriter
    base = module.Pickler
    if issubclass(base, pickle._Pickler):
        return type("Pickler", (_NamingWriter, base), {"dispatch": _dispatch(base)})
    return type("Pickler", (_Writer, base), {"reducer_override": _reduce_by_function})


def _reduce_by_function(self: Any, obj: Any) -> Any:
    """`reducer_override` for picklers that only write what they can import."""
    if isinstance(obj, Global):
        return rebuild.find_global, (obj.module, obj.name)
    reduction = _Writer.reducer_override(self, obj)
    if reduction is NotImplemented:
        return reduction
    function, args = reduction
    return rebuild.call_global, (function.module, function.name, args)


def dump(obj: Any, file: IO[bytes], table: StorageTable, module: ModuleType, protocol: int) -> None:
    """Pickle `obj`; its storages go to `table`."""
    pickler = pickler_class(module)(file, protocol=protocol)
    pickler.table = table
    pickler.dump(obj)
