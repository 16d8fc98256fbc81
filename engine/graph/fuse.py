"""Fusion: which values share a kernel.

A generated kernel runs over one index *space*: outer dimensions, then reduced ones. Every value it stores or reduces
is a *member* with an affine map from the space into the value's flat content. Pointwise values are computed where they
are used; reductions anchor a space, take their producers in and let later work over the same rows join them, so a row
pattern such as softmax or a layer norm with its backward ends as one kernel.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from . import scalar
from .chains import extends
from .ir import KEPT, Val
from .view import View, compose, is_contiguous, row_major

_LONG = 80  # a value with several users and more work than this behind it is always kept
_DEAR = 9  # recomputing up to this cost in a second kernel is cheaper than a store and a load
_MAX_BUFFERS = 18  # of one generated kernel: parameters of a kernel may be bounded by 1024 bytes in all
_MAX_EPILOGUE = 10  # buffers of a library kernel's epilogue
_IN_MEMORY = ("input", "kernel", "host", "output", "bitcast", "write")
_ANYWHERE = View((-1,), (0,), 0)  # the access of an indexed read: no map describes it
BASE = View((-2,), (0,), 0)  # the access of a write to what it writes into: it keeps the rest, it does not read


@dataclass(slots=True)
class Member:
    """A value made by a kernel: computed at ``at`` (space -> flat position of ``root``), stored at ``dest``.

    For a "write" the root is the written value and ``dest`` its place in the base; otherwise root is the value itself.
    Reductions carry in ``at`` the map of their operand.
    """

    val: Val
    root: Val
    at: View
    dest: View


@dataclass(eq=False)
class Group:
    """One kernel: a space, its members in order, and the values it reads from memory."""

    outer: tuple[int, ...] = ()
    inner: tuple[int, ...] = ()
    members: list[Member] = field(default_factory=list)
    reduces: list[Member] = field(default_factory=list)
    native: Val | None = None  # a library kernel or host call; members of its group are its epilogue
    host: Val | None = None  # the member stored in the place of the native value, which nobody else reads
    outs: list[Val] = field(default_factory=list)  # of a native kernel, by output number (gaps: not used)
    reads: set[Val] = field(default_factory=set)
    accesses: dict[Val, set[View]] = field(default_factory=dict)
    maps: dict[Val, View] = field(default_factory=dict)
    stores: set[Val] = field(default_factory=set)
    chained: set[Val] = field(default_factory=set)  # writes into what another member has written

    @property
    def space(self) -> tuple[int, ...]:
        """All dimensions."""
        return self.outer + self.inner

    @property
    def pure(self) -> bool:
        """Pointwise only."""
        return self.native is None and not self.reduces


class Refused(Exception):
    """A value cannot be computed in place of use; it must be stored."""

    def __init__(self, val: Val) -> None:
        super().__init__(val.uid)
        self.val = val


def fuse(outputs: list[Val], join: bool = True) -> list[Group]:
    """Kernels, in an order that respects their dependencies, that bring all ``outputs`` into memory.

    Without ``join`` every primitive is a kernel of its own: slow, for finding out whether fusion is at fault.
    """
    order = reachable(outputs)
    stored = _forced(order, outputs)
    if not join:
        stored.update(v for v in order if v.kind in ("pw", "take", "reduce"))
    while True:
        try:
            groups = _Fuser(order, stored, join, set(outputs)).run()
        except Refused as refusal:
            if refusal.val in stored:
                raise RuntimeError(f"the planner cannot place {refusal.val!r}: this is a bug in the engine") from None
            stored.add(refusal.val)
            continue
        extra = _recomputed_dearly(groups, stored)
        if not extra:
            return _sorted(groups)
        stored |= extra


def reachable(outputs: list[Val]) -> list[Val]:
    """Everything the outputs depend on, producers first."""
    seen: set[Val] = set()
    stack = list(outputs)
    while stack:
        val = stack.pop()
        if val not in seen:
            seen.add(val)
            stack.extend(v for v, _ in val.args)
    return sorted(seen, key=lambda v: v.uid)


def _forced(order: list[Val], outputs: list[Val]) -> set[Val]:
    """Values that must be in memory whatever fusion does."""
    stored = {v for v in outputs if v.kind not in ("input",)}
    for val in order:
        if val.kind in ("kernel", "host", "bitcast", "output"):
            stored.update(v for v, _ in val.args)
        elif val.kind in ("take", "write"):
            stored.add(val.args[0][0])
        if val.kind in _IN_MEMORY or (val.kind == "pw" and val.attrs == KEPT):
            stored.add(val)
    stored |= _long_chains(order, stored)
    return {v for v in stored if v.kind != "input" and not (v.kind == "const" and v.attrs is None)}


def _long_chains(order: list[Val], stored: set[Val]) -> set[Val]:
    """Values with several users whose computation has grown long: kept, or recurrences would be unrolled into each."""
    users: dict[Val, int] = {}
    for val in order:
        for arg in {v for v, _ in val.args}:
            users[arg] = users.get(arg, 0) + 1
    kept: set[Val] = set()
    cost: dict[Val, int] = {}
    for val in order:
        if val.inline and val not in stored:
            total = _own_cost(val) + sum(cost.get(v, 0) for v, _ in val.args)
            if total > _LONG and users.get(val, 0) > 1:
                kept.add(val)
                total = 0
            cost[val] = total
    return kept


def leaves(root: Val, at: View, in_memory: set[Val], stop: dict[Val, View] | None = None) -> list[tuple[Val, View]]:
    """What computing ``root`` over the space reads: (value in memory or reduction, map of the space into it).

    Values of ``stop`` (other members of the kernel) end the walk as well. Raises Refused for a value whose place in
    the expression is not affine.
    """
    found: list[tuple[Val, View]] = []
    seen: set[tuple[Val, View]] = set()
    stack = [(root, at)]
    first = True
    while stack:
        val, view = stack.pop()
        if (val, view) in seen:
            continue
        seen.add((val, view))
        ends = val.kind in _IN_MEMORY or val.kind == "reduce" or val in in_memory or (stop is not None and val in stop)
        if ends and not first:
            found.append((val, view))
            continue
        first = False
        if val.kind == "take":
            found.append((val.args[0][0], _ANYWHERE))
            arguments = val.args[1:]
        else:
            arguments = val.args
        for arg, through in arguments:
            inner = compose(view, val.shape, through.strides, through.offset)
            if inner is None:
                raise Refused(val)
            stack.append((arg, inner))
    return found


def _own_cost(val: Val) -> int:
    if val.kind == "pw":
        return 1 if val.fn == "cast" else scalar.lookup(val.fn).cost
    return 3 if val.kind == "take" else 0


def _cost(val: Val, memo: dict[Val, int], stored: set[Val]) -> int:
    known = memo.get(val)
    if known is None:
        known = _own_cost(val) + sum(_cost(v, memo, stored) for v, _ in val.args if v.inline and v not in stored)
        memo[val] = known
    return known


def _recomputed_dearly(groups: list[Group], stored: set[Val]) -> set[Val]:
    """Inlined values that several kernels compute although that costs more than keeping them."""
    users: dict[Val, int] = {}
    for group in groups:
        inlined: set[Val] = set()
        stack = [m.root for m in group.members] + [v for m in group.reduces for v, _ in m.val.args]
        while stack:
            val = stack.pop()
            if val in inlined or not val.inline or (val in stored and val not in group.stores):
                continue
            inlined.add(val)
            stack.extend(v for v, _ in val.args)
        for val in inlined:
            users[val] = users.get(val, 0) + 1
    memo: dict[Val, int] = {}
    dear = {v for v, n in users.items() if n > 1 and v not in stored and _cost(v, memo, stored) > _DEAR}
    # Keep only the last value of each dear chain: storing it already spares its producers.
    return {v for v in dear if not any(v in (a for a, _ in u.args) and users[u] >= users[v] for u in dear)}


class _Fuser:
    def __init__(self, order: list[Val], stored: set[Val], join: bool, outputs: set[Val]) -> None:
        self.order = order
        self.stored = stored
        self.outputs = outputs
        self.join = join
        self.groups: list[Group] = []
        self.home: dict[Val, Group] = {}
        self.ancestors: list[int] = []  # of the group numbered i: a bit for each group it needs, directly or not
        self.needed = 0  # a bit for each group that another one needs
        self.number: dict[Group, int] = {}
        self.users = dict.fromkeys(outputs, 1)
        for val, _ in (arg for v in order for arg in v.args):
            self.users[val] = self.users.get(val, 0) + 1
        self.forms: dict[Val, int] = {}
        self.known_forms: dict[tuple, int] = {}

    def run(self) -> list[Group]:
        for val in self.order:
            if val.kind in ("kernel", "host", "bitcast", "output"):
                self._native(val)
            elif val.kind == "reduce":
                self._place_reduce(val)
            elif val.kind == "write":
                value, through = val.args[1]
                self._place_pointwise(val, value, through, val.attrs)
            elif val in self.stored and val.kind != "input":
                self._place_pointwise(val, val, View.of(val.shape), View.of(val.shape))
        for group in self.groups:
            for val in group.reads:
                home = self.home.get(val)
                if home is not None and home is not group:
                    home.stores.add(val)
        for val in self.stored:
            home = self.home.get(val)
            if home is not None:
                home.stores.add(val)
        self._settle_hosts()
        return [g for g in self.groups if g.members or g.reduces or g.native is not None]

    def _native(self, val: Val) -> None:
        if val.kind == "output":
            group = self.home[val.args[0][0]]
            group.outs.append(val)
        else:
            group = self._new_group(Group(native=val, reads={v for v, _ in val.args}))
            self._depend(group, [v for v, _ in val.args])
        group.stores.add(val)
        self.home[val] = group

    # -- reductions -------------------------------------------------------------------------------------------------
    def _place_reduce(self, val: Val) -> None:
        operand, through = val.args[0]
        outer = val.shape
        inner = through.shape[len(outer) :]
        member = Member(val, operand, through, _rows(outer, inner))
        reads = self._reads(operand, through)
        group = self._rows_group(member, outer, inner, reads)
        if group is None:
            group = self._new_group(Group(outer, inner))
            self._absorb(group, reads)
        group.reduces.append(member)
        self._enter(group, val, member.dest, reads)

    def _reads(self, root: Val, at: View) -> list[tuple[Val, View]]:
        if root.kind in _IN_MEMORY or root.kind == "reduce" or root in self.stored:
            return [(root, at)]
        return leaves(root, at, self.stored)

    def _rows_group(
        self, member: Member, outer: tuple[int, ...], inner: tuple[int, ...], reads: list[tuple[Val, View]]
    ) -> Group | None:
        """An existing kernel over the same rows that may take this reduction."""
        for group in reversed(self.groups[-64:] if self.join else []):
            if group.native is None and group.reduces and group.outer == outer and group.inner == inner:
                if self._related(group, reads) and self._admits(group, reads):
                    return group
        return None

    def _absorb(self, group: Group, reads: list[tuple[Val, View]]) -> None:
        """Move stored pointwise operands of a reduction into its kernel, so that they are read once."""
        for val, at in reads if self.join else ():
            home = self.home.get(val)
            if home is None or not home.pure or len(home.members) != 1 or home.members[0].val.kind == "write":
                continue
            if val.size != at.size or not _bijective(at) or val.size < 2:
                continue
            if any(self._depends(self.home[v], home) for v, _ in reads if v in self.home and v is not val):
                continue
            if self.needed >> self.number[home] & 1:
                continue
            try:
                inner_reads = leaves(val, at, self.stored)
            except Refused:
                continue
            self.groups.remove(home)
            group.members.append(Member(val, val, at, at))
            self._enter(group, val, at, inner_reads)

    # -- pointwise --------------------------------------------------------------------------------------------------
    def _place_pointwise(self, val: Val, root: Val, through: View, dest: View) -> None:
        reads = self._reads(root, through) if root is not val else leaves(root, through, self.stored)
        if root is val and self._join_kernel(val, reads):
            return
        base = [(val.args[0][0], BASE)] if val.kind == "write" else []
        for group in self._candidates([*reads, *base], through.shape, root):
            space = self._alignment(group, through.shape, reads)
            if space is None:
                continue
            at = compose(space, through.shape, through.strides, through.offset)
            into = compose(space, dest.shape, dest.strides, dest.offset)
            if at is None or into is None:
                continue
            if at == through:
                inside = reads
            else:
                try:
                    inside = self._reads(root, at) if root is not val else leaves(root, at, self.stored)
                except Refused:
                    continue
            if base and group.pure and extends(val, into, {m.val: m.dest for m in group.members}, self.users):
                if not self._admits(group, inside, chained=1):
                    continue
                group.chained.add(val)
            elif not self._admits(group, [*inside, *base]):
                continue
            group.members.append(Member(val, root, at, into))
            self._enter(group, val, into if root is val else None, inside)
            return
        group = self._new_group(Group(through.shape, ()))
        group.members.append(Member(val, root, through, dest))
        self._enter(group, val, dest if root is val else None, reads)

    def _join_kernel(self, val: Val, reads: list[tuple[Val, View]]) -> bool:
        """Let a library kernel compute a pointwise value of its result while that is in a cache (see epilogue.py)."""
        if not self.join:
            return False
        for product in sorted({v for v, _ in reads}, key=lambda v: -v.uid):
            group = self.home.get(product)
            space = group.native.attrs.epilogue if group is not None and _has_hook(group.native) else None
            if space is None or val.size != product.size or _scattered(val, self.stored):
                continue
            at = View.of(space)
            try:
                inside = leaves(val, at, self.stored)
            except Refused:
                continue
            if self._fits_epilogue(group, at, inside):
                group.members.append(Member(val, val, at, at))
                self._enter(group, val, at, inside)
                return True
        return False

    def _fits_epilogue(self, group: Group, at: View, reads: list[tuple[Val, View]]) -> bool:
        """Whether a kernel can do with what is there before it runs, and with its own values in place."""
        for val, view in reads:
            home = self.home.get(val)
            if home is group:
                if not same_places(view, at):
                    return False
            elif home is not None and self._depends(home, group):
                return False
        return len({v for v, _ in reads}) + len(group.members) <= _MAX_EPILOGUE

    def _settle_hosts(self) -> None:
        """Results of library kernels that only their own epilogues read need no memory of their own."""
        read = {v for g in self.groups for v in g.reads} | self.outputs
        for group in self.groups:
            if group.native is not None and group.members and group.native not in read:
                group.host = next((m.val for m in group.members if m.val.dtype is group.native.dtype), None)

    def _candidates(self, reads: list[tuple[Val, View]], shape: tuple[int, ...], root: Val) -> list[Group]:
        """Kernels a pointwise value might join, the best first: those it reads from, then any over the same shape.

        An unrelated one that does the same with other buffers is left alone: it will share a launch, not the text.
        """
        found: dict[Group, None] = {}
        if not self.join:
            return []
        for val, _ in sorted(reads, key=lambda r: -r[0].uid):
            home = self.home.get(val)
            if home is not None and home.native is None:
                found[home] = None
        read_vals = {v for v, _ in reads}
        for group in reversed(self.groups[-64:]):
            if group.native is None and group not in found and len(group.reads) < _MAX_BUFFERS:
                shared = read_vals & group.reads
                if group.reduces and shared:
                    found[group] = None
                elif group.pure and group.outer == shape:
                    related = any(v.size > 1 for v in shared)
                    if related or all(self._form(m.root) != self._form(root) for m in group.members):
                        found[group] = None
        return list(found)

    def _form(self, val: Val) -> int:
        """A number for how a value is computed from what lies in memory, whatever that is."""
        known = self.forms.get(val)
        if known is None:
            number = None if val.kind == "scalar" else val.attrs
            args = [
                ((v.dtype,) if v in self.stored or v.kind in (*_IN_MEMORY, "reduce") else self._form(v), at)
                for v, at in val.args
            ]
            form = (val.kind, val.fn, number, val.dtype, *args)
            known = self.forms[val] = self.known_forms.setdefault(form, len(self.known_forms))
        return known

    def _alignment(self, group: Group, shape: tuple[int, ...], reads: list[tuple[Val, View]]) -> View | None:
        """The map of the group's space onto the flat positions of an array of ``shape``, or None."""
        steps = row_major(shape)
        if group.pure:
            return View(group.outer, steps, 0) if group.outer == shape else None
        for val, view in reads:
            if view is not _ANYWHERE and (val in group.maps or val in group.reads):
                space = _match(group, group.maps.get(val) or self._access(group, val), shape, view, steps)
                if space is not None:
                    return space
        return None

    def _access(self, group: Group, val: Val) -> View | None:
        """How ``group`` reads a value from memory (its first access)."""
        for member in group.reduces + group.members:
            for leaf, view in self._reads(member.root, member.at):
                if leaf is val:
                    return view
        return None

    # -- legality ---------------------------------------------------------------------------------------------------
    def _related(self, group: Group, reads: list[tuple[Val, View]]) -> bool:
        return any(v in group.maps or v in group.reads for v, _ in reads)

    def _admits(self, group: Group, reads: list[tuple[Val, View]], chained: int = 0) -> bool:
        """Whether work with these reads may be added without a cycle or a read of a neighbour's result."""
        for val, view in reads:
            own = group.maps.get(val)
            if own is not None:
                if not same_places(own, view):
                    return False
                continue
            home = self.home.get(val)
            if home is group:
                return False
            if home is not None and self._depends(home, group):
                return False
        buffers = len(group.reads | {v for v, _ in reads}) + len(group.members) + len(group.reduces)
        return buffers - 2 * len(group.chained) - chained < _MAX_BUFFERS

    def _new_group(self, group: Group) -> Group:
        self.number[group] = len(self.ancestors)
        self.ancestors.append(0)
        self.groups.append(group)
        return group

    def _depends(self, group: Group, on: Group) -> bool:
        """Whether ``group`` is, or needs, directly or not, ``on``."""
        return group is on or bool(self.ancestors[self.number[group]] >> self.number[on] & 1)

    def _depend(self, group: Group, vals: Iterable[Val]) -> None:
        """Note that a group reads values, for it and all that need it."""
        needed = 0
        for val in vals:
            home = self.home.get(val)
            if home is not None and home is not group:
                number = self.number[home]
                needed |= self.ancestors[number] | 1 << number
        own = self.number[group]
        if needed & ~self.ancestors[own]:
            self.ancestors[own] |= needed
            self.needed |= needed
            if self.needed >> own & 1:
                for i, mask in enumerate(self.ancestors):
                    if mask >> own & 1:
                        self.ancestors[i] = mask | needed

    def _enter(self, group: Group, val: Val, at: View | None, reads: list[tuple[Val, View]]) -> None:
        self.home[val] = group
        if at is not None:
            group.maps[val] = at
        if val.kind == "write":
            group.reads.add(val.args[0][0])
            self._depend(group, [val.args[0][0]])
            group.accesses.setdefault(val.args[0][0], set()).add(BASE)
        for leaf, view in reads:
            group.accesses.setdefault(leaf, set()).add(view)
            self._depend(group, [leaf])
            if self.home.get(leaf) is not group:
                group.reads.add(leaf)


