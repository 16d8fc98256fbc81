"""A pickle virtual machine that runs nothing by itself: what an opcode may create is decided by the subclass.

Opcodes and their meaning: CPython's `pickletools` documentation, protocols 0 to 5.
"""

from __future__ import annotations

import os
import pickle
import struct
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from typing import IO, Any

_BIG = 1 << 20  # a claimed length above this is compared with what the file still holds

_FAULTS = (
    IndexError,
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    struct.error,
)


class PickleMachine:
    """Runs one pickle after the other from a binary file.

    Subclasses say what the risky opcodes do: `find_global`, `call`, `new_object`, `build`, `persistent_load`, and
    which containers may be filled: `append_items`, `set_items`, `add_items`. Damaged input raises UnpicklingError or
    EOFError.
    """

    text_opcodes = False
    """Whether the opcodes of the old text protocols are understood."""

    def __init__(self, file: IO[bytes], encoding: str = "ASCII") -> None:
        self._read = file.read
        self._readline = file.readline
        self._file = file
        self._encoding = encoding
        self._memo: dict[int, Any] = {}
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self.in_user_code = False
        """Set while code runs whose errors are not those of the file."""

    def load(self) -> Any:
        """Run up to and with the STOP opcode; the object left on the stack."""
        self._memo, self._stack, self._marks = {}, [], []
        operations = _TEXT_OPERATIONS if self.text_opcodes else _OPERATIONS
        read = self._read
        try:
            while True:
                key = read(1)
                if key == b".":
                    return self._stack.pop()
                if not key:
                    raise EOFError("Ran out of input")
                operation = operations.get(key)
                if operation is None:
                    raise pickle.UnpicklingError(f"Unsupported operand {key[0]}")
                operation(self)
        except _FAULTS as error:
            if self.in_user_code:
                raise
            raise pickle.UnpicklingError(f"damaged pickle ({type(error).__name__}: {error})") from error

    # what subclasses decide

    def find_global(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"Unsupported global: GLOBAL {module}.{name}")

    def call(self, function: Any, args: tuple) -> Any:
        raise pickle.UnpicklingError(f"Trying to call reduce for unrecognized function {function}")

    def new_object(self, cls: Any, args: tuple, kwargs: dict) -> Any:
        raise pickle.UnpicklingError(f"Can not create an object of {cls}")

    def build(self, target: Any, state: Any) -> None:
        raise pickle.UnpicklingError(f"Can not set the state of {type(target)}")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("unsupported persistent id encountered")

    def protocol(self, number: int) -> None:
        """Told the protocol of the pickle."""

    def append_items(self, target: Any, items: list) -> None:
        target.extend(items)

    def set_items(self, target: Any, items: list) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[key] = value

    def add_items(self, target: Any, items: list) -> None:
        target.update(items)

    # helpers of the operations

    def take(self, count: int) -> bytes:
        """Exactly `count` bytes; EOFError if the file ends before."""
        if count > _BIG:
            at = self._file.tell()
            left = self._file.seek(0, os.SEEK_END) - at
            self._file.seek(at)
            if count > left:
                raise EOFError(f"Ran out of input: {count} bytes announced, {left} left")
        data = self._read(count)
        if len(data) != count:
            raise EOFError("Ran out of input")
        return data

    def line_bytes(self) -> bytes:
        data = self._readline()
        if not data.endswith(b"\n"):
            raise EOFError("Ran out of input")
        return data[:-1]

    def line(self) -> str:
        return self.line_bytes().decode("utf-8")

    def number(self, form: struct.Struct) -> Any:
        return form.unpack(self.take(form.size))[0]

    def byte(self) -> int:
        data = self._read(1)
        if not data:
            raise EOFError("Ran out of input")
        return data[0]

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def pop(self) -> Any:
        return self._stack.pop()

    def pop_mark(self) -> list[Any]:
        items = self._stack
        self._stack = self._marks.pop()
        return items

    def mark(self) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def get(self, index: int) -> None:
        if index not in self._memo:
            raise pickle.UnpicklingError(f"Memo value not found at index {index}")
        self._stack.append(self._memo[index])

    def memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def text(self, data: bytes) -> str | bytes:
        """A str of Python 2, which is text in an encoding or bytes."""
        return data if self._encoding == "bytes" else data.decode(self._encoding)

    def global_(self, module: str, name: str) -> None:
        self._stack.append(self.find_global(module, name))

    def stack_global(self) -> None:
        name, module = self.pop(), self.pop()
        if type(name) is not str or type(module) is not str:
            raise pickle.UnpicklingError("STACK_GLOBAL requires str")
        self.global_(module, name)

    def reduce(self) -> None:
        args = self.pop()
        if type(args) is not tuple:
            raise pickle.UnpicklingError(f"arguments of a call must be a tuple, but got {type(args)}")
        self._stack[-1] = self.call(self._stack[-1], args)

    def newobj(self, with_kwargs: bool) -> None:
        kwargs = self.pop() if with_kwargs else {}
        args = self.pop()
        self._stack[-1] = self.new_object(self._stack[-1], tuple(args), kwargs)

    def fill(self, how: Callable[[Any, list], None], items: list) -> None:
        how(self._stack[-1], items)

    def create(self, cls: Any, *args: Any) -> None:
        self._stack.append(self.call(cls, args))

    def make_tuple(self, count: int) -> None:
        items = self._stack[-count:]
        if len(items) != count:
            raise IndexError("stack is empty")
        self._stack[-count:] = [tuple(items)]

    def dictionary(self, items: list) -> dict:
        return dict(zip(items[::2], items[1::2], strict=True))


