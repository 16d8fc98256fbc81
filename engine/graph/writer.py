"""What all schedules share: parameters, addresses, the text of instructions, the sequence of loops over a row."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from .. import dtypes
from . import scalar
from .elements import load, save, scalar_param, storage
from .ir import Val
from .nest import CONSTANT, ELEMENT, ROW, Access, Instr, Nest, Store

_LONG = 128  # turns from which a loop may be told how wide to go
WIDE = 8  # from this cost of a value on the widest vectors pay
DEAR = 9  # a value above this cost is kept from one loop over the row to the next, not computed again


@dataclass(frozen=True, slots=True)
class BufferArg:
    """A buffer with its element offset: two kernel arguments."""

    val: Val
    written: bool


@dataclass(frozen=True, slots=True)
class IntArg:
    """A ``long`` known when the plan is made."""

    value: int


@dataclass(frozen=True, slots=True)
class ScalarArg:
    """Run-time number ``number`` of the plan, passed in the dtype's compute type."""

    number: int
    dtype: dtypes.dtype


@dataclass(frozen=True, slots=True)
class FaultArg:
    """The device's buffer for errors found while running (an index out of range)."""


Arg = BufferArg | IntArg | ScalarArg | FaultArg


@dataclass(slots=True, eq=False)
class Generated:
    """A kernel to build and launch. ``body`` is the text between the braces, for merging kernels into one."""

    name: str
    source: str
    args: list[Arg]
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]
    work: int