def _rows(outer: tuple[int, ...], inner: tuple[int, ...]) -> View:
    return View(outer + inner, row_major(outer) + (0,) * len(inner), 0)


def same_places(a: View, b: View) -> bool:
    """Whether two maps of one space lead to the same places (a dimension of size 1 may have any stride)."""
    return a == b or (
        a.shape == b.shape
        and a.offset == b.offset
        and all(s == t or size == 1 for size, s, t in zip(a.shape, a.strides, b.strides))
    )


def _has_hook(native: Val | None) -> bool:
    return native is not None and native.kind == "kernel" and native.attrs.epilogue is not None


def _scattered(val: Val, stored: set[Val]) -> bool:
    """Whether an expression reads at computed places or draws random numbers."""
    stack, seen = [val], {val}
    while stack:
        v = stack.pop()
        if v.kind in ("take", "iota") or v.fn in scalar.RANDOM_TILES:
            return True
        fresh = [a for a, _ in v.args if a.inline and a not in stored and a not in seen]
        seen.update(fresh)
        stack += fresh
    return False


def _bijective(view: View) -> bool:
    dims = sorted((stride, size) for size, stride in zip(view.shape, view.strides) if size != 1)
    return view.offset == 0 and is_contiguous(tuple(n for _, n in reversed(dims)), tuple(s for s, _ in reversed(dims)))