def _length(form: struct.Struct, then: Callable[[PickleMachine, bytes], Any]) -> Callable[[PickleMachine], None]:
    def operation(m: PickleMachine) -> None:
        size = m.number(form)
        if size < 0:
            raise ValueError("negative length")
        m.push(then(m, m.take(size)))

    return operation


def _utf8(m: PickleMachine, data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _long(m: PickleMachine, data: bytes) -> int:
    return int.from_bytes(data, "little", signed=True)


def _integer_line(m: PickleMachine) -> int | bool:
    text = m.line()
    return {"00": False, "01": True}.get(text) if text in ("00", "01") else int(text)


def _string_line(m: PickleMachine) -> str | bytes:
    text = m.line().strip()
    if len(text) < 2 or text[0] != text[-1] or text[0] not in "\"'":
        raise pickle.UnpicklingError("the STRING opcode argument must be quoted")
    return m.text(text[1:-1].encode("latin-1").decode("unicode_escape").encode("latin-1"))


_U8, _U16, _I32, _U32 = struct.Struct("<B"), struct.Struct("<H"), struct.Struct("<i"), struct.Struct("<I")
_U64, _F64 = struct.Struct("<Q"), struct.Struct(">d")

_OPERATIONS: dict[bytes, Callable[[PickleMachine], Any]] = {
    pickle.PROTO: lambda m: m.protocol(m.byte()),
    pickle.FRAME: lambda m: m.take(8),
    pickle.GLOBAL: lambda m: m.global_(m.line(), m.line()),
    pickle.STACK_GLOBAL: lambda m: m.stack_global(),
    pickle.REDUCE: lambda m: m.reduce(),
    pickle.NEWOBJ: lambda m: m.newobj(False),
    pickle.NEWOBJ_EX: lambda m: m.newobj(True),
    pickle.BUILD: lambda m: m.build(m._stack[-2], m.pop()),
    pickle.BINPERSID: lambda m: m.push(m.persistent_load(m.pop())),
    pickle.MARK: lambda m: m.mark(),
    pickle.APPEND: lambda m: m.fill(m.append_items, [m.pop()]),
    pickle.APPENDS: lambda m: m.fill(m.append_items, m.pop_mark()),
    pickle.SETITEM: lambda m: m.fill(m.set_items, [m.pop(), m.pop()][::-1]),
    pickle.SETITEMS: lambda m: m.fill(m.set_items, m.pop_mark()),
    pickle.ADDITEMS: lambda m: m.fill(m.add_items, m.pop_mark()),
    pickle.EMPTY_TUPLE: lambda m: m.push(()),
    pickle.EMPTY_LIST: lambda m: m.push([]),
    pickle.EMPTY_DICT: lambda m: m.push({}),
    pickle.EMPTY_SET: lambda m: m.push(set()),
    pickle.FROZENSET: lambda m: m.push(frozenset(m.pop_mark())),
    pickle.TUPLE: lambda m: m.push(tuple(m.pop_mark())),
    pickle.TUPLE1: lambda m: m.make_tuple(1),
    pickle.TUPLE2: lambda m: m.make_tuple(2),
    pickle.TUPLE3: lambda m: m.make_tuple(3),
    pickle.NONE: lambda m: m.push(None),
    pickle.NEWTRUE: lambda m: m.push(True),
    pickle.NEWFALSE: lambda m: m.push(False),
    pickle.BININT: lambda m: m.push(m.number(_I32)),
    pickle.BININT1: lambda m: m.push(m.byte()),
    pickle.BININT2: lambda m: m.push(m.number(_U16)),
    pickle.LONG1: _length(_U8, _long),
    pickle.LONG4: _length(_I32, _long),
    pickle.BINFLOAT: lambda m: m.push(m.number(_F64)),
    pickle.BINUNICODE: _length(_U32, _utf8),
    pickle.SHORT_BINUNICODE: _length(_U8, _utf8),
    pickle.BINUNICODE8: _length(_U64, _utf8),
    pickle.SHORT_BINSTRING: _length(_U8, PickleMachine.text),
    pickle.BINSTRING: _length(_I32, PickleMachine.text),
    pickle.BINBYTES: _length(_U32, lambda m, data: data),
    pickle.SHORT_BINBYTES: _length(_U8, lambda m, data: data),
    pickle.BINBYTES8: _length(_U64, lambda m, data: data),
    pickle.BYTEARRAY8: _length(_U64, lambda m, data: bytearray(data)),
    pickle.BINGET: lambda m: m.get(m.byte()),
    pickle.LONG_BINGET: lambda m: m.get(m.number(_U32)),
    pickle.BINPUT: lambda m: m.put(m.byte()),
    pickle.LONG_BINPUT: lambda m: m.put(m.number(_U32)),
    pickle.MEMOIZE: lambda m: m.memoize(),
}

_TEXT_OPERATIONS = _OPERATIONS | {
    pickle.POP: lambda m: m.pop() if m._stack else m.pop_mark(),
    pickle.POP_MARK: lambda m: m.pop_mark(),
    pickle.DUP: lambda m: m.push(m._stack[-1]),
    pickle.LIST: lambda m: m.push(m.pop_mark()),
    pickle.DICT: lambda m: m.push(m.dictionary(m.pop_mark())),
    pickle.INT: lambda m: m.push(_integer_line(m)),
    pickle.LONG: lambda m: m.push(int(m.line().removesuffix("L"))),
    pickle.FLOAT: lambda m: m.push(float(m.line())),
    pickle.STRING: lambda m: m.push(_string_line(m)),
    pickle.UNICODE: lambda m: m.push(m.line_bytes().decode("raw-unicode-escape")),
    pickle.GET: lambda m: m.get(int(m.line())),
    pickle.PUT: lambda m: m.put(int(m.line())),
    pickle.PERSID: lambda m: m.push(m.persistent_load(m.line())),
    pickle.INST: lambda m: m.push(m.call(m.find_global(m.line(), m.line()), tuple(m.pop_mark()))),
    pickle.OBJ: lambda m: m.create(*m.pop_mark()),
}


class Unknown:
    """What the scanner puts where a pickle would create an object; `name` for a class or function."""

    __slots__ = ("name",)

    def __init__(self, name: str | None = None) -> None:
        self.name = name


class Scanner(PickleMachine):
    """Goes through a pickle without creating or calling anything that it names.

    After `load`: `globals`, the full names it mentions, and `persistent_ids`, in order; classes in them are `Unknown`.
    """

    text_opcodes = True

    def __init__(self, file: IO[bytes], encoding: str = "ASCII") -> None:
        super().__init__(file, encoding)
        self.globals: dict[str, None] = {}
        self.persistent_ids: list[Any] = []

    def find_global(self, module: str, name: str) -> Unknown:
        full = ".".join(python3_name(module, name))
        self.globals[full] = None
        return Unknown(full)

    def call(self, function: Any, args: tuple) -> Unknown:
        return Unknown()

    def new_object(self, cls: Any, args: tuple, kwargs: dict) -> Unknown:
        return Unknown()

    def build(self, target: Any, state: Any) -> None:
        pass

    def persistent_load(self, pid: Any) -> Unknown:
        self.persistent_ids.append(pid)
        return Unknown()

    def append_items(self, target: Any, items: list) -> None:
        pass

    def set_items(self, target: Any, items: list) -> None:
        pass

    def add_items(self, target: Any, items: list) -> None:
        pass

    def dictionary(self, items: list) -> dict:
        return {}


def python3_name(module: str, name: str) -> tuple[str, str]:
    """Today's (module, name) of what Python 2 called so, as pickles of protocol 2 and below do."""
    return NAME_MAPPING.get((module, name)) or (IMPORT_MAPPING.get(module, module), name)
