"""torch.overrides: tensor subclasses and modes that see every call.

A subclass of Tensor (other than Parameter and its kin) gets methods that go through ``__torch_function__``; from the
moment the first one is defined, the functions of the public namespaces do so too. Programs without subclasses run the
plain functions.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable, Iterable
from types import FunctionType, ModuleType
from typing import Any

from .autograd.variable import Tensor

__all__ = [
    "BaseTorchFunctionMode",
    "DisableTorchFunction",
    "DisableTorchFunctionSubclass",
    "TorchFunctionMode",
    "enable_reentrant_dispatch",
    "get_default_nowrap_functions",
    "get_ignored_functions",
    "get_overridable_functions",
    "get_testing_overrides",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
    "wrap_torch_function",
]

_NAMESPACES = ("", ".nn.functional", ".special", ".linalg", ".fft")
_TENSOR_PROPERTIES = ("T", "mT", "H", "mH", "data", "grad", "real", "imag")
_PLAIN = frozenset(
    """__init__ __new__ __class__ __getattribute__ __getattr__ __setattr__ __delattr__ __init_subclass__
    __subclasshook__
    __dir__ __hash__ __repr__ __format__ __reduce__ __reduce_ex__ __setstate__ __deepcopy__ __torch_function__
    __sizeof__
    __str__ __dlpack__ __dlpack_device__ as_subclass _make_subclass __array__ __array_wrap__ __bool__ __len__ __int__
    __float__ __index__ __complex__ numpy size dim stride requires_grad_ backward register_hook item tolist""".split()
)


_OPERATORS = {
    "__add__": "add",
    "__radd__": "add",
    "__iadd__": "add_",
    "__sub__": "sub",
    "__isub__": "sub_",
    "__mul__": "mul",
    "__rmul__": "mul",
    "__imul__": "mul_",
    "__truediv__": "div",
    "__itruediv__": "div_",
    "__matmul__": "matmul",
    "__neg__": "neg",
    "__abs__": "abs",
    "__eq__": "eq",
    "__ne__": "ne",
    "__lt__": "lt",
    "__le__": "le",
    "__gt__": "gt",
    "__ge__": "ge",
    "__invert__": "bitwise_not",
    "__mod__": "remainder",
}  # fmt: skip  (what torch says was called)


class _State(threading.local):
    """``disabled``: how many contexts switch dispatch off. ``modes``: active modes, innermost last."""

    def __init__(self) -> None:
        self.disabled = 0
        self.modes: list[TorchFunctionMode] = []


_state = _State()


def _disabled_torch_function_impl(func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
    """Call the function itself: for classes that are to count as plain tensors."""
    with DisableTorchFunctionSubclass():
        return func(*args, **(kwargs or {}))


class DisableTorchFunctionSubclass:
    """Inside, subclasses are not asked."""

    def __enter__(self) -> None:
        _state.disabled += 1

    def __exit__(self, *exc: object) -> None:
        _state.disabled -= 1


class DisableTorchFunction(DisableTorchFunctionSubclass):
    """Inside, neither subclasses nor modes are asked."""

    def __enter__(self) -> None:
        super().__enter__()
        self._modes, _state.modes = _state.modes, []

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        _state.modes = self._modes


class enable_reentrant_dispatch(DisableTorchFunctionSubclass):
    """Accepted for compatibility: changes nothing."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass


# -- who wants to be asked --------------------------------------------------------------------------------------------
def _asks(value: Any) -> bool:
    kind = type(value)
    if kind is Tensor:
        return False
    handler = getattr(kind, "__torch_function__", None)
    return handler is not None and handler is not _disabled_torch_function_impl


def _overloaded(values: Iterable[Any]) -> list[Any]:
    """One argument of each type that wants to be asked, subclasses before their bases."""
    found: list[Any] = []
    for value in values:
        if not _asks(value) or any(type(value) is type(f) for f in found):
            continue
        at = next((i for i, f in enumerate(found) if issubclass(type(value), type(f))), len(found))
        found.insert(at, value)
    return found


