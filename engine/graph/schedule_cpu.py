"""Schedules for CPUs: few work-items, each over a long contiguous range in loops that the compiler vectorises."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from . import scalar
from .division import by_reciprocal
from .elements import accumulator, combine, finish, identity
from .nest import CONSTANT, ELEMENT, ROW, Access, Instr, Store
from .writer import DEAR, WIDE, Reducer, Writer

SERIAL = 131072  # work (elements times instructions / 8) that one work-item does sooner than a second one wakes up
_RUN = 256  # elements between looks ahead
_AHEAD = 512  # elements that are fetched ahead
_STREAMS = 4  # operands fetched ahead, at most
_TAME = {f"eng_{name}_f32(": f"eng_{name}_tame_f32(" for name in ("sin", "cos")}  # for |x| up to 2^17
_PIECE = 512  # random numbers made at a time
_LANES = 128  # columns a CPU work-item reduces side by side, at least
_MOST_LANES = 1024  # and at most: a page
_ARRAY_BYTES = 1 << 15  # of all arrays of a strip of columns
_ROWS = 512  # rows added before the partial sums join the totals
_ABREAST = 4  # rows added at a time
_SHORT = 12  # instructions up to which the body of a single loop is written out for several rows: compiling costs
_ROW_BYTES = 1 << 13  # of a row that is fetched ahead, at most
_BLOCK = 2048  # elements summed before the partial sum joins the total: bounds rounding error as a tree would


class CpuPointwise(Writer):
    """Work-items take runs of the innermost dimension; the loop over a run is vectorised by the compiler."""

    tame = False  # arguments are known to be moderate: see _TAME

    def schedule(self) -> None:
        nest = self.nest
        n = nest.outer[-1] if nest.outer else 1
        rows = nest.rows // n if n else 0
        total = rows * n
        groups = 1 if total * max(1, len(nest.instrs) // 8) < SERIAL else self.units * 4
        segment = max(1, min(n, max(1024, -(-n // (groups if rows < groups else 1)))))
        segments = max(1, -(-n // segment))
        self.run_of(rows * segments, groups)
        hoisted = self.needed([s.value for s in nest.stores], ROW)
        for instr in hoisted:
            self.declare(instr, [], [])
        if not nest.outer:
            self._body([], hoisted)
            return
        indices = self._runs(segment, segments)
        steady = [i for i in self.needed([s.value for s in nest.stores], ELEMENT) if not self._varies(i)]
        for instr in steady:
            self.declare(instr, [*indices, "0"], [])
        every = self.needed([s.value for s in nest.stores], ELEMENT)
        tiled = [i for i in every if self._comes_in_tiles(i)]
        checked = [] if tiled else self._checked(every, n)
        ahead = [] if tiled else self._streams(every, n)
        if tiled:
            self._draw(tiled, indices)
        elif checked or ahead:
            self._piece(ahead, indices)
        begin, end = ("at", "stop") if tiled or checked or ahead else ("begin", "end")
        done = hoisted + steady + tiled
        if checked:
            self._check(checked, n, [*indices, "j"], done)
        for version in ("if (wild)", "else") if checked else ("",):
            self.tame = version == "else"
            if version:
                self.open(version)
            self.vectorise(n)
            self.open(f"for (long j = {begin}; j < {end}; j++)")
            for instr in tiled:
                self.line(f"const {scalar.c_type(instr.dtype)} {instr.name} = {instr.name}t[{instr.name}s + j - at];")
            self._body([*indices, "j"], done)
            self.close()
            if version:
                self.close()
        self.tame = False
        if begin == "at":
            self.close()
        if segments == 1:
            self.advance(indices, self.sizes[:-1])
        self.close()
        self.report()

    def _runs(self, segment: int, segments: int) -> list[str]:
        """Open the loop over a work-item's runs, ``begin`` to ``end``; returns the indices of the other dimensions.

        Whole rows are counted on, as dividing costs as much as a short row itself.
        """
        size = self.sizes[-1]
        if segments == 1:
            indices = self.decode("first", self.sizes[:-1], "i", "")
            self.open("for (long row = first; row < last; row++)")
            self.line(f"const long begin = 0, end = {size};")
            return indices
        seg, segs = self.number(segment), self.number(segments)
        self.open("for (long item = first; item < last; item++)")
        self.line(f"const long row = item / {segs}, begin = (item - row * {segs}) * {seg};")
        self.line(f"const long end = begin + {seg} < {size} ? begin + {seg} : {size};")
        return self.decode("row", self.sizes[:-1], "i")

    def run_of(self, items: int, groups: int) -> None:
        """Declare ``first`` and ``last``, the work-item's run of the items, and the constants."""
        per = max(1, -(-items // groups))
        self.global_size = (max(1, -(-items // per)),)
        self.constants()
        count, each = self.number(items), self.number(per)
        self.line(f"const long first = get_group_id(0) * {each};")
        self.line(f"const long last = first + {each} < {count} ? first + {each} : {count};")
        for instr in self._watched():
            self.line(f"ulong {instr.name}w = 0;")

    def _watched(self) -> list[Instr]:
        """Checks in the innermost loop. A report in it would keep it from being vectorised: it only notes the worst."""
        return [i for i in self.nest.instrs if self._is_watched(i)]

    def _is_watched(self, instr: Instr) -> bool:
        return (
            instr.kind == "check"
            and bool(self.nest.outer)
            and instr.operands[1].level == CONSTANT
            and self._varies(instr)
        )

    def declare(self, instr: Instr, outer: list[str], inner: list[str]) -> None:
        if not self._is_watched(instr):
            super().declare(instr, outer, inner)
            return
        name, (i, n) = instr.name, (self.use(o) for o in instr.operands)
        self.line(f"{name}w = {name}w > (ulong){i} ? {name}w : (ulong){i};")
        self.line(f"const long {name} = (ulong){i} < (ulong){n} ? {i} : 0;")

    def report(self) -> None:
        """Report the worst index of each check that was only noted in the loop."""
        for instr in self._watched():
            n = self.use(instr.operands[1])
            self.line(f"if ({instr.name}w >= (ulong){n}) eng_check((long){instr.name}w, {n}, fault);")

    def _comes_in_tiles(self, instr: Instr) -> bool:
        """Whether it is a random number whose neighbours along the innermost loop are those of the stream."""
        return (
            instr.kind == "random"
            and instr.access is not None
            and instr.access.outer[-1] == 1
            and not any(self._varies(o) for o in instr.operands[1:])
        )

    def _draw(self, tiled: list[Instr], indices: list[str]) -> None:
        """Open a loop over pieces of the run; random numbers of a piece are made first, in whole tiles."""
        for instr in tiled:
            self.line(f"{scalar.c_type(instr.dtype)} {instr.name}t[{_PIECE + scalar.RANDOM_TILES[instr.text]}];")
        self.open(f"for (long at = begin; at < end; at += {_PIECE})")
        self.line(f"const long stop = at + {_PIECE} < end ? at + {_PIECE} : end;")
        for instr in tiled:
            name, tile = instr.name, scalar.RANDOM_TILES[instr.text]
            self.line(f"const long {name}p = {self.address(instr.access, [*indices, 'at'], [])};")
            self.line(f"const long {name}s = {name}p % {tile};")
            seed, offset = (self.use(o) for o in instr.operands[1:])
            self.line(f"eng_{instr.text}_tiles({name}t, {name}p - {name}s, {name}s + stop - at, {seed}, {offset});")

    # -- pieces of a run: what is read soon is fetched, and functions that hold for most arguments are tried ---------
    def _streams(self, instrs: list[Instr], n: int) -> list[Access]:
        """What is read in order beside dear arithmetic, which keeps the processor from running ahead by itself."""
        dear = n >= 4 * _AHEAD and any(i.cost >= WIDE for i in instrs)
        found = [i.access for i in instrs if i.kind == "load" and i.access.outer[-1] == 1] if dear else []
        return found if len(found) <= _STREAMS else []

    def _piece(self, ahead: list[Access], indices: list[str]) -> None:
        """Open a loop over pieces of the run."""
        self.open(f"for (long at = begin; at < end; at += {_RUN})")
        self.line(f"const long stop = at + {_RUN} < end ? at + {_RUN} : end;")
        for access in ahead:
            place = f"b{access.buffer} + o{access.buffer} + {self.address(access, [*indices, 'p'], [])} + {_AHEAD}"
            self.line(f"for (long p = at; p < stop; p += {64 // access.dtype.itemsize}) eng_prefetch({place});")

    def _checked(self, instrs: list[Instr], n: int) -> list[Instr]:
        """Functions with a cheap form for moderate arguments, where arguments are cheap enough to compute twice."""
        found = [i for i in instrs if i.kind == "expr" and i.text.startswith(tuple(_TAME))] if n >= _RUN else []
        return found if all(i.operands[0].cost <= DEAR and i.operands[0].level == ELEMENT for i in found) else []

    def _check(self, checked: list[Instr], n: int, outer: list[str], done: list[Instr]) -> None:
        """Declare ``wild``: whether an argument of the piece is outside the domain of the cheap forms."""
        arguments = [i.operands[0] for i in checked]
        known = {i.name for i in done}
        self.line("int wild = 0;")
        self.vectorise(n)
        self.open("for (long j = at; j < stop; j++)")
        for instr in self.needed(arguments, ELEMENT):
            if instr.name not in known:
                self.declare(instr, outer, [])
        for instr in arguments:
            self.line(f"wild |= eng_wild_f32({instr.name});")
        self.close()

    def text_of(self, instr: Instr, outer: list[str], inner: list[str]) -> str:
        """The right-hand side of an instruction."""
        text = super().text_of(instr, outer, inner)
        if self.tame and instr.kind == "expr":
            for name, cheap in _TAME.items():
                text = text.replace(name, cheap, 1) if text.startswith(name) else text
        return text

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


class CpuRows(Reducer):
    """A work-item walks whole rows; loops along a row are vectorised with several accumulators."""

    def schedule(self) -> None:
        nest = self.nest
        by_reciprocal(nest)
        rows = nest.rows
        groups = 1 if rows * nest.row_length * max(1, len(nest.instrs) // 8) < SERIAL else self.units * 4
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
        if k == 1:
            self._fetch_next_row(outer)
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

    def _fetch_next_row(self, outer: list[str]) -> None:
        """While later loops work on what is in the cache already, memory can bring the next row."""
        nest = self.nest
        if len(nest.inner) != 1 or not nest.outer or nest.row_length * 4 > _ROW_BYTES:
            return
        places = {}
        for instr in nest.instrs:
            access = instr.access
            if instr.kind == "load" and access.inner == (1,) and access.outer[-1] and instr.phase == 0:
                next_row = f"{self.address(access, outer, ['p'])} + {self.number(access.outer[-1])}"
                places[f"b{access.buffer} + o{access.buffer} + {next_row}"] = 64 // access.dtype.itemsize
        for place, step in places.items():
            self.line(f"for (long p = 0; p < {self.lengths[0]}; p += {step}) eng_prefetch({place});")


class CpuColumns(Reducer):
    """A work-item reduces a strip of adjacent columns side by side: row-level values are small arrays.

    Wide strips read memory in long runs; several rows are added at a time, so that the arrays are touched less often.
    """

    def schedule(self) -> None:
        nest = self.nest
        n = nest.outer[-1]
        rows = nest.rows // n if n else 0
        self.lanes = self._strip(n, rows)
        strips = max(1, -(-n // self.lanes))
        items = rows * strips
        groups = 1 if nest.rows * nest.row_length * max(1, len(nest.instrs) // 8) < SERIAL else items
        per = max(1, -(-items // groups))
        self.global_size = (max(1, -(-items // per)),)
        count, each, strip = self.number(items), self.number(per), self.number(strips)
        self.constants()
        self.line(f"const long first = get_group_id(0) * {each};")
        self.line(f"const long last = first + {each} < {count} ? first + {each} : {count};")
        self.open("for (long item = first; item < last; item++)")
        self.line(f"const long row = item / {strip}, column = (item - row * {strip}) * {self.lanes};")
        self.line(f"const long left = {self.sizes[-1]} - column;")
        self.line(f"const int lanes = left < {self.lanes} ? left : {self.lanes};")
        outer = self.decode("row", self.sizes[:-1], "i") if len(self.sizes) > 1 else []
        self.run_loops([*outer, "(column + l)"])
        self.close()

    def _strip(self, n: int, rows: int) -> int:
        """Columns of a work-item: as many as leave work for all units and keep the arrays in the first-level cache."""
        arrays = 3 * len(self.nest.reduces) + len(self.row_values())
        lanes = _LANES
        while lanes < _MOST_LANES and lanes < n and arrays * lanes * 8 <= _ARRAY_BYTES:
            if rows * -(-n // (2 * lanes)) < self.units:
                break
            lanes *= 2
        return lanes

    def row_values(self) -> list[Instr]:
        """Row-level values that are kept in arrays."""
        return self.needed([r.operands[0] for r in self.nest.reduces] + [s.value for s in self.nest.stores], ROW)

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
            self.line(f"{scalar.c_type(instr.dtype)} {instr.name}s[{self.lanes}];")
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
        names = [i for i in self.row_values() if i.phase < phase] + [r for r in self.nest.reduces if r.phase <= phase]
        for instr in names:
            self.line(f"const {scalar.c_type(instr.dtype)} {instr.name} = {instr.name}s[l];")

    def loop(self, k: int, reduces: list[Instr], stores: list[Store], outer: list[str]) -> None:
        for r in reduces:
            self.line(f"{accumulator(r)} {r.name}a[{self.lanes}]; {scalar.c_type(r.dtype)} {r.name}s[{self.lanes}];")
            self.line(f"for (int l = 0; l < lanes; l++) {r.name}a[l] = {identity(r)};")
        inner = [f"r{d}" for d in range(len(self.lengths))]
        for name, size in zip(inner[:-1], self.lengths[:-1]):
            self.open(f"for (long {name} = 0; {name} < {size}; {name}++)")
        sums = [r for r in reduces if r.text == "sum" and r.dtype.is_floating_point]
        blocked = bool(sums) and self.nest.inner[-1] > _ROWS
        start, end = "0", self.lengths[-1]
        if blocked:
            self.open(f"for (long jb = 0; jb < {end}; jb += {_ROWS})")
            self.line(f"const long je = jb + {_ROWS} < {end} ? jb + {_ROWS} : {end};")
            for r in sums:
                self.line(f"{accumulator(r)} {r.name}p[{self.lanes}];")
                self.line(f"for (int l = 0; l < lanes; l++) {r.name}p[l] = 0;")
            start, end = "jb", "je"
        targets = {r.name: f"{r.name}p[l]" if blocked and r in sums else f"{r.name}a[l]" for r in reduces}
        self.line(f"long rb{k} = {start};")
        short = self.nest.phases == 1 and not stores and len(self.nest.instrs) <= _SHORT
        several = short and self.nest.inner[-1] >= _ABREAST
        for step in (_ABREAST, 1) if several else (1,):
            self.open(f"for (; rb{k} + {step} <= {end}; rb{k} += {step})")
            self._lanes()
            self._recall(k)
            apart = sums if step > 1 else []  # rows added among themselves first: that halves the rounding errors
            for r in apart:
                self.line(f"{accumulator(r)} {r.name}q = 0;")
            into = targets | {r.name: f"{r.name}q" for r in apart}
            self._rows(k, step, inner[-1], partial(self._element, k, reduces, stores, outer, inner, into))
            for r in apart:
                self.line(f"{targets[r.name]} += {r.name}q;")
            self.close()
            self.close()
        if blocked:
            for r in sums:
                self.line(f"for (int l = 0; l < lanes; l++) {r.name}a[l] += {r.name}p[l];")
            self.close()
        for _ in inner[:-1]:
            self.close()
        for r in reduces:
            self.line(f"for (int l = 0; l < lanes; l++) {r.name}s[l] = {finish(r, f'{r.name}a[l]')};")

    def _rows(self, k: int, step: int, name: str, body: Callable[[], None]) -> None:
        """The body for ``step`` rows from the loop's first on."""
        if step > 1:
            self.line("#pragma unroll")
            self.open(f"for (int u = 0; u < {step}; u++)")
        self.line(f"const long {name} = rb{k}{' + u' if step > 1 else ''};")
        body()
        if step > 1:
            self.close()

    def _element(self, k: int, reduces: list, stores: list, outer: list, inner: list, targets: dict) -> None:
        roots = [r.operands[0] for r in reduces] + [s.value for s in stores]
        for instr in self.needed(roots, ROW):
            if instr.phase == k:
                self.line(f"const {scalar.c_type(instr.dtype)} {instr.name} = {instr.name}s[l];")
        self.elements(roots, outer, inner, k)
        for r in reduces:
            self.line(combine(r, targets[r.name], self.use(r.operands[0])))
        for s in stores:
            self.put(s, outer, inner)
