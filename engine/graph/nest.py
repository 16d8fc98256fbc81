"""From a fused group to a loop nest: collapsed dimensions, affine accesses and the instructions of the body.

The nest is schedule-free: codegen writes it out for CPUs or GPUs.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .. import dtypes
from . import scalar
from .fuse import Group, Member
from .ir import Val
from .view import View, compose

CONSTANT, ROW, ELEMENT = 0, 1, 2  # levels: once a work-item, once a row (outer index), once an element
_ORDERED = {"max": ("max", False), "min": ("min", False), "sum": ("add", True), "prod": ("mul", True)}


@dataclass(slots=True)
class Access:
    """A place in memory as a function of the nest's indices: buffer number, offset and strides a dimension."""

    buffer: int
    offset: int
    outer: tuple[int, ...]
    inner: tuple[int, ...]
    dtype: dtypes.dtype


@dataclass(slots=True)
class Instr:
    """One named scalar of the body. ``phase``: the number of reduction loops that must have run before it.

    kind "expr": ``text`` with operand names already in place; "load": from ``access``; "take": from ``access`` at
    operand 0; "reduce": result of reduction ``text`` over operand 0; "random": function ``text`` of position, seed and
    offset, the position being that of ``access`` if there is one; "check": operand 0, reported if not below operand 1.
    """

    name: str
    kind: str
    dtype: dtypes.dtype
    text: str
    operands: tuple[Instr, ...]
    level: int
    phase: int
    access: Access | None = None
    cost: int = 0

    @property
    def reduced_from(self) -> int:
        """For a reduction: the loop that computes it."""
        return self.phase - 1


@dataclass(slots=True)
class Store:
    """A result that goes to memory."""

    value: Instr
    access: Access
    level: int


@dataclass
class Nest:
    """A loop nest. ``outer`` and ``inner`` are collapsed sizes; ``buffers`` the values behind the buffer numbers."""

    outer: tuple[int, ...]
    inner: tuple[int, ...]
    buffers: list[Val]
    written: set[int]
    instrs: list[Instr]
    reduces: list[Instr]
    stores: list[Store]
    scalars: list[tuple[int, dtypes.dtype]]
    columns: bool = False
    checks: bool = False
    phases: int = field(default=0)

    @property
    def rows(self) -> int:
        """Number of outer index tuples."""
        n = 1
        for size in self.outer:
            n *= size
        return n

    @property
    def row_length(self) -> int:
        """Number of inner index tuples."""
        n = 1
        for size in self.inner:
            n *= size
        return n


def build(group: Group) -> Nest:
    """The loop nest of a fused group."""
    return NestBuilder(group).build()