class Writer:
    """What all schedules share: parameters, addresses and the text of instructions."""

    def __init__(self, nest: Nest, units: int, fp64: bool) -> None:
        self.nest = nest
        self.units = units
        self.fp64 = fp64
        self.params: list[str] = []
        self.args: list[Arg] = []
        self.lines: list[str] = []
        self.depth = 1
        self.numbers = 0
        self.global_size: tuple[int, ...] = (1,)
        self.local_size: tuple[int, ...] = (1,)
        self.steps: dict[tuple[int, ...], list[str]] = {}
        self.varying: dict[str, bool] = {}
        self.width = 0

    def kernel(self) -> Generated:
        """Write everything."""
        self._buffers()
        self.schedule()
        if self.nest.checks:
            self.params.append("__global int* fault")
            self.args.append(FaultArg())
        text = "\n".join(self.lines)
        body = f"({', '.join(self.params)})\n{{\n{text}\n}}\n"
        name = f"eng_nest_{hashlib.blake2b(body.encode(), digest_size=6).hexdigest()}"
        source = f"KATTR __kernel void {name}{body}"
        work = max(1, self.nest.rows) * max(1, self.nest.row_length) * max(1, len(self.nest.instrs))
        return Generated(name, source, self.args, self.global_size, self.local_size, work)

    def schedule(self) -> None:
        raise NotImplementedError

    # -- text -------------------------------------------------------------------------------------------------------
    def line(self, text: str) -> None:
        self.lines.append("  " * self.depth + text)

    def open(self, text: str) -> None:
        self.line(text + " {")
        self.depth += 1

    def close(self) -> None:
        self.depth -= 1
        self.line("}")

    def vectorise(self, length: int) -> None:
        """Before a loop of about ``length`` turns. Compilers shy away from 512-bit vectors; dear arithmetic wants
        them.
        """
        dear = self.width == 16 and length >= _LONG and any(i.cost >= WIDE for i in self.nest.instrs)
        wide = any(i.dtype.itemsize == 8 and i.dtype.is_floating_point for i in self.nest.instrs)
        size = f" vectorize_width({8 if wide else 16})" if dear else ""
        self.line(f"#pragma clang loop vectorize(assume_safety){size}")

    def number(self, value: int, name: str | None = None) -> str:
        """A new ``long`` parameter with that value."""
        if name is None:
            name = f"c{self.numbers}"
            self.numbers += 1
        self.params.append(f"long {name}")
        self.args.append(IntArg(value))
        return name

    def _buffers(self) -> None:
        for i, val in enumerate(self.nest.buffers):
            written = i in self.nest.written
            const = "" if written else "const "
            self.params += [f"__global {const}{storage(val.dtype)}* b{i}", f"long o{i}"]
            self.args.append(BufferArg(val, written))
        self.run_time_numbers()
        self.sizes = [self.number(n) for n in self.nest.outer]
        self.lengths = [self.number(n) for n in self.nest.inner]

    def run_time_numbers(self) -> None:
        for k, (number, dtype) in enumerate(self.nest.scalars):
            self.params.append(f"{scalar_param(dtype, self.fp64)} x{k}")
            self.args.append(ScalarArg(number, dtype))

    def _terms(self, strides: tuple[int, ...], variables: list[str]) -> list[str]:
        out = []
        for stride, variable in zip(strides, variables):
            if stride == 0:
                continue
            if stride == 1:
                out.append(variable)
            elif stride == -1:
                out.append(f"(-{variable})")
            else:
                out.append(f"{variable} * {self.number(stride)}")
        return out

    def address(self, access: Access, outer: list[str], inner: list[str]) -> str:
        """Element position in the buffer."""
        key = (id(access), *outer, *inner)
        terms = self.steps.get(key)
        if terms is None:
            terms = []
            if access.offset:
                terms.append(self.number(access.offset))
            terms += self._terms(access.outer, outer) + self._terms(access.inner, inner)
            self.steps[key] = terms
        return " + ".join(terms) if terms else "0"

    # -- instructions -----------------------------------------------------------------------------------------------
    def text_of(self, instr: Instr, outer: list[str], inner: list[str]) -> str:
        """The right-hand side of an instruction."""
        if instr.kind == "load":
            return load(instr.dtype, *self.place(instr.access, outer, inner))
        if instr.kind == "iota":
            return self.address(instr.access, outer, inner)
        if instr.kind == "take":
            a = instr.access
            return load(instr.dtype, f"b{a.buffer}", f"o{a.buffer} + {self.use(instr.operands[0])}")
        if instr.kind == "check":
            return f"eng_check({self.use(instr.operands[0])}, {self.use(instr.operands[1])}, fault)"
        if instr.kind == "random":
            return scalar.lookup(instr.text).template("u").format(*(self.use(o) for o in instr.operands))
        return instr.text

    def use(self, instr: Instr) -> str:
        """How an instruction's value is referred to."""
        return instr.name

    def needed(self, roots: list[Instr], level: int, phase: int | None = None) -> list[Instr]:
        """Instructions of ``level`` that ``roots`` need, producers first."""
        seen: dict[str, Instr] = {}
        stack = list(roots)
        while stack:
            instr = stack.pop()
            if instr.name in seen or (instr.kind == "reduce" and instr not in roots):
                continue
            seen[instr.name] = instr
            if instr.kind != "reduce":
                stack.extend(instr.operands)
        chosen = [i for i in seen.values() if i.level == level and i.kind != "reduce"]
        return sorted(chosen, key=lambda i: int(i.name[1:]))

    def declare(self, instr: Instr, outer: list[str], inner: list[str]) -> None:
        self.line(f"const {scalar.c_type(instr.dtype)} {instr.name} = {self.text_of(instr, outer, inner)};")

    def place(self, access: Access, outer: list[str], inner: list[str]) -> tuple[str, str]:
        """(pointer, element position) of an access."""
        return f"b{access.buffer}", f"o{access.buffer} + {self.address(access, outer, inner)}"

    def put(self, store: Store, outer: list[str], inner: list[str]) -> None:
        self.line(save(store.access.dtype, *self.place(store.access, outer, inner), self.use(store.value)))

    def constants(self) -> None:
        for instr in self.nest.instrs:
            if instr.level == CONSTANT:
                self.declare(instr, [], [])

    def decode(self, flat: str, sizes: list[str], prefix: str, qualifier: str = "const ") -> list[str]:
        """Declare the index variables of a flat row-major position."""
        names = [f"{prefix}{d}" for d in range(len(sizes))]
        if not names:
            return []
        if len(names) == 1:
            self.line(f"{qualifier}long {names[0]} = {flat};")
            return names
        self.line(f"long {prefix}t = {flat};")
        for name, size in zip(reversed(names[1:]), reversed(sizes[1:])):
            self.line(f"{qualifier}long {name} = {prefix}t % {size}; {prefix}t /= {size};")
        self.line(f"{qualifier}long {names[0]} = {prefix}t;")
        return names

    def advance(self, names: list[str], sizes: list[str]) -> None:
        """Move index variables on to the next row-major position."""
        for name, size in zip(names[:0:-1], sizes[:0:-1]):
            self.open(f"if (++{name} == {size})")
            self.line(f"{name} = 0;")
        if names:
            self.line(f"++{names[0]};")
        for _ in names[1:]:
            self.close()


