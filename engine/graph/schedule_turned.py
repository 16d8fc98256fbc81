"""A schedule for CPUs: reading along another dimension than writing, in tiles of two dimensions.

A transposed operand would be read one element a cache line. Here a tile of it is read along its own contiguous
dimension, turned in registers and kept in a small array, from which the loop along the written dimension takes it.
"""

from __future__ import annotations

from .elements import load, storage
from .nest import ELEMENT, ROW, Instr, Nest
from .schedule_cpu import SERIAL, CpuPointwise

_WIDTH = 64  # elements of a tile along the written dimension
_LEAST = 8  # size of both dimensions from which turning pays
_VECTORS = {
    "float": "f", "int": "i", "uint": "ui", "short": "s", "ushort": "us", "char": "c", "uchar": "uc", "long": "l",
    "ulong": "ul", "double": "d",
}  # fmt: skip


def turning(nest: Nest) -> tuple[int, list[Instr]] | None:
    """(dimension, loads contiguous along it rather than along the last one), or None where there are none."""
    if len(nest.outer) < 2 or nest.outer[-1] < _LEAST or nest.reduces:
        return None
    found: dict[int, list[Instr]] = {}
    for instr in nest.instrs:
        if instr.kind == "load" and abs(instr.access.outer[-1]) > 1 and storage(instr.dtype) in _VECTORS:
            for d, (stride, size) in enumerate(zip(instr.access.outer[:-1], nest.outer)):
                if stride == 1 and size >= _LEAST:
                    found.setdefault(d, []).append(instr)
    if not found:
        return None
    return max(found.items(), key=lambda item: len(item[1]))


class CpuTurned(CpuPointwise):
    """Work-items take tiles of the last dimension and the one that ``turning`` names."""

    def schedule(self) -> None:
        nest = self.nest
        self.axis, self.turned = turning(nest)
        self.side = 8 if any(i.dtype.itemsize == 8 for i in self.turned) else 16
        tall, wide = -(-nest.outer[self.axis] // self.side), -(-nest.outer[-1] // _WIDTH)
        items = nest.rows // (nest.outer[self.axis] * nest.outer[-1]) * tall * wide
        groups = 1 if nest.rows * max(1, len(nest.instrs) // 8) < SERIAL else self.units * 4
        self.run_of(items, groups)
        hoisted = self.needed([s.value for s in nest.stores], ROW)
        for instr in hoisted:
            self.declare(instr, [], [])
        for instr in self.turned:
            self.line(f"{storage(instr.dtype)} {instr.name}t[{self.side * _WIDTH}];")
        self.open("for (long item = first; item < last; item++)")
        others = self._tile(self.number(tall), self.number(wide))
        for instr in self.turned:
            self._turn(instr, self._place(others, "t0", "j0"))
        self.open("for (long t = 0; t < nt; t++)")
        steady = [i for i in self.needed([s.value for s in nest.stores], ELEMENT) if not self._varies(i)]
        for instr in steady:
            self.declare(instr, self._place(others, "(t0 + t)", "j0"), [])
        self.vectorise(_WIDTH)
        self.open("for (long j = 0; j < nj; j++)")
        self._body(self._place(others, "(t0 + t)", "(j0 + j)"), hoisted + steady)
        for _ in range(3):
            self.close()
        self.report()

    def _tile(self, tall: str, wide: str) -> list[str]:
        """Declare a tile's place and extent; returns the indices of the other dimensions."""
        self.line(f"const long strip = item / {tall}, t0 = (item - strip * {tall}) * {self.side};")
        self.line(f"const long row = strip / {wide}, j0 = (strip - row * {wide}) * {_WIDTH};")
        for count, size, start, full in (
            ("nt", self.sizes[self.axis], "t0", self.side),
            ("nj", self.sizes[-1], "j0", _WIDTH),
        ):
            self.line(f"const long {count} = {size} - {start} < {full} ? {size} - {start} : {full};")
        sizes = [s for d, s in enumerate(self.sizes[:-1]) if d != self.axis]
        return self.decode("row", sizes, "i")

    def _place(self, others: list[str], across: str, along: str) -> list[str]:
        return [*others[: self.axis], across, *others[self.axis :], along]

    def _turn(self, instr: Instr, corner: list[str]) -> None:
        """Bring a tile of an operand into its array, with the last dimension contiguous."""
        name, kind, side = instr.name, storage(instr.dtype), self.side
        a = instr.access
        self.open("")
        self.line(f"__global const {kind}* from = b{a.buffer} + o{a.buffer} + {self.address(a, corner, [])};")
        self.line(f"const long step = {self.number(a.outer[-1])};")
        self.line("long k = 0;")
        unaligned = f"{_VECTORS[kind]}{side}u"
        turn = f"eng_turn{side}({kind}{side}, {unaligned}, {name}t + k, {_WIDTH}, from + k * step, step)"
        self.line(f"if (nt == {side}) for (; k + {side} <= nj; k += {side}) {turn}")
        self.line(f"for (; k < nj; k++) for (long t = 0; t < nt; t++) {name}t[t * {_WIDTH} + k] = from[k * step + t];")
        self.close()

    def text_of(self, instr: Instr, outer: list[str], inner: list[str]) -> str:
        if instr in self.turned:
            return load(instr.dtype, f"{instr.name}t", f"t * {_WIDTH} + j")
        return super().text_of(instr, outer, inner)