def _spread(args: tuple, kwargs: dict) -> Iterable[Any]:
    for value in (*args, *kwargs.values()):
        if type(value) in (list, tuple):
            yield from value
        else:
            yield value


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether one of the arguments (or a mode) wants to be asked."""
    return bool(_state.modes) or (not _state.disabled and any(_asks(a) for a in relevant_args))


def has_torch_function_unary(value: Any) -> bool:
    """has_torch_function of one argument."""
    return has_torch_function((value,))


def has_torch_function_variadic(*values: Any) -> bool:
    """has_torch_function of all arguments."""
    return has_torch_function(values)


def handle_torch_function(public_api: Callable, relevant_args: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
    """Ask modes, then the arguments' types; the first answer counts. TypeError if none has one."""
    overloaded = [] if _state.disabled else _overloaded(relevant_args)
    types = tuple(type(a) for a in overloaded)
    if _state.modes:
        mode = _state.modes[-1]
        _state.modes = _state.modes[:-1]
        try:
            result = mode.__torch_function__(public_api, types, args, kwargs)
        finally:
            _state.modes = [*_state.modes, mode]
        if result is not NotImplemented:
            return result
    for value in overloaded:
        result = type(value).__torch_function__(public_api, types, args, kwargs)
        if result is not NotImplemented:
            return result
    name = f"{public_api.__module__}.{public_api.__name__}"
    raise TypeError(
        f"no implementation found for '{name}' on types that implement __torch_function__: "
        f"{[type(a) for a in overloaded]}"
    )


def is_tensor_like(inp: Any) -> bool:
    """Whether it is a tensor or implements ``__torch_function__``."""
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


def wrap_torch_function(dispatcher: Callable) -> Callable:
    """Decorator: ask the arguments that ``dispatcher(*args, **kwargs)`` returns before running the function."""

    def wrap(function: Callable) -> Callable:
        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        return wrapped

    return wrap


