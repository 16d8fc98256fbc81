"""Schedules for GPUs: a work-item an element or a column, a work-group a row with a tree in local memory."""

from __future__ import annotations

from . import scalar
from .elements import accumulator, combine, combine_raw, finish, identity
from .nest import ELEMENT, ROW, Instr, Store
from .writer import Reducer, Writer

_BLOCK = 512  # elements summed before the partial sum joins the total
_GROUP = 128  # work-items of a GPU work-group that reduces a row


class GpuPointwise(Writer):
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


class GpuRows(Reducer):
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


class GpuColumns(Reducer):
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
        for name, size in zip(inner[:-1], self.lengths[:-1]):
            self.open(f"for (long {name} = 0; {name} < {size}; {name}++)")
        sums = [r for r in reduces if r.text == "sum" and r.dtype.is_floating_point]
        blocked = bool(sums) and self.nest.inner[-1] > _BLOCK
        start, end = "0", self.lengths[-1]
        if blocked:
            self.open(f"for (long jb = 0; jb < {end}; jb += {_BLOCK})")
            self.line(f"const long je = jb + {_BLOCK} < {end} ? jb + {_BLOCK} : {end};")
            for r in sums:
                self.line(f"{accumulator(r)} {r.name}p = 0;")
            start, end = "jb", "je"
        self.open(f"for (long {inner[-1]} = {start}; {inner[-1]} < {end}; {inner[-1]}++)")
        roots = [r.operands[0] for r in reduces] + [s.value for s in stores]
        self.elements(roots, outer, inner, k)
        for r in reduces:
            self.line(combine(r, f"{r.name}{'p' if blocked and r in sums else 'a'}", self.use(r.operands[0])))
        for s in stores:
            self.put(s, outer, inner)
        self.close()
        if blocked:
            for r in sums:
                self.line(f"{r.name}a += {r.name}p;")
            self.close()
        for _ in inner[:-1]:
            self.close()
        for r in reduces:
            self.line(f"const {scalar.c_type(r.dtype)} {r.name} = {finish(r, f'{r.name}a')};")
