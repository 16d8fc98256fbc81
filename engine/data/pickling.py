"""Pickling for workers: what another process cannot import goes by value.

Functions and classes of ``__main__``, of functions' bodies (lambdas included) and of modules that are not on the import
path have no name under which a fresh process could find them. They are taken apart (code object, the globals it names,
closure, class body) and put together again in the worker, so a loader works from a script without an
``if __name__ == "__main__"`` guard, from a notebook and with a lambda as ``collate_fn``. The worker never runs the
user's main module. Everything importable goes by name, as usual.

A by-value class keeps a token. A worker's results name the class by that token, so in the parent they are instances of
the parent's own class.
"""

from __future__ import annotations

import abc
import builtins
import dataclasses
import dis
import enum
import functools
import importlib
import io
import itertools
import marshal
import os
import pickle
import sys
import types
import typing
import weakref
from collections.abc import Callable
from typing import Any

_GLOBAL_OPS = {"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME"}
# Parts of a class body that creating the class makes anew.
_MADE_BY_CLASS = {
    "__dict__", "__weakref__", "__module__", "__qualname__", "__slots__", "__orig_bases__", "__doc__",
    "__abstractmethods__", "_abc_impl", "__annotations__", "__annotate__", "__annotate_func__",
    "__annotations_cache__", "__static_attributes__", "__firstlineno__", "__parameters__", "__classcell__",
}  # fmt: skip
_DATACLASS_MARKS = {
    id(getattr(dataclasses, name)): name
    for name in ("_FIELD", "_FIELD_CLASSVAR", "_FIELD_INITVAR", "_HAS_DEFAULT_FACTORY", "MISSING", "KW_ONLY")
    if hasattr(dataclasses, name)
}
_NAMED_TYPES = {value: name for name, value in vars(types).items() if isinstance(value, type)}

_numbers = itertools.count()
_tokens: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()  # parent: object -> token
_originals: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()  # parent: token -> object
_rebuilt: dict[int, tuple[Any, int]] = {}  # worker: id -> (object, its token)
_modules_made: dict[str, types.ModuleType] = {}  # worker: stand-ins for modules that only the parent has


class ByValuePickler(pickle.Pickler):
    """Pickles objects for a process that cannot import all they are made of.

    ``modules`` collects the names of the modules that the pickle refers to.
    """

    def __init__(self, file: io.BytesIO, buffer_callback: Callable | None = None) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)
        self.modules: set[str] = set()
        self._namespaces: dict[int, _Namespace] = {}

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if isinstance(obj, type) or kind is types.FunctionType or kind is functools._lru_cache_wrapper:
            if found_by_name(obj):
                self.modules.add(obj.__module__)
                return NotImplemented
            if kind is types.FunctionType:
                return self._function(obj)
            if kind is functools._lru_cache_wrapper:
                return _reduce_cached(obj)
            return (_named_type, (_NAMED_TYPES[obj],)) if obj in _NAMED_TYPES else self._class(obj)
        if kind is types.ModuleType:
            self.modules.add(obj.__name__)
        reduce = _REDUCERS.get(kind)
        return NotImplemented if reduce is None else reduce(obj)

    def _function(self, function: types.FunctionType) -> tuple:
        code, values = function.__code__, function.__globals__
        namespace = self._namespaces.setdefault(id(values), _Namespace(values))
        used = {name: values[name] for name in sorted(_global_names(code)) if name in values}
        cells = function.__closure__ or ()
        state = {
            "globals": used,
            "cells": [_cell_value(cell) for cell in cells],
            "defaults": function.__defaults__,
            "kwdefaults": function.__kwdefaults__,
            "dict": function.__dict__,
            "module": function.__module__,
            "qualname": function.__qualname__,
            "doc": function.__doc__,
        }
        made = (marshal.dumps(code), namespace, function.__name__, cells, _token(function))
        return _make_function, made, state, None, None, _fill_function

    def _class(self, cls: type) -> tuple:
        body = {
            name: cls.__dict__[name]
            for name in ("__module__", "__qualname__", "__slots__", "__doc__", "__orig_bases__")
            if name in cls.__dict__
        }
        home = sys.modules.get(cls.__module__)
        namespace = None
        if home is not None and getattr(home, cls.__name__, None) is cls:
            namespace = self._namespaces.setdefault(id(vars(home)), _Namespace(vars(home)))
        made = (type(cls), cls.__name__, cls.__bases__, body, namespace, _token(cls))
        if isinstance(cls, enum.EnumMeta):
            members = {name: member.value for name, member in cls.__members__.items()}
            return _make_enum, (*made, members), _enum_state(cls), None, None, _fill_class
        state = {
            name: value
            for name, value in cls.__dict__.items()
            if name not in _MADE_BY_CLASS
            and not isinstance(value, (types.MemberDescriptorType, types.GetSetDescriptorType))
        }
        return _make_class, made, state, None, None, _fill_class


