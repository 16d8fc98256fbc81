"""The pending work of a device: ops are logged, and a flush runs what is still held through a cached plan."""

from __future__ import annotations

import struct
import sys
import threading
import weakref
from typing import Any

import numpy as np

from .. import dtypes, opencl
from ..device import device as Device
from ..errors import IndexOutOfRange
from ..settings import settings
from .base_log import Log
from .ir import Val
from .lower import lower_log
from .node import Call, Node, Storage, leaf, write_call
from .packs import Packs
from .plan import Plan
from .provided import Capture
from .spec import Spec
from .trace import Tracer, tracer

_MAX_NODES = 3000  # pending calls before a flush happens by itself
_MAX_PLANS = 1024
_SNAPSHOT = 1 << 20  # bytes of shared memory up to which an op gets a copy instead of running at once
_NODE_REFERENCES = 4  # its storage, the caller's local name, the parameter and getrefcount's
_LARGE_BASE = 1024  # elements of a storage whose parts are written by themselves
_SMALL_PART = 4  # a part is an operand of its own from this many times smaller than the whole
_MAX_UPLOADED = 256 << 20  # bytes uploaded since the last flush before one happens by itself
_UNPACK = {
    dtypes.float32: struct.Struct("f").unpack_from,
    dtypes.float64: struct.Struct("d").unpack_from,
    dtypes.int64: struct.Struct("q").unpack_from,
    dtypes.int32: struct.Struct("i").unpack_from,
    dtypes.bool_: struct.Struct("?").unpack_from,
}


