"""OpenCL C for loop nests.

Two families of schedules of the same nest. CPU: few work-items, each over a long contiguous range in plain scalar
loops that the compiler vectorises. GPU: one work-item an element or a column, one work-group a row with a tree in
local memory. Sizes, strides and offsets are arguments (only 0 and +-1 are part of the text), so one program serves all
shapes of a pattern.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from .. import dtypes
from . import scalar
from .ir import Val
from .nest import CONSTANT, ELEMENT, ROW, Access, Instr, Nest, Store

_SERIAL = 131072  # work (elements times instructions / 8) that one work-item does sooner than a second one wakes up
_LANES = 128  # columns a CPU work-item reduces side by side
_BLOCK = 2048  # elements summed before the partial sum joins the total: bounds rounding error as a tree would
_GROUP = 128  # work-items of a GPU work-group that reduces a row
_LONG = 128  # turns from which a loop may be told how wide to go
_DEAR = 9  # a value above this cost is kept from one loop over the row to the next, not computed again


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


@dataclass(slots=True)
class Generated:
    """A kernel to build and launch. ``body`` is the text between the braces, for merging kernels into one."""

    name: str
    source: str
    args: list[Arg]
    global_size: tuple[int, ...]
    local_size: tuple[int, ...]
    work: int


def generate(nest: Nest, schedule: str, units: int, fp64: bool, width: int = 0) -> Generated:
    """The kernel of a nest under the "cpu" or "gpu" schedule, for a device with ``units`` compute units and vectors of
    ``width`` floats."""
    writer = _SCHEDULES[schedule, bool(nest.reduces), nest.columns](nest, units, fp64)
    writer.width = width
    return writer.kernel()


class _Writer:
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
        self.row_addresses: dict[int, str] = {}
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
        """Before a loop of about ``length`` turns. Compilers shy away from 512-bit vectors; in dear arithmetic they pay."""
        dear = self.width == 16 and length >= _LONG and any(i.cost > _DEAR for i in self.nest.instrs)
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
        for k, (number, dtype) in enumerate(self.nest.scalars):
            self.params.append(f"{scalar_param(dtype, self.fp64)} x{k}")
            self.args.append(ScalarArg(number, dtype))
        self.sizes = [self.number(n) for n in self.nest.outer]
        self.lengths = [self.number(n) for n in self.nest.inner]

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
            a = instr.access
            return load(instr.dtype, f"b{a.buffer}", f"o{a.buffer} + {self.address(a, outer, inner)}")
        if instr.kind == "iota":
            return self.address(instr.access, outer, inner)
        if instr.kind == "take":
            a = instr.access
            return load(instr.dtype, f"b{a.buffer}", f"o{a.buffer} + {self.use(instr.operands[0])}")
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

    def put(self, store: Store, outer: list[str], inner: list[str]) -> None:
        a = store.access
        target = f"o{a.buffer} + {self.address(a, outer, inner)}"
        self.line(save(a.dtype, f"b{a.buffer}", target, self.use(store.value)))

    def constants(self) -> None:
        for instr in self.nest.instrs:
            if instr.level == CONSTANT:
                self.declare(instr, [], [])

    def decode(self, flat: str, sizes: list[str], prefix: str) -> list[str]:
        """Declare the index variables of a flat row-major position."""
        names = [f"{prefix}{d}" for d in range(len(sizes))]
        if not names:
            return []
        if len(names) == 1:
            self.line(f"const long {names[0]} = {flat};")
            return names
        self.line(f"long {prefix}t = {flat};")
        for name, size in zip(reversed(names[1:]), reversed(sizes[1:])):
            self.line(f"const long {name} = {prefix}t % {size}; {prefix}t /= {size};")
        self.line(f"const long {names[0]} = {prefix}t;")
        return names


class _CpuPointwise(_Writer):
    """Work-items take runs of the innermost dimension; the loop over a run is vectorised by the compiler."""

    def schedule(self) -> None:
        nest = self.nest
        n = nest.outer[-1] if nest.outer else 1
        rows = nest.rows // n if n else 0
        total = rows * n
        groups = 1 if total * max(1, len(nest.instrs) // 8) < _SERIAL else self.units * 4
        segment = max(1, min(n, max(1024, -(-n // (groups if rows < groups else 1)))))
        segments = max(1, -(-n // segment))
        items = rows * segments
        per = max(1, -(-items // groups))
        self.global_size = (max(1, -(-items // per)),)
        self.constants()
        count, each = self.number(items), self.number(per)
        self.line(f"const long first = get_group_id(0) * {each};")
        self.line(f"const long last = first + {each} < {count} ? first + {each} : {count};")
        hoisted = self.needed([s.value for s in nest.stores], ROW)
        for instr in hoisted:
            self.declare(instr, [], [])
        if not nest.outer:
            self._body([], hoisted)
            return
        size = self.sizes[-1]
        seg, segs = self.number(segment), self.number(segments)
        self.open("for (long item = first; item < last; item++)")
        self.line(f"const long row = item / {segs}, begin = (item - row * {segs}) * {seg};")
        self.line(f"const long end = begin + {seg} < {size} ? begin + {seg} : {size};")
        indices = self.decode("row", self.sizes[:-1], "i") if len(nest.outer) > 1 else []
        steady = [i for i in self.needed([s.value for s in nest.stores], ELEMENT) if not self._varies(i)]
        for instr in steady:
            self.declare(instr, [*indices, "0"], [])
        self.vectorise(n)
        self.open("for (long j = begin; j < end; j++)")
        self._body([*indices, "j"], hoisted + steady)
        self.close()
        self.close()

    def _varies(self, instr: Instr) -> bool:
        """Whether a value changes along the innermost loop."""
        known = self.varying.get(instr.name)
        if known is None:
            known = (instr.access is not None and instr.access.outer[-1] != 0) or any(
                self._varies(o) for o in instr.operands
            )
            self.varying[instr.name] = known
        return known

    def _body(self, outer: list[str], hoisted: list[Instr]) -> None:
        done = {i.name for i in hoisted}
        for instr in self.needed([s.value for s in self.nest.stores], ELEMENT):
            if instr.name not in done:
                self.declare(instr, outer, [])
        for store in self.nest.stores:
            self.put(store, outer, [])


class _GpuPointwise(_Writer):
    """One element a work-item."""

    def schedule(self) -> None:
        nest = self.nest
        total = nest.rows
        local = min(64, max(1, total))
        self.local_size = (local,)
        self.global_size = (-(-total // local) * local if total else local,)
        count = self.number(total)
        self.line("const long e = get_global_id(0);")
        self.line(f"if (e >= {count}) return;")
        self.constants()
        outer = self.decode("e", self.sizes, "i")
        for level in (ROW, ELEMENT):
            for instr in self.needed([s.value for s in nest.stores], level):
                self.declare(instr, outer, [])
        for store in nest.stores:
            self.put(store, outer, [])


class _Reducer(_Writer):
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
            again = [i for i in instrs if i.name in seen and i.cost > _DEAR and i.kind == "expr"]
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
        wanted = self.needed(
            [r.operands[0] for r in self.nest.reduces] + [s.value for s in self.nest.stores], ROW
        )
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


class _CpuRows(_Reducer):
    """A work-item walks whole rows; loops along a row are vectorised with several accumulators."""

    def schedule(self) -> None:
        nest = self.nest
        rows = nest.rows
        groups = 1 if rows * nest.row_length * max(1, len(nest.instrs) // 8) < _SERIAL else self.units * 4
        per = max(1, -(-rows // groups))
        self.global_size = (max(1, -(-rows // per)),)
        count, each = self.number(rows), self.number(per)
        self.constants()
        self.line(f"const long first = get_group_id(0) * {each};")
        self.line(f"const long last = first + {each} < {count} ? first + {each} : {count};")
        self.open("for (long row = first; row < last; row++)")
        outer = self.decode("row", self.sizes, "i")
        self.run_loops(outer)
        self.close()

    def loop(self, k: int, reduces: list[Instr], stores: list[Store], outer: list[str]) -> None:
        for r in reduces:
            self.line(f"{accumulator(r)} {r.name}a = {identity(r)};")
        inner = [f"r{d}" for d in range(len(self.lengths))]
        for name, size in zip(inner[:-1], self.lengths[:-1]):
            self.open(f"for (long {name} = 0; {name} < {size}; {name}++)")
        blocked = any(r.text == "sum" and r.dtype.is_floating_point for r in reduces)
        sums = [r for r in reduces if r.text == "sum" and r.dtype.is_floating_point]
        j = inner[-1] if inner else None
        if j is not None:
            size = self.lengths[-1]
            if blocked:
                self.open(f"for (long jb = 0; jb < {size}; jb += {_BLOCK})")
                self.line(f"const long je = jb + {_BLOCK} < {size} ? jb + {_BLOCK} : {size};")
                for r in sums:
                    self.line(f"{accumulator(r)} {r.name}p = 0;")
            self.vectorise(self.nest.inner[-1])
            start, end = ("jb", "je") if blocked else ("0", size)
            self.open(f"for (long {j} = {start}; {j} < {end}; {j}++)")
        roots = [r.operands[0] for r in reduces] + [s.value for s in stores]
        self.elements(roots, outer, inner, k)
        for r in reduces:
            target = f"{r.name}p" if r in sums and j is not None else f"{r.name}a"
            self.line(combine(r, target, self.use(r.operands[0])))
        for s in stores:
            self.put(s, outer, inner)
        if j is not None:
            self.close()
            if blocked:
                for r in sums:
                    self.line(f"{r.name}a += {r.name}p;")
                self.close()
        for _ in inner[:-1]:
            self.close()
        for r in reduces:
            self.line(f"const {scalar.c_type(r.dtype)} {r.name} = {finish(r, f'{r.name}a')};")


class _CpuColumns(_Reducer):
    """A work-item reduces a strip of adjacent columns side by side: row-level values are small arrays."""

    def schedule(self) -> None:
        nest = self.nest
        n = nest.outer[-1]
        rows = nest.rows // n if n else 0
        strips = max(1, -(-n // _LANES))
        items = rows * strips
        groups = 1 if nest.rows * nest.row_length * max(1, len(nest.instrs) // 8) < _SERIAL else items
        per = max(1, -(-items // groups))
        self.global_size = (max(1, -(-items // per)),)
        count, each, strip = self.number(items), self.number(per), self.number(strips)
        self.constants()
        self.line(f"const long first = get_group_id(0) * {each};")
        self.line(f"const long last = first + {each} < {count} ? first + {each} : {count};")
        self.open("for (long item = first; item < last; item++)")
        self.line(f"const long row = item / {strip}, column = (item - row * {strip}) * {_LANES};")
        self.line(f"const int lanes = {self.sizes[-1]} - column < {_LANES} ? {self.sizes[-1]} - column : {_LANES};")
        outer = self.decode("row", self.sizes[:-1], "i") if len(self.sizes) > 1 else []
        self.run_loops([*outer, "(column + l)"])
        self.close()

    def use(self, instr: Instr) -> str:
        return instr.name

    def _lanes(self) -> None:
        self.vectorise(self.nest.outer[-1])
        self.open("for (int l = 0; l < lanes; l++)")

    def rows_at(self, phase: int, outer: list[str]) -> None:
        instrs, stores = self.row_roots(phase), self.row_stores(phase)
        if not instrs and not stores:
            return
        for instr in instrs:
            self.line(f"{scalar.c_type(instr.dtype)} {instr.name}s[{_LANES}];")
        self._lanes()
        self._recall(phase)
        for instr in instrs:
            self.declare(instr, outer, [])
            self.line(f"{instr.name}s[l] = {instr.name};")
        for store in stores:
            self.put(store, outer, [])
        self.close()

    def _recall(self, phase: int) -> None:
        """Bring the lane's row-level values of earlier phases into plain names."""
        wanted = self.needed([r.operands[0] for r in self.nest.reduces] + [s.value for s in self.nest.stores], ROW)
        names = [i for i in wanted if i.phase < phase] + [r for r in self.nest.reduces if r.phase <= phase]
        for instr in names:
            self.line(f"const {scalar.c_type(instr.dtype)} {instr.name} = {instr.name}s[l];")

    def loop(self, k: int, reduces: list[Instr], stores: list[Store], outer: list[str]) -> None:
        for r in reduces:
            self.line(f"{accumulator(r)} {r.name}a[{_LANES}]; {scalar.c_type(r.dtype)} {r.name}s[{_LANES}];")
            self.line(f"for (int l = 0; l < lanes; l++) {r.name}a[l] = {identity(r)};")
        inner = [f"r{d}" for d in range(len(self.lengths))]
        for name, size in zip(inner, self.lengths):
            self.open(f"for (long {name} = 0; {name} < {size}; {name}++)")
        self._lanes()
        self._recall(k)
        roots = [r.operands[0] for r in reduces] + [s.value for s in stores]
        row_level = [i for i in self.needed(roots, ROW) if i.phase == k]
        for instr in row_level:
            self.line(f"const {scalar.c_type(instr.dtype)} {instr.name} = {instr.name}s[l];")
        self.elements(roots, outer, inner, k)
        for r in reduces:
            self.line(combine(r, f"{r.name}a[l]", self.use(r.operands[0])))
        for s in stores:
            self.put(s, outer, inner)
        self.close()
        for _ in inner:
            self.close()
        for r in reduces:
            self.line(f"for (int l = 0; l < lanes; l++) {r.name}s[l] = {finish(r, f'{r.name}a[l]')};")