class Reducer(Writer):
    """What the schedules with reductions share: the sequence of loops over the row."""

    def plan_loops(self) -> None:
        nest = self.nest
        self.loops: list[tuple[list[Instr], list[Store]]] = []
        for phase in range(nest.phases + 1):
            reduces = [r for r in nest.reduces if r.reduced_from == phase]
            stores = [s for s in nest.stores if s.level == ELEMENT and s.value.phase == phase]
            self.loops.append((reduces, stores))
        self.kept: dict[str, Store] = {}
        self._plan_kept()

    def _plan_kept(self) -> None:
        """Dear element values that a later loop needs again wait in the output of the last loop that needs them."""
        loops = [
            self.needed([r.operands[0] for r in reduces] + [s.value for s in stores], ELEMENT)
            for reduces, stores in self.loops
        ]
        last = {i.name: k for k, instrs in enumerate(loops) for i in instrs}
        seen: set[str] = set()
        free = [s for s in self.nest.stores if s.level == ELEMENT]
        for k, instrs in enumerate(loops):
            again = [i for i in instrs if i.name in seen and i.cost > DEAR and i.kind == "expr"]
            for instr in reversed(again):
                if instr.name in self.kept:
                    continue
                home = next((s for s in free if s.value.phase == k == last[instr.name] and s.access.dtype is instr.dtype
                             and instr.dtype.itemsize >= 4 and s.value is not instr), None)  # fmt: skip
                if home is not None:
                    free.remove(home)
                    self.kept[instr.name] = home
                    break
            seen |= {i.name for i in instrs}

    def elements(self, roots: list[Instr], outer: list[str], inner: list[str], loop: int) -> None:
        """Compute the element-level values of one loop; kept ones are stored the first time and loaded later."""
        skip: set[str] = set()
        for instr in self._element_order(roots, loop):
            if instr.name in skip:
                continue
            home = self.kept.get(instr.name)
            if home is not None and loop > self.first_loop[instr.name]:
                a = home.access
                place = f"o{a.buffer} + {self.address(a, outer, inner)}"
                self.line(f"const {scalar.c_type(instr.dtype)} {instr.name} = {load(a.dtype, f'b{a.buffer}', place)};")
                continue
            self.declare(instr, outer, inner)
            if home is not None:
                a = home.access
                self.line(save(a.dtype, f"b{a.buffer}", f"o{a.buffer} + {self.address(a, outer, inner)}", instr.name))

    def _element_order(self, roots: list[Instr], loop: int) -> list[Instr]:
        """Element-level instructions of a loop, not descending below values that are loaded back."""
        seen: dict[str, Instr] = {}
        stack = list(roots)
        while stack:
            instr = stack.pop()
            if instr.name in seen or instr.level != ELEMENT:
                continue
            seen[instr.name] = instr
            if instr.name in self.kept and loop > self.first_loop.setdefault(instr.name, loop):
                continue
            stack.extend(instr.operands)
        return sorted(seen.values(), key=lambda i: int(i.name[1:]))

    def row_roots(self, phase: int) -> list[Instr]:
        """Row-level instructions that become computable after ``phase`` loops."""
        wanted = self.needed([r.operands[0] for r in self.nest.reduces] + [s.value for s in self.nest.stores], ROW)
        return [i for i in wanted if i.phase == phase]

    def row_stores(self, phase: int) -> list[Store]:
        """Row-level results final after ``phase`` loops."""
        return [s for s in self.nest.stores if s.level == ROW and s.value.phase == phase]

    def run_loops(self, outer: list[str]) -> None:
        self.plan_loops()
        self.first_loop: dict[str, int] = {}
        self.rows_at(0, outer)
        for k, (reduces, stores) in enumerate(self.loops):
            if reduces or stores:
                self.loop(k, reduces, stores, outer)
            self.rows_at(k + 1, outer)

    def rows_at(self, phase: int, outer: list[str]) -> None:
        for instr in self.row_roots(phase):
            self.declare(instr, outer, [])
        for store in self.row_stores(phase):
            self.put(store, outer, [])

    def loop(self, k: int, reduces: list[Instr], stores: list[Store], outer: list[str]) -> None:
        raise NotImplementedError