class DeviceLog(Log):
    """The lazy graph of one device.

    Attributes:
        entries: pending nodes in the order they were made.
        misses, hits: plans made and found since the start.
        recording: set while a call is captured: flushes at guards wait, what runs is noted.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.entries: list[Node] = []
        self.plans: dict[tuple, Plan] = {}
        self.hits = 0
        self.misses = 0
        self.launches = 0
        self.recording: Capture | None = None
        self._runtime: opencl.Runtime | None = None
        self._arena: opencl.Buffer | None = None
        self._fault: opencl.Buffer | None = None
        self._fault_flags: np.ndarray | None = None  # its memory, where the host can see it
        self._packs = Packs()
        self._windowed: list[tuple[Node, Call, tuple[Node, ...]]] = []  # nodes with a part as operand; as they were
        self._uploaded = 0
        self.trace: Tracer | None = None  # set while somebody watches
        self.lock = threading.RLock()  # one thread at a time plans and sets kernel arguments

    @property
    def runtime(self) -> opencl.Runtime:
        """The device's OpenCL runtime, opened at first use."""
        if self._runtime is None:
            self._runtime = self.device.runtime
            self._fault = self._runtime.memory.alloc(16)
            self._runtime.queue.write(self._fault, 0, np.zeros(4, np.int32))
            self._fault_flags = self._fault.host_array()
        return self._runtime

    @property
    def opened_queue(self) -> opencl.Queue | None:
        """The device's queue; None as long as it was not used."""
        return self._runtime.queue if self._runtime is not None else None

    # -- making nodes -----------------------------------------------------------------------------------------------
    def add(self, call: Call, inputs: tuple[Node, ...], scalars: tuple = ()) -> Node:
        """A pending node."""
        at_once = False
        for x in inputs:
            if x.shared:
                inputs, at_once = self._unshared(call, inputs)
                break
        node = Node(call, inputs, scalars)
        if at_once:
            node.shared = True
        if call.offsets and call.op is not None and self.recording is None:
            self._use_windows(node)
        entries = self.entries
        entries.append(node)
        if len(entries) > _MAX_NODES and self.recording is None and call.lower is not None:
            self.flush_later()
        return node

    def _use_windows(self, node: Node) -> None:
        """Where an op takes a small part of a large value that is there already, a sample of a dataset perhaps: make
        the part an operand of its own, so that the plan is the same wherever the part lies."""
        call, inputs = node.call, node.inputs
        specs = None
        for i, (x, seen) in enumerate(zip(inputs, call.specs)):
            if x.buffer is None or x.shared or x.dtype is not seen.dtype or seen.numel * _SMALL_PART > x.size:
                continue
            if isinstance(x.buffer, opencl.Window):
                continue
            part = self._part(x, seen)
            if part is None:
                break
            if specs is None:
                specs, inputs = list(call.specs), list(inputs)
            specs[i] = seen.like(seen.shape, seen.stride, 0)
            inputs[i] = part
        if specs is not None:
            self._windowed.append((node, call, node.inputs))
            node.call, node.inputs = call.again(tuple(specs)), tuple(inputs)

    def _part(self, node: Node, seen: Spec) -> Node | None:
        """The memory that a view spans of a value that is there, as a value of its own; None where that cannot be."""
        size = seen.dtype.itemsize
        reach = seen.reach() - seen.offset
        window = self.runtime.memory.window(node.buffer, seen.offset * size, reach * size)
        return None if window is None else leaf(window, seen.dtype, self.device, reach)

    def add_parts(self, node: Node) -> list[Node]:
        """The results of a node of several, each as a pending node."""
        parts = node.call.parts
        if node.shared or "add" in self.__dict__:  # the latter while somebody watches
            return [self.add(part, (node,)) for part in parts]
        whole = (node,)
        made = [Node(part, whole) for part in parts]
        self.entries += made
        return made

    def write_part(self, storage: Storage, seen: Spec, value: Node, new: Spec) -> bool:
        """Write a value into a small part of a large storage at once, in place: the plan is then the same wherever the
        part lies (a row of a replay buffer, a position of a key cache). False where that cannot be: nothing is done.

        Nobody else may hold the storage's value, as it changes under its node.
        """
        base = storage.node
        size = base.call.out.numel
        if size < _LARGE_BASE or seen.numel * _SMALL_PART > size or not seen.numel:
            return False
        if self.recording is not None or storage.pin is not None or base.shared or seen.dtype is not base.dtype:
            return False
        if base.buffer is None and base.call.name != "write":  # the first part that is written: perhaps the only one
            return False
        if base.buffer is None or self.entries and not _unseen(base):
            del base
            self.flush()
            base = storage.node
        if base.buffer is None or not _unseen(base) or value.shared:
            return False
        part = self._part(base, seen)
        if part is None:
            return False
        if new.offset and value.buffer is not None and value.dtype is new.dtype:
            value, new = self._part(value, new), new.like(new.shape, new.stride, 0)
        place = Storage(part)
        place.pin = part.buffer
        call = write_call(place.node.call.out, seen.like(seen.shape, seen.stride, 0), new)
        place.put(self.add(call, (place.node, value)))
        self.flush()
        return True

    def _unshared(self, call: Call, inputs: tuple[Node, ...]) -> tuple[tuple[Node, ...], bool]:
        """Operands that see memory shared with the host as it is when the op is called: small ones as copies. For
        large ones the op must run at once, which the second result tells."""
        out = []
        at_once = False
        for x in inputs:
            if x.shared and x.buffer is None:  # one of several results of an op that must run at once
                at_once = call.static == len(x.call.parts) - 1
            elif x.shared:
                small = x.size * x.dtype.itemsize <= _SNAPSHOT
                x = self._snapshot(x, small)
                at_once = at_once or x.shared
            out.append(x)
        return tuple(out), at_once and self.recording is None

    def run_at_once(self, node: Node) -> None:
        """Finish an op that reads shared memory before the program can change it."""
        node.shared = False
        for x in node.inputs:
            if x.buffer is None:
                x.shared = False
        self.flush()
        self.runtime.queue.finish()

    def _snapshot(self, node: Node, small: bool) -> Node:
        """A copy of shared memory if it is small; the node itself if it is large or not shared any more."""
        storage = node.owner() if node.owner is not None else None
        if storage is not None and storage.node is node and not storage.still_shared():
            node.shared = False
            return node
        if self.recording is not None or not small:
            return node
        if storage is None or storage.version:  # kernels may have written there
            self.runtime.queue.finish()
        raw = node.buffer.host_array()
        return self.from_array(raw[: node.size * node.dtype.itemsize].view(node.dtype.numpy), node.dtype)

    def flush_later(self) -> None:
        """Run what is pending before the newest node, whose storage does not exist yet."""
        with self.lock:
            newest = self.entries.pop()
            self.flush()
            self.entries.append(newest)

    def from_array(self, array: np.ndarray, dtype: dtypes.dtype) -> Node:
        """A realized node with the content of a flat array in storage format."""
        runtime = self.runtime
        buffer = runtime.memory.idle_buffer(array.nbytes) or runtime.memory.alloc(array.nbytes)
        runtime.queue.write(buffer, 0, array, fresh=True)
        node = leaf(buffer, dtype, self.device, array.size)
        if self.recording is not None:
            self.recording.made.add(node)
        else:
            self._uploaded += array.nbytes
            if self._uploaded > _MAX_UPLOADED:
                self.flush()
        return node

    # -- running ----------------------------------------------------------------------------------------------------
    def flush(self) -> None:
        """Enqueue all pending work whose result a storage still holds. Does not wait.

        What cannot be planned or run raises here; values that depend on it raise the same when they are read, others
        stay pending.
        """
        if not self.entries:
            return
        with self.lock:
            entries = self.entries
            self.entries = []
            self._uploaded = 0
            count = len(entries)
            done = False
            try:
                self._flush(entries)
                done = True
            finally:
                if not done:
                    self._give_up(entries)
                if len(entries) > count:  # another thread was about to add to the old list
                    self.entries[:0] = entries[count:]

    def _flush(self, entries: list[Node]) -> None:
        if self._windowed:  # parts at the very beginning look like whole values: now they are known to be parts
            for node in entries:
                if node.call.op is not None:
                    self._use_windows(node)
        key, inputs, scalars = self._linearise(entries)
        if self._windowed and not self._without_conflict(inputs):
            key, inputs, scalars = self._linearise(entries)
        leaves = list(inputs)
        outs: list[Node] = []
        for i, node in enumerate(entries):
            owner = node.owner
            if owner is not None:
                storage = owner()
                if storage is not None and storage.node is node:
                    outs.append(node)
                    key.append(i)
        if not outs:
            return
        donatable = 0
        heirs: dict[Storage, int] = {}  # storage -> its former value among the inputs, best overwritten by its new one
        constants = self.recording.made if self.recording is not None else ()  # a replay needs them unchanged
        for bit, x in enumerate(leaves):
            owner = x.owner
            storage = owner() if owner is not None else None
            if (storage is None or storage.node is not x) and x not in constants and self._may_donate(x, storage):
                donatable |= 1 << bit
                if storage is not None:
                    heirs[storage] = bit
        former = tuple([heirs.get(node.owner(), -1) for node in outs]) if heirs else ()
        key += (None, donatable, former, settings.schedule, settings.fusion)
        whole = tuple(key)
        plan = self.plans.get(whole)
        fresh = plan is None
        if plan is None:
            plan = self._make(whole, entries, leaves, outs, donatable, former)
        else:
            self.hits += 1
        trace = self.trace
        if trace is not None:
            trace.before(self)
        self._run(plan, leaves, outs, scalars)
        if trace is not None:
            trace.after(self, plan, entries, fresh)
        if self.recording is not None:
            self.recording.flushes.append((plan, leaves, outs, scalars, whole))

    def _without_conflict(self, leaves: dict[Node, int]) -> bool:
        """Take parts of a buffer for parts again if the whole is an operand too: it may be about to be overwritten.
        Returns whether there was no such case."""
        windowed, self._windowed = self._windowed, []
        wholes = {x.buffer.base for x in leaves if isinstance(x.buffer, opencl.Window)}
        if not any(x.buffer in wholes for x in leaves):
            return True
        for node, call, inputs in windowed:
            node.call, node.inputs = call, inputs
        return False

    @staticmethod
    def _linearise(entries: list[Node]) -> tuple[list[Any], dict[Node, int], list[Any]]:
        """The canonical key's beginning, the realized inputs by number and the run-time numbers."""
        key: list[Any] = []
        leaves: dict[Node, int] = {}
        scalars: list[Any] = []
        for i, node in enumerate(entries):
            node.pos = i
            key.append(node.call)
            for x in node.inputs:
                if x.buffer is None:
                    if x.error is not None:
                        raise x.error
                    key.append(x.pos)
                else:
                    at = leaves.get(x)
                    if at is None:
                        at = leaves[x] = -1 - len(leaves)
                        key.append(x.call)
                    key.append(at)
            if node.scalars:
                scalars.extend(node.scalars)
        return key, leaves, scalars

    def _give_up(self, entries: list[Node]) -> None:
        """After a failure: mark the op that failed and all that needs it, and keep the rest pending."""
        error = sys.exc_info()[1]
        failed = getattr(error, "failed_call", None)
        broken: set[Node] = set()
        for i, node in enumerate(entries):
            if node.buffer is None and (
                failed is None or i == failed or any(x in broken or x.error is not None for x in node.inputs)
            ):
                broken.add(node)
                node.error = error
        self.entries = [node for node in entries if node.buffer is None and node not in broken] + self.entries

    @staticmethod
    def _may_donate(node: Node, storage: Storage | None) -> bool:
        """Memory shared with NumPy is only overwritten through the storage it belongs to."""
        return node.buffer.block.home is not None or (storage is not None and storage.pin is not None)

    def _make(
        self, key: tuple, entries: list[Node], leaves: list[Node], outs: list[Node], donatable: int, former: tuple
    ) -> Plan:
        self.misses += 1
        if len(self.plans) >= _MAX_PLANS:
            self.plans.clear()
        number = {x: -1 - i for i, x in enumerate(leaves)}
        calls = [(node.call, tuple(x.pos if x.buffer is None else number[x] for x in node.inputs)) for node in entries]
        b, values = lower_log(calls, [x.call.out for x in leaves], self.runtime)
        roots: list[Val] = []
        for node in outs:
            val = values[node.pos]
            if val.kind == "input" or val in roots:
                val = b.make("pw", "id", ((val, b.ref(val).view),), val.shape, val.dtype, None, True)
            roots.append(val)
        donate = {i for i in range(len(leaves)) if donatable >> i & 1}
        before = {i: number for i, number in enumerate(former) if number >= 0}
        plan = self.plans[key] = Plan(self.runtime, roots, donate, before, self._fault, self._packs)
        return plan

    def _run(self, plan: Plan, leaves: list[Node], outs: list[Node], scalars: list) -> None:
        buffers = plan.run([x.buffer for x in leaves], scalars, self.arena(plan.arena_bytes))
        self.launches += len(plan.steps)
        for node, buffer in zip(outs, buffers):
            node.buffer = buffer
            node.inputs = ()
            node.scalars = ()
            storage = node.owner()
            if storage is not None and storage.pin is not None:
                self._to_pin(node, storage)

    def _to_pin(self, node: Node, storage: Storage) -> None:
        """Bring a new value into the memory that NumPy shares."""
        pinned = storage.pin
        node.shared = True
        if node.buffer is not pinned:
            self.runtime.queue.copy(node.buffer, 0, pinned, 0, node.size * node.dtype.itemsize)
            node.buffer = pinned

    def settle(self, storage: Storage) -> None:
        """After an in-place change of shared memory: the host must see it at once."""
        if storage.still_shared() and self.recording is None:
            self.flush()
            self.runtime.queue.finish()

    def arena(self, nbytes: int) -> opencl.Buffer | None:
        """Memory for temporaries, shared by all plans: the queue runs them one after another."""
        if nbytes and (self._arena is None or self._arena.nbytes < nbytes):
            self._arena = None
            self._arena = self.runtime.memory.alloc(max(nbytes, 1 << 16))
        return self._arena

    def drop_arena(self) -> None:
        """Give the temporaries' memory back."""
        self._arena = None

    def synchronize(self) -> None:
        """Run everything and wait. Raises IndexError for an index that was out of range on the device."""
        self.flush()
        self.runtime.queue.finish()
        self.check_fault()

    def check_fault(self) -> None:
        """Raise what kernels found wrong since the last look (the queue must be idle)."""
        flags = self._fault_flags
        if flags is None:
            flags = np.zeros(16, np.uint8)
            self.runtime.queue.read(self._fault, 0, flags)
        if flags[0]:
            _, index, size, _ = (int(v) for v in flags.view(np.int32))
            self.runtime.queue.write(self._fault, 0, np.zeros(4, np.int32))
            raise IndexOutOfRange(f"index {index} is out of bounds for dimension with size {size}")

    def realize(self, node: Node) -> opencl.Buffer:
        """The node's buffer, enqueuing pending work if need be."""
        if node.buffer is None:
            if node.error is None:
                self.flush()
            if node.error is not None:
                raise node.error
            if node.buffer is None:
                raise RuntimeError("a value was dropped before it was computed: this is a bug in the engine")
        return node.buffer

    def read(self, node: Node) -> np.ndarray:
        """A copy of a node's content, flat, in storage format."""
        buffer = self.realize(node)
        out = np.empty(node.size, node.dtype.numpy)
        if self.recording is not None:
            self.recording.reads += 1
        queue = self.runtime.queue
        queue.read(buffer, 0, out)
        self.check_fault()
        return out

    def number(self, node: Node) -> Any:
        """The first element as a Python number; None if it must be read in another way."""
        unpack = _UNPACK.get(node.call.out.dtype)
        buffer = self.realize(node)
        host = buffer.block.host
        if unpack is None or host is None:
            return None
        if self.recording is not None:
            self.recording.reads += 1
        queue = self._runtime.queue
        if queue.dirty:
            queue.finish()
        if self._fault_flags is None or self._fault_flags[0]:
            self.check_fault()
        return unpack(host)[0]

    def host_view(self, node: Node) -> np.ndarray | None:
        """The node's memory itself as a flat array, where host and device share memory; waits for it."""
        buffer = self.realize(node)
        if self.recording is not None:
            self.recording.reads += 1
        self.runtime.queue.finish()
        self.check_fault()
        raw = buffer.host_array()
        return None if raw is None else raw[: node.size * node.dtype.itemsize].view(node.dtype.numpy)