class _GpuRows(_Reducer):
    """One work-group a row: strided partial results, then a tree in local memory."""

    def schedule(self) -> None:
        nest = self.nest
        self.local_size = (_GROUP,)
        self.global_size = (max(1, nest.rows) * _GROUP,)
        self.constants()
        kinds = {accumulator(r): None for r in nest.reduces}
        for n, kind in enumerate(kinds):
            self.line(f"__local {kind} tree{n}[{_GROUP}];")
        self.trees = {kind: f"tree{n}" for n, kind in enumerate(kinds)}
        self.length = self.number(nest.row_length)
        self.line("const int lid = get_local_id(0);")
        outer = self.decode("(long)get_group_id(0)", self.sizes, "i")
        self.run_loops(outer)

    def rows_at(self, phase: int, outer: list[str]) -> None:
        for instr in self.row_roots(phase):
            self.declare(instr, outer, [])
        stores = self.row_stores(phase)
        if stores:
            self.open("if (lid == 0)")
            for store in stores:
                self.put(store, outer, [])
            self.close()

    def loop(self, k: int, reduces: list[Instr], stores: list[Store], outer: list[str]) -> None:
        for r in reduces:
            self.line(f"{accumulator(r)} {r.name}a = {identity(r)};")
        self.open(f"for (long e = lid; e < {self.length}; e += {_GROUP})")
        inner = self.decode("e", self.lengths, "r")
        roots = [r.operands[0] for r in reduces] + [s.value for s in stores]
        self.elements(roots, outer, inner, k)
        for r in reduces:
            self.line(combine(r, f"{r.name}a", self.use(r.operands[0])))
        for s in stores:
            self.put(s, outer, inner)
        self.close()
        for r in reduces:
            tree = self.trees[accumulator(r)]
            self.line("barrier(CLK_LOCAL_MEM_FENCE);")
            self.line(f"{tree}[lid] = {r.name}a;")
            self.open(f"for (int half_ = {_GROUP // 2}; half_ > 0; half_ >>= 1)")
            self.line("barrier(CLK_LOCAL_MEM_FENCE);")
            self.line(f"if (lid < half_) {{ {combine_raw(r, f'{tree}[lid]', f'{tree}[lid + half_]')} }}")
            self.close()
            self.line("barrier(CLK_LOCAL_MEM_FENCE);")
            self.line(f"const {scalar.c_type(r.dtype)} {r.name} = {finish(r, f'{tree}[0]')};")


