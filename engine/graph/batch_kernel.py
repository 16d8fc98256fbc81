"""The text and the arguments of a batch: several kernels of one text, over other buffers and sizes, as one launch.

Each of the kernels is a *set* of buffers, numbers and sizes. Work-groups find their set, and what is known of it when
the plan is made, in a table. Where kernels see the host's memory the table holds addresses, too; elsewhere the buffers
are arguments, among which a ``switch`` chooses, as OpenCL C 1.2 knows no pointers in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from .. import dtypes
from .elements import scalar_param, storage
from .ir import Val
from .memory_plan import Slot
from .writer import Arg, BufferArg, FaultArg, Generated, IntArg, ScalarArg

_MOST_SETS = 64  # whose buffers are arguments
_MOST_BYTES = 4096  # of parameters
_FIXED = 64  # bytes of parameters besides those of the sets


@dataclass(slots=True)
class Batch:
    """Several kernels as one.

    Attributes:
        table: what the first argument holds. ints: (argument, value). faults: the argument for the fault buffer.
        buffers: (argument, slot). numbers: (argument, run-time number, dtype).
        addresses: (position in the table, slot) of what must be written there before a launch; cells: likewise
            (position, run-time number, dtype).
    """

    name: str
    source: str
    members: list[Generated]
    table: np.ndarray
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]
    ints: list[tuple[int, int]] = field(default_factory=list)
    buffers: list[tuple[int, Slot]] = field(default_factory=list)
    numbers: list[tuple[int, int, dtypes.dtype]] = field(default_factory=list)
    addresses: list[tuple[int, Slot]] = field(default_factory=list)
    cells: list[tuple[int, int, dtypes.dtype]] = field(default_factory=list)
    faults: int | None = None


def combine(
    members: Sequence[Generated], slots: dict[Val, Slot], limit: int, fp64: bool, addresses: bool
) -> list[Batch]:
    """Launches for kernels of one text.

    Args:
        limit: bytes of parameters that the device allows. addresses: kernels may find buffers by the host's addresses.
    """
    kind = _Addressed if addresses else _Chosen
    return kind(members, slots, fp64).batches(sorted(members, key=lambda m: -m.work), limit)


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
        self.sizes = [i for i, a in enumerate(args) if isinstance(a, IntArg)]
        self.checks = any(isinstance(a, FaultArg) for a in args)

    def _twins(self, member: Generated, i: int, k: int) -> bool:
        x, y = member.args[i].val, member.args[k].val
        a, b = self.slots[x], self.slots[y]
        return x.dtype is y.dtype and (a is b or (a.kind == b.kind != "arena" and a.number == b.number))

    def _pointer(self, i: int) -> str:
        return f"__global {storage(self.args[i].val.dtype)}*"

    def _number(self, arg: Arg) -> str:
        return scalar_param(arg.dtype, self.fp64)

    def _finished(self, batch: Batch, params: list[str], lines: list[str]) -> Batch:
        """Give a batch its text: parameters, the choice of the set, the body."""
        if self.checks:
            batch.faults = len(params)
            params.append("__global int* fault")
        local = batch.local_size[0]
        item = f"(gid_ * {local} + (long)get_local_id(0))" if local > 1 else "gid_"
        body = self.body.replace("get_group_id(0)", "gid_").replace("get_global_id(0)", item)
        lines += [f"{self._pointer(i)} {self.names[i]} = {self.names[k]};" for i, k in self.same.items()]
        head = "".join(f"  {line}\n" for line in lines)
        text = f"({', '.join(params)})\n{{\n{head}{body}"
        batch.name = f"eng_batch_{blake2b(text.encode(), digest_size=6).hexdigest()}"
        batch.source = f"KATTR __kernel void {batch.name}{text}"
        return batch

    def _start(self, members: Sequence[Generated], count: int, width: int) -> tuple[Batch, np.ndarray]:
        """A batch without its text, and the rows of its table after the sets' first work-groups."""
        local = max(m.local_size[0] for m in members)
        starts = np.cumsum([0, *(-(-m.global_size[0] // local) for m in members)])
        table = np.full(count + len(members) * width, starts[-1], np.int64)
        table[: len(members)] = starts[:-1]
        rows = table[count:].reshape(len(members), width)
        return Batch("", "", list(members), table, (int(starts[-1]) * local,), (local,)), rows

    def _search(self, sets: str, top: str, width: int) -> list[str]:
        """Statements that find a work-group's set, its number in there and its row of the table."""
        return [
            "const long unit_ = get_group_id(0);",
            "long set_ = 0;",
            f"for (long step_ = {top}; step_ > 0; step_ >>= 1)",
            f"  if (set_ + step_ < {sets} && table[set_ + step_] <= unit_) set_ += step_;",
            "const long gid_ = unit_ - table[set_];",
            f"__global const long* row_ = table + {sets} + set_ * {width};",
        ]


class _Addressed(_Layout):
    """Everything about the sets is in the table: any number of them share one launch and one program."""

    def batches(self, members: Sequence[Generated], limit: int) -> list[Batch]:
        """One launch."""
        slots_of = [-(-self.args[i].dtype.itemsize // 8) for i in self.each]
        width = len(self.own) + sum(slots_of) + len(self.sizes)
        batch, rows = self._start(members, len(members), width)
        for s, member in enumerate(members):
            rows[s, width - len(self.sizes) :] = [member.args[i].value for i in self.sizes]
            first = len(members) + s * width
            batch.addresses += [(first + k, self.slots[member.args[i].val]) for k, i in enumerate(self.own)]
            at = first + len(self.own)
            for i, taken in zip(self.each, slots_of):
                batch.cells.append((at, member.args[i].number, member.args[i].dtype))
                at += taken
        params = ["__global const long* table", "long sets_", "long top_"]
        batch.ints = [(1, len(members)), (2, _top(len(members)))]
        lines = self._search("sets_", "top_", width)
        for i in self.shared:
            batch.numbers.append((len(params), self.args[i].number, self.args[i].dtype))
            params.append(f"{self._number(self.args[i])} {self.names[i]}")
        lines += [
            f"{self._pointer(i)} {self.names[i]} = ({self._pointer(i)})row_[{k}];" for k, i in enumerate(self.own)
        ]
        at = len(self.own)
        for i, taken in zip(self.each, slots_of):
            kind = self._number(self.args[i])
            place = f"row_ + {at}"
            if taken == 1:
                value = f"*(__global const {kind}*)({place})"
            else:  # a pair of doubles, as rows are aligned to single ones
                value = f"({kind})(*(__global const double*)({place}), *(__global const double*)({place} + 1))"
            lines.append(f"const {kind} {self.names[i]} = {value};")
            at += taken
        lines += [f"const long {name} = 0;" for name in self.offsets.values()]
        lines += [f"const long {self.names[i]} = row_[{at + k}];" for k, i in enumerate(self.sizes)]
        return [self._finished(batch, params, lines)]


class _Chosen(_Layout):
    """Buffers and numbers are arguments: as many sets a launch as the device has room for."""

    def batches(self, members: Sequence[Generated], limit: int) -> list[Batch]:
        """As few launches as may be; the number of sets is rounded up, for few different programs."""
        room = min(limit, _MOST_BYTES) - _FIXED - 16 * len(self.shared)
        width = 8 * (len(self.own) + sum(-(-self.args[i].dtype.itemsize // 8) for i in self.each))
        count = min(1 << (len(members) - 1).bit_length(), _MOST_SETS, max(1, room // width))
        return [self._batch(members[at : at + count], count) for at in range(0, len(members), count)]

    def _batch(self, members: Sequence[Generated], count: int) -> Batch:
        """One launch of at most ``count`` sets; where there are fewer, the last one's buffers fill the places."""
        width = len(self.offsets) + len(self.sizes)
        batch, rows = self._start(members, count, width)
        for s, member in enumerate(members):
            rows[s] = [self._offset(member.args[i]) for i in self.offsets] + [member.args[i].value for i in self.sizes]
        params = ["__global const long* table"]

        def number(arg: Arg, name: str) -> None:
            batch.numbers.append((len(params), arg.number, arg.dtype))
            params.append(f"{self._number(arg)} {name}")

        for i in self.shared:
            number(self.args[i], self.names[i])
        for s in range(count):
            member = members[min(s, len(members) - 1)]
            for i in self.own:
                batch.buffers.append((len(params), self.slots[member.args[i].val]))
                params.append(f"{self._pointer(i)} p{i}_{s}")
            for i in self.each:
                number(member.args[i], f"p{i}_{s}")
        return self._finished(batch, params, self._choice(count, width))

    def _offset(self, arg: BufferArg) -> int:
        slot = self.slots[arg.val]
        return slot.offset // arg.val.dtype.itemsize if slot.kind == "arena" else 0

    def _choice(self, count: int, width: int) -> list[str]:
        lines = self._search(str(count), str(_top(count)), width)
        chosen = [(i, self._pointer(i)) for i in self.own] + [(i, self._number(self.args[i])) for i in self.each]
        lines += [f"{kind} {self.names[i]} = p{i}_0;" for i, kind in chosen]
        lines.append("switch (set_) {")
        for s in range(1, count):
            lines.append(f"case {s}: " + "".join(f"{self.names[i]} = p{i}_{s}; " for i, _ in chosen) + "break;")
        lines.append("}")
        names = [*self.offsets.values(), *(self.names[i] for i in self.sizes)]
        return lines + [f"const long {name} = row_[{at}];" for at, name in enumerate(names)]


def _top(count: int) -> int:
    """The largest power of two below ``count``, the first step of a search among so many (0 for one)."""
    return 1 << (count - 1).bit_length() - 1 if count > 1 else 0
