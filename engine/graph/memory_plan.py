"""Where every value of a plan lives: inputs, outputs of their own, donated inputs, or one arena by lifetime."""

from __future__ import annotations

from dataclasses import dataclass

from .fuse import BASE, Group, same_places
from .ir import Val

_ALIGN = 128


@dataclass(eq=False, slots=True)
class Slot:
    """Memory for one value after another. ``kind`` "in" (plan input ``number``), "out" (plan output ``number``) or
    "arena" (byte ``offset``, set when all lifetimes are known). ``first`` and ``last``: kernels it is in use."""

    kind: str
    number: int
    nbytes: int
    first: int
    last: int
    occupant: Val
    offset: int = 0


class _Slots(dict):
    """Slots by value; a value without elements, which no kernel makes, is anywhere."""

    def __missing__(self, val: Val) -> Slot:
        if 0 not in val.shape:
            raise KeyError(val)
        return Slot("arena", 0, 0, 0, 0, val)


@dataclass(slots=True)
class Copy:
    """Bytes to copy before a kernel runs, to keep a value that the kernel is about to overwrite."""

    source: Slot
    target: Slot
    nbytes: int


class MemoryPlan:
    """Slots of all values, copies needed before groups, the arena's size, and which outputs reuse which inputs.

    Args:
        steps: kernels in order, those that run at the same time together. outputs: values that outlive the plan.
        donatable: numbers of inputs that nobody needs afterwards. former: for outputs that follow an input in the same
            storage, that input: best overwritten, so that things stay where they are from run to run.
    """

    def __init__(
        self, steps: list[list[Group]], outputs: list[Val], donatable: set[int], former: dict[int, int] | None = None
    ) -> None:
        self.outputs = {v: i for i, v in enumerate(outputs)}
        self.slots: dict[Val, Slot] = _Slots()
        self.copies: dict[int, list[Copy]] = {}
        self.donated: dict[int, int] = {}  # output -> input whose buffer it takes
        self._donatable = donatable
        self._former = former or {}
        self._promised = set(self._former.values())
        self._last: dict[Val, int] = {}
        self._last_readers: dict[Val, int] = {}  # how many kernels read it in the last step that does
        self._arena: list[Slot] = []
        for t, groups in enumerate(steps):
            for val in (v for group in groups for v in group.reads):
                self._last_readers[val] = 1 + (self._last_readers[val] if self._last.get(val) == t else 0)
                self._last[val] = t
                if val.kind == "input":
                    self.slots[val] = Slot("in", val.attrs, nbytes(val), -1, t, val)
        for t, groups in enumerate(steps):
            for group in groups:
                for val in made(group):
                    self._place(val, group, t)
                if group.host is not None:
                    self.slots[group.native] = self.slots[group.host]
        self.arena_bytes = _pack(self._arena)

    def _place(self, val: Val, group: Group, t: int) -> None:
        if val.kind == "write" or (val.kind == "kernel" and val.attrs.inplace):
            base = val.args[0][0]
            if not (base.kind == "const" and base.attrs is None):
                if self._dead_after(base, t) and _alone(val, base, group) and self._adopt(val, base, t):
                    return
                slot = self._fresh(val, t)
                self.copies.setdefault(t, []).append(Copy(self.slots[base], slot, nbytes(val)))
                return
        elif (group.pure or _after_reduce(val, group)) and self._take_over(val, group, t):
            return
        self._fresh(val, t)

    def _dead_after(self, val: Val, t: int) -> bool:
        """Whether a kernel of step ``t`` that reads ``val`` is the last to do so."""
        last = self._last.get(val, -1)
        return val not in self.outputs and (last < t or (last == t and self._last_readers[val] == 1))

    def _fresh(self, val: Val, t: int) -> Slot:
        number = self.outputs.get(val)
        last = self._last.get(val, t)
        slot = Slot("arena" if number is None else "out", number or 0, nbytes(val), t, max(t, last), val)
        if number is None:
            self._arena.append(slot)
        self.slots[val] = slot
        return slot

    def _adopt(self, val: Val, source: Val, t: int) -> bool:
        """Let ``val`` live where ``source`` did, if that memory may hold it."""
        slot = self.slots[source]
        number = self.outputs.get(val)
        if slot.occupant is not source or slot.nbytes != nbytes(val):
            return False
        if slot.kind == "in":
            if slot.number not in self._donatable:
                return False
            if number is not None:
                self.donated[number] = slot.number
                self._donatable.discard(slot.number)
        elif number is not None:
            if slot.kind == "out":
                return False
            slot.kind, slot.number = "out", number
            self._arena.remove(slot)
        slot.occupant = val
        slot.last = max(slot.last, self._last.get(val, t))
        self.slots[val] = slot
        return True

    def _take_over(self, val: Val, group: Group, t: int) -> bool:
        """Donation: an elementwise result may replace an operand read at the same places and never again."""
        dest = group.maps.get(val)
        if dest is None:
            return False
        own = self._former.get(self.outputs.get(val, -1), -1)
        ranked = sorted(group.accesses.items(), key=lambda item: not (item[0].kind == "input" and item[0].attrs == own))
        for source, views in ranked:
            if source.kind == "input" and source.attrs != own and source.attrs in self._promised:
                continue
            if source.size == val.size and source.dtype is val.dtype and all(same_places(v, dest) for v in views):
                free = source in self.slots and source not in group.maps and self._dead_after(source, t)
                if free and self._adopt(val, source, t):
                    return True
        return False


def _after_reduce(val: Val, group: Group) -> bool:
    """Whether a kernel stores ``val`` once a row, after its only reduction, when it has read all that the row needs."""
    outer = len(group.outer)
    return len(group.reduces) == 1 and all(
        m.val in group.maps and not any(group.maps[m.val].strides[outer:]) for m in group.members
    )


def _alone(val: Val, base: Val, group: Group) -> bool:
    """Whether a kernel that writes into ``base`` reads no element of it that another of its work-items may change."""
    if group.native is not None:
        return all(v is not base for v, _ in val.args[val.attrs.inplace :])
    others = group.accesses[base] - {BASE}
    return not others or (group.pure and others == {next(m.dest for m in group.members if m.val is val)})


def made(group: Group) -> list[Val]:
    """Values a kernel brings into memory."""
    if group.native is not None:
        own = [] if group.host is not None else group.outs or [group.native]
        return own + [m.val for m in group.members]
    return [m.val for m in group.members] + [m.val for m in group.reduces if m.val in group.stores]


def nbytes(val: Val) -> int:
    """Bytes of a value in memory."""
    return val.size * val.dtype.itemsize


def _pack(slots: list[Slot]) -> int:
    """Give arena slots offsets so that those in use at the same time do not overlap; returns the arena's size.

    Largest first, each at the lowest place free over its lifetime (greedy by size; Pisarchyk and Lee 2020).
    """
    placed: list[Slot] = []
    total = 0
    for slot in sorted(slots, key=lambda s: -s.nbytes):
        size = _rounded(slot.nbytes)
        start = 0
        for other in sorted(
            (p for p in placed if p.first <= slot.last and slot.first <= p.last), key=lambda p: p.offset
        ):
            if start + size <= other.offset:
                break
            start = max(start, other.offset + _rounded(other.nbytes))
        slot.offset = start
        placed.append(slot)
        total = max(total, start + size)
    return total


def _rounded(size: int) -> int:
    return -(-max(size, 1) // _ALIGN) * _ALIGN