def _unseen(node: Node) -> bool:
    """Whether a realized node and its buffer have no holder but the node's storage (and two frames here)."""
    return sys.getrefcount(node) <= _NODE_REFERENCES and sys.getrefcount(node.buffer) <= 2


class MetaLog(Log):
    """The log of the "meta" device: nodes are described and forgotten."""

    def __init__(self, device: Device) -> None:
        self.device = device

    def add(self, call: Call, inputs: tuple[Node, ...], scalars: tuple = ()) -> Node:
        """A node that will never have content."""
        return Node(call, ())

    def read(self, node: Node) -> np.ndarray:
        """Raises NotImplementedError-like RuntimeError: there is no content."""
        raise RuntimeError("Cannot copy out of meta tensor; no data!")

    def host_view(self, node: Node) -> np.ndarray:
        """Raises, see read."""
        return self.read(node)

    def from_array(self, array: np.ndarray, dtype: dtypes.dtype) -> Node:
        """A node of that size."""
        return leaf(None, dtype, self.device, array.size)


def log_of(device: Device) -> Any:
    """The log of a canonical device, made at first use."""
    log = device.graph
    if log is None:
        log = device.graph = MetaLog(device) if device.kind == "meta" else DeviceLog(device)
        if device.kind != "meta":
            _open.add(log)
            tracer.watch(log)
    return log


_open: weakref.WeakSet[DeviceLog] = weakref.WeakSet()


def flush_if_over(count: int) -> None:
    """Enqueue what is pending where it is more than ``count`` ops, so that what follows is planned by itself."""
    for log in _open:
        if log.recording is None and len(log.entries) > count:
            log.flush()


def flush_all() -> None:
    """Enqueue what is pending on every device in use (waits for nothing)."""
    for log in _open:
        if log.recording is None:
            log.flush()


def open_logs() -> list[DeviceLog]:
    """Logs of all devices used so far."""
    return list(_open)
