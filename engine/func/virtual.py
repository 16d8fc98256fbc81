"""Virtual devices: tensors that look like one example and compute a batch of them.

``vmap`` runs a function on tensors of a ``BatchDevice``. Its log, in place of queueing an op, queues the op's batched
form (see lifting) on the device behind. Nothing else in the library knows; autograd records as always.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from .. import dtypes
from ..autograd.backward import Ops
from ..autograd.mode import mode
from ..autograd.records import GradFn, edge_of
from ..autograd.variable import Tensor
from ..device import default
from ..device import device as Device
from ..graph.base_log import Log
from ..graph.ir import Builder, Ref
from ..graph.log import log_of
from ..graph.node import Call, Node, Storage
from ..graph.spec import Spec, spec
from ..ops import pointwise
from .lifting import BatchedBuilder, BatchedRef

_READ = (
    "vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over calling .item() on a Tensor, "
    "please "
    "try to rewrite what you're doing with other operations. The same holds for anything else that needs values on "
    "the host "
    "(data-dependent control flow, boolean masks as indices, .numpy())."
)


class BatchDevice(Device):
    """Where tensors of a vmapped function live: ``count`` examples of them on ``parent``."""

    __slots__ = ("parent", "count", "random", "depth", "origin")
    _known: dict[tuple, BatchDevice] = {}

    parent: Device
    count: int
    random: str
    depth: int
    origin: BatchDevice

    def __new__(cls, parent: Device, count: int, random: str, origin: BatchDevice | None = None) -> BatchDevice:
        key = (parent, count, random, origin)
        found = cls._known.get(key)
        if found is None:
            found = object.__new__(cls)
            found.type, found.index, found.kind = parent.type, parent.index, parent.kind
            found.parent, found.count, found.random = parent, count, random
            found.depth = parent.depth + 1 if isinstance(parent, BatchDevice) else 1
            found.origin = origin or found
            found._stack = []
            found.graph = BatchLog(found)
            cls._known[key] = found
        return found

    @property
    def canonical(self) -> BatchDevice:
        """Itself."""
        return self

    @property
    def runtime(self) -> Any:
        """That of the device behind."""
        return self.parent.runtime

    def over(self, parent: Device) -> BatchDevice:
        """The same batch with another device behind it: a backward pass that is itself vmapped goes through it."""
        return self if parent is self.parent else BatchDevice(parent, self.count, self.random, self.origin)

    def stands_for(self, target: Device) -> bool:
        """Whether ``target`` is a device behind this one: to move there is to stay."""
        return target is self.parent or (isinstance(self.parent, BatchDevice) and self.parent.stands_for(target))

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


class BatchNode(Node):
    """A value of a virtual device. ``held``: the storage behind, whose node was ``real``; ``batched``: it has all
    examples.

    ``parts``: for an op with several results, (storage, batched) of each.
    """

    __slots__ = ("held", "real", "batched", "parts")

    def value(self) -> Node:
        """The node behind. Raises RuntimeError if its storage was changed in place."""
        if self.held.node is not self.real:
            raise RuntimeError("a tensor used by a vmapped function was changed in place since")
        return self.real


class BatchLog(Log):
    """The log of a virtual device."""

    def __init__(self, device: BatchDevice) -> None:
        self.device = device
        self.calls: dict[tuple, tuple[Call, tuple[bool, ...]]] = {}

    @property
    def behind(self) -> Any:
        """The log of the device behind."""
        return self.device.parent.graph or log_of(self.device.parent)

    @property
    def runtime(self) -> Any:
        """The runtime of the device behind."""
        return self.behind.runtime

    def add(self, call: Call, inputs: tuple[Node, ...], scalars: tuple = ()) -> Node:
        """Queue an op's batched form."""
        if call.lower is None:
            held, batched = inputs[0].parts[call.static]
            return _node(call, held, batched)
        flags = tuple([n.batched for n in inputs])
        key = (call, flags, tuple([n.size for n in inputs]))
        found = self.calls.get(key)
        if found is None:
            found = self.calls[key] = _batched_call(self.device, call, flags, key[2])
        real, batched = found
        behind = self.behind
        made = behind.add(real, tuple([n.value() for n in inputs]), scalars)
        if type(call.out) is not tuple:
            return _node(call, Storage(made), batched[0])
        node = BatchNode(call, ())
        node.parts = [(Storage(behind.add(part, (made,))), b) for part, b in zip(real.parts, batched)]
        return node

    def from_array(self, array: np.ndarray, dtype: dtypes.dtype) -> Node:
        """The same content for all examples."""
        made = self.behind.from_array(array, dtype)
        return _node(_leaf_call(self.device, dtype, array.size), Storage(made), False)

    def flush(self) -> None:
        """Run what is pending on the device behind."""
        self.behind.flush()

    def synchronize(self) -> None:
        """Wait for the device behind."""
        self.behind.synchronize()

    def realize(self, node: BatchNode) -> Any:
        """Compute a value now."""
        return self.behind.realize(node.value())

    def read(self, node: BatchNode) -> np.ndarray:
        """The content, where it is the same for all. Raises RuntimeError otherwise."""
        if node.batched:
            raise RuntimeError(_READ)
        return self.behind.read(node.value())

    def host_view(self, node: BatchNode) -> np.ndarray | None:
        """The memory, where it is the same for all. Raises RuntimeError otherwise."""
        if node.batched:
            raise RuntimeError(_READ)
        return self.behind.host_view(node.value())