class NestBuilder:
    """Walks the members of a group and emits the instructions of their values."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.lead = len(group.outer)
        self.buffers: list[Val] = []
        self.index: dict[Val, int] = {}
        self.written: set[int] = set()
        self.instrs: list[Instr] = []
        self.memo: dict[tuple[Val, View], Instr] = {}
        self.scalars: list[tuple[int, dtypes.dtype]] = []
        self.own = {m.val: m for m in group.reduces}
        self.views: list[View] = []
        self.checks = False

    def build(self) -> Nest:
        group = self.group
        self._collapse()
        members = [(m, self.value(m.root, m.at)) for m in group.members]
        reduces = [self.reduction(m) for m in group.reduces]
        stores = [self._store(m, value, m.dest) for m, value in members]
        for member, instr in zip(group.reduces, reduces):
            if member.val in group.stores:
                stores.append(self._store(member, instr, member.dest))
        outer = tuple(n for d in self.outer_dims for n in [d[0]])
        inner = tuple(n for d in self.inner_dims for n in [d[0]])
        nest = Nest(outer, inner, self.buffers, self.written, self.instrs, reduces, stores, self.scalars)
        nest.checks = self.checks
        nest.phases = max([i.phase for i in self.instrs] + [0])
        nest.columns = bool(reduces) and self._column_major(nest)
        return nest

    # -- dimensions -------------------------------------------------------------------------------------------------
    def _collapse(self) -> None:
        """Merge dimensions that every access walks as one; order them so that memory is walked in order."""
        space = self.group.space
        views: set[View] = {m.dest for m in self.group.members}
        seen: set[tuple[Val, View]] = set()
        stack = [(m.root, m.at) for m in self.group.members + self.group.reduces]
        while stack:
            val, view = stack.pop()
            if (val, view) in seen:
                continue
            seen.add((val, view))
            if self._is_leaf(val, view) or not val.args:
                views.add(view)
                continue
            arguments = val.args[1:] if val.kind == "take" else val.args
            for arg, through in arguments:
                stack.append((arg, self._compose(view, val, through)))
        for m in self.group.reduces:
            views.add(m.dest)
        lines = [v.strides for v in views]
        full = max(views, key=lambda v: (sum(1 for s, n in zip(v.strides, v.shape) if s and n > 1), -len(v.shape)))
        reference = next((m.dest.strides for m in self.group.members if not self.group.inner), full.strides)
        self.outer_dims = _merge_dims(range(self.lead), space, lines, reference)
        self.inner_dims = _merge_dims(range(self.lead, len(space)), space, lines, full.strides)

    def _access(self, val: Val, view: View, dtype: dtypes.dtype) -> Access:
        while val in self.group.chained:
            val = val.args[0][0]
        number = self.index.get(val)
        if number is None:
            number = self.index[val] = len(self.buffers)
            self.buffers.append(val)
        outer = tuple(view.strides[last] for _, last in self.outer_dims)
        inner = tuple(view.strides[last] for _, last in self.inner_dims)
        return Access(number, view.offset, outer, inner, dtype)

    def _column_major(self, nest: Nest) -> bool:
        """Whether memory is contiguous along the last outer dimension rather than along the reduced ones."""
        if not nest.outer or not nest.inner:
            return False
        votes = 0
        for instr in nest.instrs:
            if instr.kind == "load" and any(instr.access.inner):
                weight = 2 if any(instr.access.outer) else 1
                if abs(instr.access.inner[-1]) == 1:
                    votes -= weight
                elif instr.access.outer[-1] == 1:
                    votes += weight
        return votes > 0

    # -- instructions -----------------------------------------------------------------------------------------------
    def _is_leaf(self, val: Val, view: View) -> bool:
        return (
            val in self.own
            or val.kind in ("input", "kernel", "host", "output", "bitcast", "write", "reduce")
            or (val in self.group.reads)
        )

    @staticmethod
    def _compose(view: View, val: Val, through: View) -> View:
        inner = compose(view, val.shape, through.strides, through.offset)
        assert inner is not None, "fusion let a non-affine access through"
        return inner

    def _level(self, view: View) -> int:
        if any(view.strides[last] for _, last in self.inner_dims):
            return ELEMENT
        if self.group.inner or not self.outer_dims:
            return ROW
        return ROW if not any(view.strides[last] for _, last in self.outer_dims) else ELEMENT

    def _emit(
        self, kind: str, dtype: dtypes.dtype, text: str, operands: tuple[Instr, ...], level: int, **more: object
    ) -> Instr:
        phase = max([o.phase for o in operands] + [0]) + (kind == "reduce")
        cost = sum(o.cost for o in operands) + int(more.pop("cost", 1))
        instr = Instr(f"v{len(self.instrs)}", kind, dtype, text, operands, level, phase, more.get("access"), cost)
        self.instrs.append(instr)
        return instr

    def reduction(self, member: Member) -> Instr:
        """The instruction that holds a reduction's result."""
        known = self.memo.get((member.val, member.dest))
        if known is None:
            operand = self.value(member.root, member.at)
            known = self._emit("reduce", member.val.dtype, member.val.fn, (operand,), ROW)
            known.cost = 0
            self.memo[(member.val, member.dest)] = known
        return known

    def value(self, val: Val, view: View) -> Instr:
        """The instruction that computes ``val`` at ``view`` of the space."""
        key = (val, view)
        known = self.memo.get(key)
        if known is None:
            known = self.memo[key] = self._value(val, view)
        return known

    def _value(self, val: Val, view: View) -> Instr:
        if val in self.own:
            return self.reduction(self.own[val])
        if self._is_leaf(val, view):
            access = self._access(val, view, val.dtype)
            return self._emit("load", val.dtype, "", (), self._level(view), access=access)
        if val.kind == "const":
            return self._emit("expr", val.dtype, literal(val.attrs, val.dtype), (), CONSTANT, cost=0)
        if val.kind == "scalar":
            name = f"x{len(self.scalars)}"
            self.scalars.append((val.attrs, val.dtype))
            return self._emit("expr", val.dtype, name, (), CONSTANT, cost=0)
        if val.kind == "iota":
            access = Access(-1, view.offset, *self._access_strides(view), val.dtype)
            return self._emit("iota", val.dtype, "", (), self._level(view), access=access)
        if val.kind == "take":
            return self._take(val, view)
        operands = tuple(self.value(a, self._compose(view, val, w)) for a, w in val.args)
        level = max(o.level for o in operands)
        if val.fn in scalar.RANDOM_TILES:
            return self._random(val, view, operands)
        if val.fn == "cast":
            text = scalar.cast(operands[0].name, operands[0].dtype, val.dtype)
            return self._emit("expr", val.dtype, text, operands, level)
        if val.fn == "check":
            self.checks = True
            return self._emit("check", val.dtype, "", operands, level)
        fn = scalar.lookup(val.fn)
        like = operands[1] if val.fn == "where" else operands[0]
        kind = scalar.kind_of(like.dtype)
        names = [o.name for o in operands]
        text = fn.template(kind).format(*names, T=scalar.c_type(like.dtype), t=scalar.short_name(like.dtype))
        return self._emit("expr", val.dtype, text, operands, level, cost=fn.cost)

    def _random(self, val: Val, view: View, operands: tuple[Instr, ...]) -> Instr:
        """A random number, with the way its position runs if affine: neighbours may then be made together."""
        (position, through), *_ = val.args
        at = self._compose(view, val, through)
        while position.kind == "pw" and position.fn == "cast":
            at = self._compose(at, position, position.args[0][1])
            position = position.args[0][0]
        access = Access(-1, at.offset, *self._access_strides(at), dtypes.int64) if position.kind == "iota" else None
        level = max(o.level for o in operands)
        return self._emit("random", val.dtype, val.fn, operands, level, access=access, cost=scalar.lookup(val.fn).cost)

    def _access_strides(self, view: View) -> tuple[tuple[int, ...], tuple[int, ...]]:
        outer = tuple(view.strides[last] for _, last in self.outer_dims)
        return outer, tuple(view.strides[last] for _, last in self.inner_dims)

    def _take(self, val: Val, view: View) -> Instr:
        (source, _), (index, through) = val.args
        position = self.value(index, self._compose(view, val, through))
        flat = Access(self._access(source, View(self.group.space, (0,) * len(self.group.space), 0),
            source.dtype).buffer,
                      0, (0,) * len(self.outer_dims), (0,) * len(self.inner_dims), source.dtype)  # fmt: skip
        return self._emit("take", val.dtype, "", (position,), position.level, access=flat, cost=3)

    def _store(self, member: Member, value: Instr, dest: View) -> Store:
        access = self._access(member.val, dest, member.val.dtype)
        self.written.add(access.buffer)
        level = ELEMENT if any(access.inner) or (not self.group.inner and any(access.outer)) else ROW
        return Store(value, access, max(level, value.level if not self.group.inner else level))


