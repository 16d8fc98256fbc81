"""The unpickler behind `load(weights_only=True)`: builds tensors and plain containers, and only what the user trusts.

Nothing in a file is looked up by importing it: a global is one of the table below, or one given to `add_safe_globals`.
"""

from __future__ import annotations

import functools
import pickle
import warnings
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import IO, Any

from engine import dtypes

from . import bridge, names, rebuild
from .machine import PickleMachine, python3_name
from .options import named_safe_globals
from .storages import StorageType

# never, whatever the user says
_BLOCKED_MODULES = ("sys", "os", "posix", "nt")
_DICTIONARIES = (dict, OrderedDict, Counter)
_TEXT_CODECS = ("latin1", "latin-1", "ascii", "utf-8", "utf8")


def _encode(text: str, codec: str = "utf-8", *errors: str) -> bytes:
    """`_codecs.encode` for text only: this is how protocol 2 writes bytes."""
    if type(text) is not str or codec not in _TEXT_CODECS:
        raise pickle.UnpicklingError(f"_codecs.encode of {type(text)} to {codec!r} is not allowed")
    return text.encode(codec, *errors)


def _bytearray(*args: Any) -> bytearray:
    """`bytearray` of bytes or text; a mere length could ask for any amount of memory."""
    if args and not isinstance(args[0], bytes | str | list):
        raise pickle.UnpicklingError(f"bytearray of {type(args[0])} is not allowed")
    return bytearray(*args)


@functools.cache
def allowed_globals() -> dict[str, Any]:
    """What every file may name, by torch's full name."""
    return {
        "collections.OrderedDict": OrderedDict,
        "collections.Counter": Counter,
        "_codecs.encode": _encode,
        "builtins.bytearray": _bytearray,
        "builtins.set": set,
        "builtins.complex": complex,
        **rebuild.KNOWN,
        **bridge.file_classes(),
    }


def canonical_name(module: str, name: str) -> str:
    """Full name by which a global is looked up: torch's where it is one of this library."""
    return ".".join(names.written_name(module, name) or names.modern_name(module, name))


def _user_globals() -> dict[str, Any]:
    """What the user trusts, by the names it may have in a file."""
    named = named_safe_globals()
    for full, item in list(named.items()):
        module, _, name = full.rpartition(".")
        named[canonical_name(module, name)] = item
    return named


def user_global_names() -> set[str]:
    """Full names, as in files, of what the user trusts."""
    return set(_user_globals())


def _is_mere_name(item: Any) -> bool:
    """Whether a global is only an argument: a dtype, a storage class, the class of tensors."""
    return isinstance(item, StorageType | dtypes.dtype) or item is bridge.TENSOR


class RestrictedUnpickler(PickleMachine):
    """Loads pickles without running code that the user has not named as safe. Raises UnpicklingError otherwise.

    persistent_load: turns the persistent id of a storage into the storage.
    """

    def __init__(
        self, file: IO[bytes], *, encoding: str = "ASCII", persistent_load: Callable[[Any], Any] | None = None
    ) -> None:
        super().__init__(file, encoding)
        self._user = _user_globals()
        self._allowed = allowed_globals()
        self._callable = {id(item) for item in self._allowed.values() if not _is_mere_name(item)}
        self._user_callable = {id(item) for item in self._user.values()}
        self._load_storage = persistent_load

    def protocol(self, number: int) -> None:
        if number != 2:
            warnings.warn(
                f"Detected pickle protocol {number} in the checkpoint, which was not the default pickle protocol used "
                "by `torch.load` (2). The weights_only Unpickler might not support all instructions implemented by "
                "this protocol.",
                stacklevel=5,
            )

    def find_global(self, module: str, name: str) -> Any:
        module, name = python3_name(module, name)
        full = canonical_name(module, name)
        if module in _BLOCKED_MODULES:
            raise pickle.UnpicklingError(f"Trying to load unsupported GLOBAL {full} whose module {module} is blocked.")
        for table in (self._allowed, self._user):
            if full in table:
                return table[full]
        shown = full.removeprefix("builtins.")
        raise pickle.UnpicklingError(
            f"Unsupported global: GLOBAL {shown} was not an allowed global by default. "
            f"Please use `torch.serialization.add_safe_globals([{shown}])` or the "
            f"`torch.serialization.safe_globals([{shown}])` context manager to allowlist this global "
            "if you trust this class/function."
        )

    def _run(self, function: Callable, *args: Any, **kwargs: Any) -> Any:
        """Call code that does not belong to the file: its errors are passed on as they are."""
        self.in_user_code = True
        result = function(*args, **kwargs)
        self.in_user_code = False
        return result

    def call(self, function: Any, args: tuple) -> Any:
        if id(function) in self._callable:
            return function(*args)
        if id(function) in self._user_callable:
            return self._run(function, *args)
        message = f"Trying to call reduce for unrecognized function {function}"
        if hasattr(function, "__self__"):
            message += f" which belongs to {function.__self__}"
        raise pickle.UnpicklingError(message)

    def new_object(self, cls: Any, args: tuple, kwargs: dict) -> Any:
        if isinstance(cls, type):
            if id(cls) in self._user_callable:
                return self._run(cls.__new__, cls, *args, **kwargs)
            if cls is bridge.PARAMETER and 0 < len(args) <= 2:
                return rebuild.FUNCTIONS["torch._utils._rebuild_parameter"](args[0], *args[1:] or (True,), None)
            if id(cls) in self._callable and not kwargs:
                return cls.__new__(cls, *args)
        raise pickle.UnpicklingError(
            f"Can only create new object for nn.Parameter or classes allowlisted via `add_safe_globals` but got {cls}"
        )

    def build(self, target: Any, state: Any) -> None:
        if type(target) is OrderedDict:
            target.__dict__.update(state)
            return
        if id(type(target)) not in self._user_callable:
            raise pickle.UnpicklingError(
                "Can only build Tensor, Parameter, OrderedDict or types allowlisted "
                f"via `add_safe_globals`, but got {type(target)}"
            )
        if hasattr(target, "__setstate__"):
            self._run(target.__setstate__, state)
            return
        slots = None
        if isinstance(state, tuple) and len(state) == 2:
            state, slots = state
        for key, value in (state or {}).items():
            target.__dict__[key] = value
        for key, value in (slots or {}).items():
            self._run(setattr, target, key, value)

    def append_items(self, target: Any, items: list) -> None:
        if type(target) is not list:
            raise pickle.UnpicklingError(f"Can only append to lists, but got {type(target)}")
        target.extend(items)

    def set_items(self, target: Any, items: list) -> None:
        if type(target) not in _DICTIONARIES:
            raise pickle.UnpicklingError(
                f"Can only SETITEM for dict, collections.OrderedDict, collections.Counter, but got {type(target)}"
            )
        super().set_items(target, items)

    def add_items(self, target: Any, items: list) -> None:
        if type(target) is not set:
            raise pickle.UnpicklingError(f"Can only add to sets, but got {type(target)}")
        target.update(items)

    def persistent_load(self, pid: Any) -> Any:
        if type(pid) is not tuple or not pid:
            raise pickle.UnpicklingError(f"persistent_load id must be tuple, but got {type(pid)}")
        if pid[0] not in ("storage", b"storage"):
            raise pickle.UnpicklingError(f"Only persistent_load of storage is allowed, but got {pid[0]!r}")
        if self._load_storage is None:
            raise pickle.UnpicklingError("unsupported persistent id encountered")
        return self._run(self._load_storage, pid)  # may call the user's map_location