def _node(call: Call, held: Storage, batched: bool) -> BatchNode:
    node = BatchNode(call, ())
    node.held, node.real, node.batched = held, held.node, batched
    return node


_leaf_calls: dict[tuple, Call] = {}


def _leaf_call(device: Device, dtype: dtypes.dtype, size: int) -> Call:
    key = (device, dtype, size)
    found = _leaf_calls.get(key)
    if found is None:
        found = _leaf_calls[key] = Call("buffer", None, (), spec(dtype, device, (size,)))
    return found


# -- batched calls ----------------------------------------------------------------------------------------------------
def _batched_call(
    device: BatchDevice, call: Call, flags: tuple[bool, ...], sizes: tuple[int, ...]
) -> tuple[Call, tuple[bool, ...]]:
    """The op on the device behind, and which of its results have a batch."""
    count, parent = device.count, device.parent
    specs = tuple([
        spec(s.dtype, parent, (count, *s.shape), (n, *s.stride), s.offset) if f
        else spec(s.dtype, parent, tuple(s.shape), s.stride, s.offset)
        for s, f, n in zip(call.specs, flags, sizes)
    ])  # fmt: skip
    outs = call.outs

    def run(b: Any, refs: Sequence[Ref], scalars: Sequence[Ref]) -> list[BatchedRef]:
        lifted = BatchedBuilder(b, count, device.random)
        found = call.lower(
            lifted, [lifted.wrap(r, f) for r, f in zip(refs, flags)], [lifted.wrap(s, False) for s in scalars], call
        )
        return [found] if type(call.out) is not tuple else list(found)

    trial = Builder()
    inputs = [
        trial.ref(trial.input(i, max(1, n * (count if f else 1)), s.dtype)).as_strided(
            tuple(s.shape), s.stride, s.offset
        )
        for i, (s, f, n) in enumerate(zip(specs, flags, sizes))
    ]
    batched = tuple([r.batched for r in run(trial, inputs, [trial.scalar(i, d) for i, d in enumerate(call.scalars)])])
    wide = tuple([
        spec(o.dtype, parent, (count, o.numel) if f else (o.numel,)) for o, f in zip(outs, batched)
    ])  # fmt: skip

    def lower(b: Any, refs: Sequence[Ref], scalars: Sequence[Ref], _: Call) -> Any:
        found = [r.inner.reshape(tuple(w.shape)) for r, w in zip(run(b, refs, scalars), wide)]
        return found if type(call.out) is tuple else found[0]

    real = Call(call.name, lower, specs, wide if type(call.out) is tuple else wide[0], None, call.scalars)
    return real, batched


# -- in and out -------------------------------------------------------------------------------------------------------
class WrapBackward(GradFn):
    """The gradient of one example's view: with the batch in front again."""

    def apply(self, grads: tuple) -> tuple:
        return (unwrap(grads[0]),)