def _merge_dims(dims: range, space: tuple[int, ...], lines: list[tuple[int, ...]], reference: tuple[int, ...]) -> list:
    """Collapsed dimensions as (size, innermost original dimension), outermost first."""
    order = sorted((d for d in dims if space[d] != 1), key=lambda d: (-abs(reference[d]), d))
    merged: list[tuple[int, int]] = []
    for d in order:
        if merged:
            size, last = merged[-1]
            if all(line[last] == line[d] * space[d] for line in lines):
                merged[-1] = (size * space[d], d)
                continue
        merged.append((space[d], d))
    return merged


def literal(value: object, dtype: dtypes.dtype) -> str:
    """A number as an OpenCL C constant of the dtype's compute type."""
    if dtype.is_complex:
        number = complex(value)
        real = dtypes.float64 if dtype is dtypes.complex128 else dtypes.float32
        return f"(({scalar.c_type(dtype)})({literal(number.real, real)}, {literal(number.imag, real)}))"
    if dtype.is_floating_point:
        number = float(value)
        ctype = scalar.c_type(dtype)
        if number != number:
            return f"(({ctype})NAN)"
        if number in (float("inf"), float("-inf")):
            return f"(({ctype}){'-' if number < 0 else ''}INFINITY)"
        if ctype == "double":
            return f"({float(number).hex()})"
        return f"({float(number).hex()}f)" if abs(number) < 3.5e38 else f"({'-' if number < 0 else ''}INFINITY)"
    if dtype is dtypes.bool:
        return "1" if value else "0"
    number = int(value)
    bits = dtype.itemsize * 8
    number &= (1 << bits) - 1
    if dtype.is_signed and number >> (bits - 1):
        number -= 1 << bits
    if number == -(1 << 63):
        return "(-9223372036854775807L - 1)"
    suffix = ("L" if dtype.is_signed else "UL") if dtype.itemsize == 8 else ("" if dtype.is_signed else "u")
    return f"(({scalar.c_type(dtype)}){number}{suffix})"