class _GpuColumns(_Reducer):
    """One row of the result a work-item; neighbours read neighbouring memory."""

    def schedule(self) -> None:
        nest = self.nest
        local = min(64, max(1, nest.rows))
        self.local_size = (local,)
        self.global_size = (-(-max(1, nest.rows) // local) * local,)
        count = self.number(nest.rows)
        self.line("const long e = get_global_id(0);")
        self.line(f"if (e >= {count}) return;")
        self.constants()
        self.run_loops(self.decode("e", self.sizes, "i"))

    def loop(self, k: int, reduces: list[Instr], stores: list[Store], outer: list[str]) -> None:
        for r in reduces:
            self.line(f"{accumulator(r)} {r.name}a = {identity(r)};")
        inner = [f"r{d}" for d in range(len(self.lengths))]
        for name, size in zip(inner, self.lengths):
            self.open(f"for (long {name} = 0; {name} < {size}; {name}++)")
        roots = [r.operands[0] for r in reduces] + [s.value for s in stores]
        self.elements(roots, outer, inner, k)
        for r in reduces:
            self.line(combine(r, f"{r.name}a", self.use(r.operands[0])))
        for s in stores:
            self.put(s, outer, inner)
        for _ in inner:
            self.close()
        for r in reduces:
            self.line(f"const {scalar.c_type(r.dtype)} {r.name} = {finish(r, f'{r.name}a')};")


_SCHEDULES = {
    ("cpu", False, False): _CpuPointwise,
    ("cpu", True, False): _CpuRows,
    ("cpu", True, True): _CpuColumns,
    ("gpu", False, False): _GpuPointwise,
    ("gpu", True, False): _GpuRows,
    ("gpu", True, True): _GpuColumns,
}


# -- memory formats -----------------------------------------------------------------------------------------------------
_STORAGE = {"bool": "uchar", "float16": "ushort", "bfloat16": "ushort"}


def storage(dtype: dtypes.dtype) -> str:
    """The C type elements have in memory."""
    return _STORAGE.get(dtype.name) or scalar.c_type(dtype)


def scalar_param(dtype: dtypes.dtype, fp64: bool) -> str:
    """The C type of a run-time number argument."""
    if dtype.is_complex:
        return scalar.c_type(dtype)
    if dtype.is_floating_point:
        return "double" if dtype is dtypes.float64 else "float"
    return "long"


def load(dtype: dtypes.dtype, pointer: str, index: str) -> str:
    """Expression that reads one element."""
    place = f"{pointer}[{index}]"
    if dtype is dtypes.float16:
        return f"eng_from_f16({place})"
    if dtype is dtypes.bfloat16:
        return f"eng_from_bf16({place})"
    return place


def save(dtype: dtypes.dtype, pointer: str, index: str, value: str) -> str:
    """Statement that writes one element."""
    if dtype is dtypes.float16:
        value = f"eng_to_f16({value})"
    elif dtype is dtypes.bfloat16:
        value = f"eng_to_bf16({value})"
    elif dtype is dtypes.bool:
        value = f"(uchar)({value} != 0)"
    return f"{pointer}[{index}] = {value};"


# -- reductions ---------------------------------------------------------------------------------------------------------
def _key_type(dtype: dtypes.dtype) -> str | None:
    """Floats are compared as integers in order of value with NaN above all: exact, and it vectorises."""
    if dtype.is_floating_point:
        return "long" if dtype is dtypes.float64 else "int"
    return None


def accumulator(r: Instr) -> str:
    """C type of a reduction's running value."""
    if r.text in ("max", "min"):
        return _key_type(r.dtype) or scalar.c_type(r.dtype)
    return scalar.c_type(r.dtype)


def identity(r: Instr) -> str:
    """The neutral element, in the accumulator's type."""
    if r.text == "sum":
        return "0"
    if r.text == "prod":
        return "1" if not r.dtype.is_complex else f"(({scalar.c_type(r.dtype)})(1, 0))"
    lowest = r.text == "max"
    if r.dtype.is_floating_point:
        wide = r.dtype is dtypes.float64
        # Keys of -inf and +inf.
        return {
            (True, False): "(int)0x807fffff", (False, False): "0x7f800000",
            (True, True): "(long)0x800fffffffffffffL", (False, True): "0x7ff0000000000000L",
        }[lowest, wide]  # fmt: skip
    if r.dtype is dtypes.bool:
        return "0" if lowest else "1"
    bits = r.dtype.itemsize * 8
    if not r.dtype.is_signed:
        return "0" if lowest else f"({scalar.c_type(r.dtype)})~0UL"
    if bits == 64:
        return "(-9223372036854775807L - 1)" if lowest else "9223372036854775807L"
    return f"({-(1 << (bits - 1))})" if lowest else f"({(1 << (bits - 1)) - 1})"


def combine_raw(r: Instr, into: str, value: str) -> str:
    """Statement that adds an accumulator-typed value."""
    if r.text == "sum":
        if r.dtype.is_floating_point:
            return f"{{ _Pragma(\"clang fp reassociate(on)\") {into} = {into} + {value}; }}"
        return f"{into} = {into} + {value};" if r.dtype is not dtypes.bool else f"{into} = {into} | {value};"
    if r.text == "prod":
        if r.dtype.is_complex:
            return f"{into} = eng_cmul_{scalar.short_name(r.dtype)}({into}, {value});"
        return f"{into} = {into} * {value};"
    sign = ">" if r.text == "max" else "<"
    return f"{into} = {value} {sign} {into} ? {value} : {into};"


def combine(r: Instr, into: str, value: str) -> str:
    """Statement that adds an element."""
    if r.text in ("max", "min") and r.dtype.is_floating_point:
        kind = "max" if r.text == "max" else "min"
        short = scalar.short_name(r.dtype)
        key = f"eng_key_{kind}_{short}({value})"
        sign = ">" if kind == "max" else "<"
        return f"{{ const {_key_type(r.dtype)} key = {key}; {into} = key {sign} {into} ? key : {into}; }}"
    return combine_raw(r, into, value)


def finish(r: Instr, value: str) -> str:
    """The result from the accumulator."""
    if r.text in ("max", "min") and r.dtype.is_floating_point:
        return f"eng_unkey_{scalar.short_name(r.dtype)}({value})"
    return value