def _match(group: Group, ours: View | None, shape: tuple[int, ...], view: View, steps: tuple[int, ...]) -> View | None:
    """Pair the dimensions of ``shape`` with those of the group's space by the way both read one common value.

    ``ours`` and ``view`` are the two maps into that value. Dimensions of ``shape`` along which the value is broadcast
    stand for the reduced dimensions, in order; the others must agree in size and stride.
    """
    if ours is None or ours is _ANYWHERE or ours.offset != view.offset:
        return None
    free = [d for d, n in enumerate(shape) if n != 1]
    out = [0] * len(group.space)
    lead = len(group.outer)
    pending = []
    for d, (size, stride) in enumerate(zip(group.space, ours.strides)):
        if size == 1:
            continue
        if stride == 0:
            pending.append(d)
            continue
        match = next((f for f in free if shape[f] == size and view.strides[f] == stride), None)
        if match is None:
            return None
        free.remove(match)
        out[d] = steps[match]
    if free:  # broadcast dimensions of the value: element-level work over the whole row
        if len(free) != len(pending) or any(view.strides[f] != 0 for f in free):
            return None
        if any(shape[f] != group.space[d] for f, d in zip(free, pending)):
            return None
        for f, d in zip(free, pending):
            out[d] = steps[f]
    elif any(d < lead for d in pending):
        return None
    return View(group.space, tuple(out), 0)


def _sorted(groups: list[Group]) -> list[Group]:
    """Topological order; among ready kernels the one whose values were made first."""
    home = {v: g for g in groups for v in g.maps}
    for group in groups:
        home.update({m.val: group for m in group.members})
        for val in [group.native, *group.outs]:
            if val is not None:
                home[val] = group
    rank = {g: min([m.val.uid for m in g.members + g.reduces] + ([g.native.uid] if g.native else [])) for g in groups}
    needs = {g: {home[v] for v in g.reads if v in home} - {g} for g in groups}
    waiting = {g: len(n) for g, n in needs.items()}
    users: dict[Group, list[Group]] = {g: [] for g in groups}
    for group, needed in needs.items():
        for n in needed:
            users[n].append(group)
    ready = sorted((g for g in groups if not waiting[g]), key=rank.__getitem__, reverse=True)
    out = []
    while ready:
        group = ready.pop()
        out.append(group)
        for user in users[group]:
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
        ready.sort(key=rank.__getitem__, reverse=True)
    if len(out) != len(groups):
        raise RuntimeError("the fused kernels depend on each other in a cycle: this is a bug in the planner")
    return out
