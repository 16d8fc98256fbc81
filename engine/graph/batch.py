"""Horizontal fusion: independent kernels of the same text, over other buffers and sizes, run as one launch.

An optimizer that updates a hundred parameters needs one kernel a parameter, all with the same code. A batch holds the
buffers of several such *sets* as arguments; its work-groups find their set, and the sizes of it, in a small table.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from .elements import scalar_param, storage
from .fuse import Group
from .ir import Val
from .memory_plan import Slot, made, nbytes
from .writer import BufferArg, FaultArg, Generated, IntArg, ScalarArg

_LIGHT = 1 << 16  # bytes of temporaries that a kernel may make earlier than its place in the order
_MOST_SETS = 64
_FIXED = 64  # bytes of parameters besides those of the sets
_PLACES = ("get_num_groups", "get_global_size", "get_local_size", "__kernel", "get_global_offset")


def fits(kernel: Generated) -> bool:
    """Whether a kernel's work-groups can be told where they are by numbers."""
    body = kernel.source.split("\n{\n", 1)[-1]
    return len(kernel.global_size) == 1 and not any(name in body for name in _PLACES)


def batches(groups: list[Group], name_of: Callable[[Group], object], outputs: set[Val]) -> list[list[Group]]:
    """Kernels in an order that respects their dependencies, those of equal name (None: alone) together where none of
    them needs another, and where running them early costs no memory to speak of.

    ``groups``: in order. ``outputs``: values whose memory is there before the plan runs.
    """
    names = [name_of(g) for g in groups]
    if len({n for n in names if n is not None}) == sum(n is not None for n in names):
        return [[g] for g in groups]
    return _Scheduler(groups, names, outputs).run()


class _Scheduler:
    def __init__(self, groups: list[Group], names: list[object], outputs: set[Val]) -> None:
        self.groups = groups
        self.names = names
        self.outputs = outputs
        self.done = [False] * len(groups)
        self.readers: dict[Val, list[int]] = {}
        home: dict[Val, int] = {}
        for i, group in enumerate(groups):
            home.update(dict.fromkeys(made(group), i))
            if group.native is not None:
                home[group.native] = i
            for val in group.reads:
                self.readers.setdefault(val, []).append(i)
        self.waiting = [0] * len(groups)
        self.users: list[list[int]] = [[] for _ in groups]
        for i, group in enumerate(groups):
            needed = {home[v] for v in group.reads if v in home} - {i}
            self.waiting[i] = len(needed)
            for n in needed:
                self.users[n].append(i)
        self.ready: dict[object, list[int]] = {}  # by name, those with nothing to wait for
        for i in range(len(groups)):
            if not self.waiting[i]:
                self.ready.setdefault(names[i], []).append(i)

    def run(self) -> list[list[Group]]:
        out = []
        for i in range(len(self.groups)):  # the given order is one that works
            if self.done[i]:
                continue
            batch = [i]
            if self.names[i] is not None:
                batch += [k for k in self.ready[self.names[i]] if k != i and self._early(k)]
            for k in batch:
                self._finish(k)
            out.append([self.groups[k] for k in batch])
        return out

    def _finish(self, k: int) -> None:
        self.done[k] = True
        self.ready[self.names[k]].remove(k)
        for user in self.users[k]:
            self.waiting[user] -= 1
            if not self.waiting[user]:
                self.ready.setdefault(self.names[user], []).append(user)

    def _early(self, k: int) -> bool:
        """Whether a ready kernel may run before its place: it makes no large temporaries, and nobody still has to read
        what it may overwrite."""
        group = self.groups[k]
        if sum(nbytes(v) for v in made(group) if v not in self.outputs) > _LIGHT:
            return False
        large = [v for v in group.reads if nbytes(v) > _LIGHT]
        return all(self.done[r] for v in large for r in self.readers[v] if r < k)


@dataclass(slots=True)
class Batch:
    """Several kernels as one. ``table``: what its first argument holds. ``buffers``: (argument, slot); ``numbers``:
    (argument, run-time number, dtype); ``faults``: the argument for the fault buffer, or None."""

    name: str
    source: str
    members: list[Generated]
    table: np.ndarray
    buffers: list[tuple[int, Slot]]
    numbers: list[tuple]
    faults: int | None
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]