class ByTokenPickler(pickle.Pickler):
    """A worker's pickler: functions and classes that came by value go back as the parent's originals."""

    def __init__(self, file: io.BytesIO, buffer_callback: Callable | None = None) -> None:
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)

    def reducer_override(self, obj: Any) -> Any:
        rebuilt = _rebuilt.get(id(obj))
        return NotImplemented if rebuilt is None else (_original, (rebuilt[1],))


def found_by_name(obj: Any) -> bool:
    """Whether a fresh process can import ``obj`` by its module and qualified name."""
    module_name, qualname = getattr(obj, "__module__", None), getattr(obj, "__qualname__", None)
    if not isinstance(module_name, str) or not isinstance(qualname, str) or not importable(module_name):
        return False
    found: Any = sys.modules.get(module_name)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found is obj


def importable(name: str) -> bool:
    """Whether a fresh process with the same ``sys.path`` finds the module that is loaded here as ``name``."""
    module = sys.modules.get(name)
    if module is None or name in ("__main__", "__mp_main__"):
        return False
    top = name.partition(".")[0]
    return _finds(top, getattr(sys.modules.get(top), "__file__", None), tuple(sys.path))


@functools.lru_cache(maxsize=4096)
def _finds(top: str, file: str | None, path: tuple[str, ...]) -> bool:
    for finder in sys.meta_path:
        # Finder classes are there in any process; instances (a test runner's import hook, say) belong to this one.
        find = getattr(finder, "find_spec", None) if isinstance(finder, type) else None
        spec = find(top, None) if find else None
        if spec is not None:
            if file is None or not spec.has_location:  # a namespace package, or built in
                return True
            return os.path.realpath(spec.origin or file) == os.path.realpath(file)
    return False