# -- the default ------------------------------------------------------------------------------------------------------
def _converted(value: Any, cls: type) -> Any:
    if cls is Tensor:
        return value
    if isinstance(value, Tensor) and not isinstance(value, cls):
        return value.as_subclass(cls)
    if isinstance(value, (tuple, list)):
        items = [_converted(v, cls) for v in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _default(cls: type, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
    """Run the function; tensors in its result become instances of the subclass."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    with DisableTorchFunctionSubclass():
        result = func(*args, **(kwargs or {}))
        if func in get_default_nowrap_functions():
            return result
        return _converted(result, cls)


@functools.lru_cache(None)
def get_default_nowrap_functions() -> frozenset:
    """Functions whose results stay as they are."""
    return frozenset({Tensor.__dict__["grad"].fget})


# -- dispatching methods and functions --------------------------------------------------------------------------------
def _dispatching(function: Callable, public: Callable | None = None) -> Callable:
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if (_state.modes or not _state.disabled) and has_torch_function(_spread(args, kwargs)):
            return handle_torch_function(public or wrapped, list(_spread(args, kwargs)), *args, **kwargs)
        return function(*args, **kwargs)

    wrapped.__torch_plain__ = function
    return wrapped


def _equip(cls: type) -> None:
    """Give a subclass methods that ask."""
    for name in dir(Tensor):
        if name in _PLAIN or any(name in c.__dict__ for c in cls.__mro__[: cls.__mro__.index(Tensor)]):
            continue
        attribute = getattr(Tensor, name)
        if isinstance(attribute, FunctionType):
            setattr(cls, name, _dispatching(attribute, getattr(Tensor, _OPERATORS.get(name, name))))
        elif name in _TENSOR_PROPERTIES:
            get = Tensor.__dict__[name]
            setattr(cls, name, property(_dispatching(get.fget, get.fget), get.fset, get.fdel, get.__doc__))


class _Namespaces:
    """The public functions, replaced by asking ones once that is needed."""

    def __init__(self) -> None:
        self.done: set[str] = set()

    def equip(self) -> None:
        """Replace what has been imported so far."""
        root = __name__.rpartition(".")[0]
        for suffix in _NAMESPACES:
            module = sys.modules.get(root + suffix)
            if isinstance(module, ModuleType) and suffix not in self.done:
                self.done.add(suffix)
                for name, value in list(vars(module).items()):
                    if self._is_public(name, value):
                        setattr(module, name, _dispatching(value))

    @staticmethod
    def _is_public(name: str, value: Any) -> bool:
        plain = isinstance(value, FunctionType) and not name.startswith("_") and not hasattr(value, "__torch_plain__")
        return plain and value.__module__.partition(".")[2].startswith(
            ("ops", "nn.functional", "special", "linalg", "fft")
        )


_namespaces = _Namespaces()


def _init_subclass(cls: type, **options: Any) -> None:
    """Called for every subclass of Tensor."""
    super(Tensor, cls).__init_subclass__(**options)
    handler = cls.__dict__.get("__torch_function__")
    if handler is None:
        plain = cls.__module__.startswith(__name__.rpartition(".")[0] + ".")
        if plain:
            cls.__torch_function__ = staticmethod(_disabled_torch_function_impl)
            return
    if cls.__torch_function__ is _disabled_torch_function_impl:
        return
    _equip(cls)
    _namespaces.equip()


Tensor.__init_subclass__ = classmethod(_init_subclass)
Tensor.__torch_function__ = classmethod(_default)


# -- modes ------------------------------------------------------------------------------------------------------------
class TorchFunctionMode:
    """Sees all calls made inside ``with mode:`` in its ``__torch_function__(func, types, args, kwargs)``."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        raise NotImplementedError

    def __enter__(self) -> TorchFunctionMode:
        _methods.watch()
        _namespaces.equip()
        _state.modes = [*_state.modes, self]
        return self

    def __exit__(self, *exc: object) -> None:
        _state.modes = _state.modes[:-1]
        _methods.unwatch()

    @classmethod
    def push(cls, *args: Any, **kwargs: Any) -> TorchFunctionMode:
        """Deprecated name of the constructor."""
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that only runs the function."""

    def __torch_function__(self, func: Callable, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        return func(*args, **(kwargs or {}))


class _Methods:
    """The plain tensor's methods: asking ones while a mode is active, the originals otherwise."""

    def __init__(self) -> None:
        self.count = 0
        self.originals: dict[str, Any] = {}

    def watch(self) -> None:
        """One more mode."""
        self.count += 1
        if self.count == 1:
            for name, value in list(vars(Tensor).items()):
                if name not in _PLAIN and isinstance(value, FunctionType):
                    self.originals[name] = value
                    setattr(Tensor, name, _dispatching(value, value))

    def unwatch(self) -> None:
        """One mode less."""
        self.count -= 1
        if self.count == 0:
            for name, value in self.originals.items():
                setattr(Tensor, name, value)
            self.originals.clear()


_methods = _Methods()


# -- lists ------------------------------------------------------------------------------------------------------------
def get_ignored_functions() -> set[Callable]:
    """Public functions that never ask: none of them takes tensors."""
    return set()


def get_overridable_functions() -> dict[Any, list[Callable]]:
    """Public functions that ask, by namespace."""
    root = __name__.rpartition(".")[0]
    out: dict[Any, list[Callable]] = {}
    for suffix in _NAMESPACES:
        module = sys.modules.get(root + suffix)
        if module is not None:
            out[module] = [v for n, v in vars(module).items() if isinstance(v, FunctionType) and not n.startswith("_")]
    out[Tensor] = [v for n, v in vars(Tensor).items() if isinstance(v, FunctionType) and n not in _PLAIN]
    return out


def get_testing_overrides() -> dict[Callable, Callable]:
    """For each function that asks, one of its signature that returns -1."""
    return {
        f: functools.wraps(f)(lambda *args, **kwargs: -1) for fs in get_overridable_functions().values() for f in fs
    }


def resolve_name(f: Callable) -> str | None:
    """The public name of a function."""
    for owner, functions in get_overridable_functions().items():
        if any(f is g for g in functions):
            where = (
                "torch.Tensor" if owner is Tensor else owner.__name__.replace(__name__.rpartition(".")[0], "torch", 1)
            )
            return f"{where}.{f.__name__}"
    return None


def is_tensor_method_or_property(func: Callable) -> bool:
    """Whether a function given to ``__torch_function__`` is a method or property of tensors."""
    return any(v is func or getattr(v, "fget", None) is func for v in vars(Tensor).values())