def combine(members: Sequence[Generated], slots: dict[Val, Slot], limit: int, fp64: bool) -> list[Batch]:
    """Launches for kernels of one text. ``limit``: bytes of parameters that the device allows."""
    layout = _Layout(members, slots, fp64)
    most = max(1, min(_MOST_SETS, (min(limit, 4096) - _FIXED - 8 * len(layout.shared)) // max(layout.width, 1)))
    ordered = sorted(members, key=lambda m: -m.work)
    count = 1 << max(len(members) - 1, 1).bit_length()  # few different programs
    count = min(count, most)
    return [layout.batch(ordered[at : at + count], count) for at in range(0, len(ordered), count)]


class _Layout:
    """Which parameters the sets of a batch have: buffers that share memory in all of them are one."""

    def __init__(self, members: Sequence[Generated], slots: dict[Val, Slot], fp64: bool) -> None:
        self.slots = slots
        self.fp64 = fp64
        self.args = args = members[0].args
        head, self.body = members[0].source.split("\n{\n", 1)
        formal = iter(head[head.index("(") + 1 : -1].split(", "))
        self.names: list[str] = []  # of the arguments, in the body
        self.offsets: dict[int, str] = {}
        self.own: list[int] = []  # buffers that every set has for itself
        self.same: dict[int, int] = {}  # buffer -> an earlier one that is the same memory in all sets
        for i, arg in enumerate(args):
            self.names.append(next(formal).split(" ")[-1])
            if isinstance(arg, BufferArg):
                self.offsets[i] = next(formal).split(" ")[-1]
                twin = next((k for k in self.own if all(self._twins(m, i, k) for m in members)), None)
                if twin is None:
                    self.own.append(i)
                else:
                    self.same[i] = twin
        numbers = [i for i, a in enumerate(args) if isinstance(a, ScalarArg)]
        self.shared = [i for i in numbers if len({m.args[i].number for m in members}) == 1]
        self.each = [i for i in numbers if i not in self.shared]
        self.width = 8 * (len(self.own) + len(self.each))

    def _twins(self, member: Generated, i: int, k: int) -> bool:
        x, y = member.args[i].val, member.args[k].val
        a, b = self.slots[x], self.slots[y]
        return x.dtype is y.dtype and (a is b or (a.kind == b.kind != "arena" and a.number == b.number))

    def batch(self, members: Sequence[Generated], count: int) -> Batch:
        """One launch of at most ``count`` sets; where there are fewer, the last one's buffers fill the places."""
        local = max(m.local_size[0] for m in members)
        starts = np.cumsum([0, *(-(-m.global_size[0] // local) for m in members)])
        rows = np.array([self._row(m) for m in members], np.int64)
        table = np.full(count + rows.size, starts[-1], np.int64)
        table[: len(members)] = starts[:-1]
        table[count:] = rows.reshape(-1)
        params, buffers, numbers = ["__global const long* table"], [], []

        def number(member: Generated, i: int, name: str) -> None:
            arg = member.args[i]
            numbers.append((len(params), arg.number, arg.dtype))
            params.append(f"{scalar_param(arg.dtype, self.fp64)} {name}")

        for i in self.shared:
            number(members[0], i, self.names[i])
        for s in range(count):
            member = members[min(s, len(members) - 1)]
            for i in self.own:
                buffers.append((len(params), self.slots[member.args[i].val]))
                params.append(f"{self._pointer(i)} p{i}_{s}")
            for i in self.each:
                number(member, i, f"p{i}_{s}")
        faults = None
        if any(isinstance(a, FaultArg) for a in self.args):
            faults = len(params)
            params.append("__global int* fault")
        text = f"({', '.join(params)})\n{{\n{self._choice(count, rows.shape[1])}{self._placed(local)}"
        name = f"eng_batch_{blake2b(text.encode(), digest_size=6).hexdigest()}"
        size = (int(starts[-1]) * local,)
        source = f"KATTR __kernel void {name}{text}"
        return Batch(name, source, list(members), table, buffers, numbers, faults, size, (local,))

    def _row(self, member: Generated) -> list[int]:
        """A set's numbers: the element offsets of its buffers, then its sizes."""
        offsets = []
        for arg in member.args:
            if isinstance(arg, BufferArg):
                slot = self.slots[arg.val]
                offsets.append(slot.offset // arg.val.dtype.itemsize if slot.kind == "arena" else 0)
        return offsets + [arg.value for arg in member.args if isinstance(arg, IntArg)]

    def _pointer(self, i: int) -> str:
        return f"__global {storage(self.args[i].val.dtype)}*"

    def _choice(self, count: int, length: int) -> str:
        """A work-group's set and what belongs to it, under the names that the body uses."""
        lines = [
            "const long unit_ = get_group_id(0);",
            "int set_ = 0;",
            f"for (int step_ = {1 << (count - 1).bit_length() - 1}; step_ > 0; step_ >>= 1)",
            f"  if (set_ + step_ < {count} && table[set_ + step_] <= unit_) set_ += step_;",
            "const long gid_ = unit_ - table[set_];",
            f"__global const long* row_ = table + {count} + (long)set_ * {length};",
        ]
        variables = [(i, self._pointer(i)) for i in self.own]
        variables += [(i, scalar_param(self.args[i].dtype, self.fp64)) for i in self.each]
        lines += [f"{kind} {self.names[i]} = p{i}_0;" for i, kind in variables]
        lines.append("switch (set_) {")
        for s in range(1, count):
            lines.append(f"case {s}: " + "".join(f"{self.names[i]} = p{i}_{s}; " for i, _ in variables) + "break;")
        lines.append("}")
        lines += [f"{self._pointer(i)} {self.names[i]} = {self.names[k]};" for i, k in self.same.items()]
        at = 0
        for kinds in (BufferArg, IntArg):
            for i, arg in enumerate(self.args):
                if isinstance(arg, kinds):
                    name = self.offsets[i] if kinds is BufferArg else self.names[i]
                    lines.append(f"const long {name} = row_[{at}];")
                    at += 1
        return "".join(f"  {line}\n" for line in lines)

    def _placed(self, local: int) -> str:
        """The body, with a work-group's number within its set."""
        item = f"(gid_ * {local} + (long)get_local_id(0))" if local > 1 else "gid_"
        return self.body.replace("get_group_id(0)", "gid_").replace("get_global_id(0)", item)