class _Namespace:
    """The globals of by-value functions: one dict in the worker for each dict here."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def __reduce__(self) -> tuple:
        return _make_namespace, (self.values.get("__name__", "__main__"), self.values.get("__file__"))


def _token(obj: Any) -> int:
    token = _tokens.get(obj)
    if token is None:
        token = _tokens[obj] = next(_numbers)
        _originals[token] = obj
    return token


def _global_names(code: types.CodeType) -> set[str]:
    names = {step.argval for step in dis.get_instructions(code) if step.opname in _GLOBAL_OPS}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _global_names(constant)
    return names


def _cell_value(cell: types.CellType) -> tuple:
    try:
        return (cell.cell_contents,)
    except ValueError:  # not assigned yet
        return ()


def _enum_state(cls: type) -> dict[str, Any]:
    own = (types.FunctionType, property, classmethod, staticmethod)
    kept = {name: value for name, value in cls.__dict__.items() if isinstance(value, own)}
    return {name: value for name, value in kept.items() if name not in ("__new__", "_generate_next_value_")}


def _make_namespace(name: str, file: str | None) -> dict[str, Any]:
    module = _modules_made.get(name)
    if module is None:
        module = _modules_made[name] = types.ModuleType(name)
        module.__file__ = file
        module.__dict__["__builtins__"] = builtins
        # Under its name, so that pickles made inside the worker (by the user's code) find its classes.
        if name == "__main__" or name not in sys.modules:
            sys.modules[name] = module
    return vars(module)


def _make_function(code: bytes, namespace: dict, name: str, cells: tuple, token: int) -> types.FunctionType:
    function = types.FunctionType(marshal.loads(code), namespace, name, None, cells or None)
    _rebuilt[id(function)] = (function, token)
    return function


def _fill_function(function: types.FunctionType, state: dict[str, Any]) -> None:
    function.__globals__.update(state["globals"])
    for cell, value in zip(function.__closure__ or (), state["cells"]):
        if value:
            cell.cell_contents = value[0]
    function.__defaults__ = state["defaults"]
    function.__kwdefaults__ = state["kwdefaults"]
    function.__dict__.update(state["dict"])
    function.__module__ = state["module"]
    function.__qualname__ = state["qualname"]
    function.__doc__ = state["doc"]


def _make_class(meta: type, name: str, bases: tuple, body: dict, namespace: dict | None, token: int) -> type:
    slots = body.get("__slots__")
    if slots is not None and not isinstance(slots, str):
        body = {**body, "__slots__": tuple(slots)}
    cls = types.new_class(name, bases, {"metaclass": meta}, lambda made: made.update(body))
    return _known(cls, name, namespace, token)


def _make_enum(
    meta: type, name: str, bases: tuple, body: dict, namespace: dict | None, token: int, members: dict
) -> type:
    made = meta.__prepare__(name, bases)
    for key, value in {**body, **members}.items():
        made[key] = value
    return _known(meta(name, bases, made), name, namespace, token)


def _known(cls: type, name: str, namespace: dict | None, token: int) -> type:
    _rebuilt[id(cls)] = (cls, token)
    if namespace is not None:
        namespace[name] = cls
    return cls


def _fill_class(cls: type, state: dict[str, Any]) -> None:
    for name, value in state.items():
        setattr(cls, name, value)
    if isinstance(cls, abc.ABCMeta):
        abc.update_abstractmethods(cls)


def _original(token: int) -> Any:
    return _originals[token]


def _named_type(name: str) -> type:
    return getattr(types, name)


def _make_cached(function: Callable, maxsize: int | None, typed: bool) -> Callable:
    return functools.lru_cache(maxsize, typed)(function)


def _make_cached_property(function: Callable, name: str | None) -> functools.cached_property:
    made = functools.cached_property(function)
    made.attrname = name
    return made


def _make_type_variable(name: str, bound: Any, constraints: tuple, covariant: bool, contravariant: bool) -> Any:
    return typing.TypeVar(name, *constraints, bound=bound, covariant=covariant, contravariant=contravariant)


def _dataclass_mark(name: str) -> Any:
    return getattr(dataclasses, name)


def _reduce_module(module: types.ModuleType) -> tuple:
    if importable(module.__name__):
        return importlib.import_module, (module.__name__,)
    raise pickle.PicklingError(f"module {module.__name__!r} cannot be imported by another process")


def _reduce_cached(obj: Any) -> tuple:
    parameters = obj.cache_parameters()
    return _make_cached, (obj.__wrapped__, parameters["maxsize"], parameters["typed"])


def _reduce_mark(obj: Any) -> tuple:
    name = _DATACLASS_MARKS.get(id(obj))
    return NotImplemented if name is None else (_dataclass_mark, (name,))


_REDUCERS: dict[type, Callable[[Any], Any]] = {
    types.CellType: lambda cell: (types.CellType, ()),  # filled with the function that holds it
    types.CodeType: lambda code: (marshal.loads, (marshal.dumps(code),)),
    types.ModuleType: _reduce_module,
    types.MappingProxyType: lambda proxy: (types.MappingProxyType, (dict(proxy),)),
    property: lambda prop: (property, (prop.fget, prop.fset, prop.fdel, prop.__doc__)),
    classmethod: lambda method: (classmethod, (method.__func__,)),
    staticmethod: lambda method: (staticmethod, (method.__func__,)),
    functools.cached_property: lambda prop: (_make_cached_property, (prop.func, prop.attrname)),
    typing.TypeVar: lambda var: (
        _make_type_variable,
        (var.__name__, var.__bound__, var.__constraints__, var.__covariant__, var.__contravariant__),
    ),
} | {type(getattr(dataclasses, name)): _reduce_mark for name in _DATACLASS_MARKS.values()}
