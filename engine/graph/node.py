"""Lazy nodes, storages and the log of pending work of a device.

A node is the immutable value of a whole flat buffer: pending (a call that has not run) or realized (a buffer). A
storage points at its current node; an in-place op makes a new node and moves the pointer.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from .. import dtypes, opencl
from ..device import device as Device
from .ir import Builder, Ref
from .spec import Spec, spec


class Call:
    """An op applied to operands of known description: everything about it that does not change from step to step.

    Attributes:
        name: the op, for profiles and error messages.
        lower: ``lower(builder, refs, scalars, call) -> Ref | sequence of Ref``.
        specs: descriptions of the operands. static: whatever else selects the program (dimensions, flags).
        out: description of the result, or a tuple of them; outs: always a tuple. scalars: dtypes of the run-time
        numbers. offsets: operands that do not begin at their storage's start. op: what resolves the same op for other
        descriptions, if it can (``again``). record: class of the op's records for the backward pass, once known.
    """

    __slots__ = ("name", "lower", "specs", "static", "out", "scalars", "parts", "outs", "offsets", "op", "record")

    def __init__(
        self,
        name: str,
        lower: Callable[..., Any] | None,
        specs: tuple[Spec, ...],
        out: Spec | tuple[Spec, ...],
        static: Any = None,
        scalars: tuple[dtypes.dtype, ...] = (),
    ) -> None:
        self.name = name
        self.lower = lower
        self.specs = specs
        self.static = static
        self.out = out
        self.scalars = scalars
        self.outs: tuple[Spec, ...] = out if type(out) is tuple else (out,)
        self.offsets = tuple([i for i, s in enumerate(specs) if s.offset])
        self.op: Any = None
        self.record: Any = None
        self.parts: tuple[Call, ...] = ()
        if type(out) is tuple:
            self.parts = tuple(Call(name, None, (), o, i) for i, o in enumerate(out))

    def again(self, specs: tuple[Spec, ...]) -> Call:
        """The same op on operands of other descriptions."""
        return self.op.calls.get((specs, self.static)) or self.op.resolve(specs, self.static)

    def __repr__(self) -> str:
        return f"Call({self.name}, {self.specs}, {self.static} -> {self.out})"


class Node:
    """The value of a flat buffer. ``owner`` is a weak reference to the storage that holds it, or None."""

    __slots__ = ("call", "inputs", "scalars", "buffer", "error", "owner", "pos", "shared", "cause")

    def __init__(self, call: Call, inputs: tuple[Node, ...], scalars: tuple = ()) -> None:
        self.call = call
        self.inputs = inputs
        self.scalars = scalars
        self.buffer: opencl.Buffer | None = None
        self.error: BaseException | None = None
        self.shared = False  # the buffer is memory that the program may change behind our back
        self.owner: weakref.ref[Storage] | None = None

    @property
    def dtype(self) -> dtypes.dtype:
        """Element type of the buffer."""
        return self.call.out.dtype

    @property
    def size(self) -> int:
        """Number of elements of the buffer."""
        return self.call.out.numel


class Storage:
    """Memory that tensors view: the current node and a count of in-place changes."""

    __slots__ = ("node", "version", "pin", "watch", "host_fresh", "__weakref__")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.version = 0
        self.pin: Any = None
        self.watch: Callable[[], bool] | None = None
        self.host_fresh = False
        node.owner = weakref.ref(self)
        if node.shared and node.buffer is None:
            node.call.out.device.graph.run_at_once(node)

    def put(self, node: Node) -> None:
        """Give the storage a new value."""
        self.node = node
        node.owner = weakref.ref(self)
        self.version += 1
        if node.shared and node.buffer is None:
            node.call.out.device.graph.run_at_once(node)

    def pin_to(self, buffer: Any, watch: Callable[[], bool]) -> None:
        """Share memory with the host from now on, as long as ``watch()`` says that somebody there can see it."""
        self.pin = buffer
        self.watch = watch
        self.node.shared = True

    def still_shared(self) -> bool:
        """Whether the host still sees the memory; if not, the storage is an ordinary one again."""
        if self.pin is not None and self.watch is not None and not self.watch():
            self.pin = None
            self.watch = None
        return self.pin is not None

    @staticmethod
    def reference(storage: Storage) -> weakref.ref[Storage]:
        """What ``Node.owner`` holds."""
        return weakref.ref(storage)

    @property
    def dtype(self) -> dtypes.dtype:
        """Element type the memory was made with."""
        return self.node.call.out.dtype

    @property
    def size(self) -> int:
        """Number of elements of that type."""
        return self.node.call.out.numel

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return self.size * self.dtype.itemsize


def leaf_call(dtype: dtypes.dtype, device: Device, size: int) -> Call:
    """The call of a node that begins realized."""
    key = (dtype, device, size)
    found = _leaf_calls.get(key)
    if found is None:
        if len(_leaf_calls) > 50_000:
            _leaf_calls.clear()
        found = _leaf_calls[key] = Call("buffer", None, (), spec(dtype, device, (size,)))
    return found


_leaf_calls: dict[tuple, Call] = {}


def leaf(buffer: opencl.Buffer | None, dtype: dtypes.dtype, device: Device, size: int) -> Node:
    """A realized node."""
    node = Node(leaf_call(dtype, device, size), ())
    node.buffer = buffer
    return node


_write_calls: dict[tuple, Call] = {}


def write_call(base: Spec, dest: Spec, value: Spec) -> Call:
    """The call that stores ``value`` into the flat ``base`` through the view ``dest`` (dtype of the base)."""
    key = (base, dest, value)
    found = _write_calls.get(key)
    if found is None:
        if len(_write_calls) > 50_000:
            _write_calls.clear()
        found = _write_calls[key] = Call("write", _lower_write, (base, value), base, dest)
    return found


def _lower_write(b: Builder, refs: Sequence[Ref], scalars: Sequence[Ref], call: Call) -> Ref:
    base, value = refs
    dest: Spec = call.static
    if dest.dtype is not base.dtype:
        seen = b.write(b.bitcast(base, dest.dtype), b.cast(value, dest.dtype), dest.view)
        return b.bitcast(seen, base.dtype)
    return b.write(base, b.cast(value, base.dtype), dest.view)