class UnwrapBackward(GradFn):
    """The gradient of a batch seen as that of one example; summed where the value was the same for all."""

    device: BatchDevice
    summed: bool

    def apply(self, grads: tuple) -> tuple:
        g = grads[0]
        device = self.device.over(g._spec.device)
        return (lift(Ops.sum_first(g), device) if self.summed else wrap(g, device),)


class LiftBackward(GradFn):
    """The gradient of a value that all examples share: the sum over the examples."""

    def apply(self, grads: tuple) -> tuple:
        g = grads[0]
        batched = g._storage.node.batched
        out = unwrap(g)
        return (Ops.sum_first(out) if batched else out[0],)


def _connect(t: Tensor, source: Tensor, kind: type) -> GradFn | None:
    if not (source._rg and mode.grad):
        return None
    fn = kind((edge_of(source),), (t._spec,))
    t._grad_fn, t._rg = fn, True
    return fn


def _virtual(node: BatchNode, seen: Spec) -> Tensor:
    t = object.__new__(Tensor)
    t._storage = Storage(node)
    t._spec = seen
    return t


def wrap(x: Tensor, device: BatchDevice) -> Tensor:
    """One example's view of ``x``, whose first dimension is the batch."""
    seen = x._spec
    if not seen.whole or x._storage.size != seen.numel or x._storage.dtype is not seen.dtype:
        x = Ops.clone(x)
        seen = x._spec
    shape = tuple(seen.shape[1:])
    size = prod(shape)
    node = _node(_leaf_call(device, seen.dtype, size), x._storage, True)
    t = _virtual(node, spec(seen.dtype, device, shape))
    _connect(t, x, WrapBackward)
    return t


def lift(x: Tensor, device: BatchDevice) -> Tensor:
    """``x``, the same for all examples."""
    seen = x._spec
    if seen.device is device:
        return x
    if not isinstance(device, BatchDevice):
        raise RuntimeError("a tensor of a vmapped function cannot leave it: return it instead")
    if isinstance(seen.device, BatchDevice) and seen.device.origin is device.origin:
        return wrap(lift(unwrap(x), device.parent), device)
    if seen.device is not device.parent:
        if not isinstance(device.parent, BatchDevice):
            raise RuntimeError(
                f"Expected all tensors to be on the same device, but found at least two devices, {seen.device} and "
                f"{device}!"
            )
        x = lift(x, device.parent)
        seen = x._spec
    call = _leaf_call(device, x._storage.dtype, x._storage.size)
    t = _virtual(_node(call, x._storage, False), spec(seen.dtype, device, tuple(seen.shape), seen.stride, seen.offset))
    _connect(t, x, LiftBackward)
    return t


def unwrap(t: Tensor) -> Tensor:
    """All examples of ``t`` on the device behind, the batch in front."""
    seen, node = t._spec, t._storage.node
    device = seen.device
    node.value()
    out = object.__new__(Tensor)
    out._storage = node.held
    step = node.size if node.batched else 0
    out._spec = spec(seen.dtype, device.parent, (device.count, *seen.shape), (step, *seen.stride), seen.offset)
    fn = _connect(out, t, UnwrapBackward)
    if fn is not None:
        fn.device, fn.summed = device, not node.batched
    return out


def mixed(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Operands of several devices brought to the innermost virtual one."""
    inner = max((t._spec.device for t in tensors if isinstance(t._spec.device, BatchDevice)), key=lambda d: d.depth)
    return [lift(t, inner) for t in tensors]


pointwise.VIRTUAL = mixed
pointwise.LIFT = lift


class inside:
    """While a vmapped function runs, new tensors are made on its device."""

    def __init__(self, device: BatchDevice) -> None:
        self.device = device

    def __enter__(self) -> None:
        self.before = default.override
        default.override = self.device

    def __exit__(self, *exc: object) -> None:
        default.override = self.before


def innermost() -> BatchDevice | None:
    """The virtual device of the vmapped function that is running, if one is."""
    return default.override if isinstance(default.override, BatchDevice) else None
