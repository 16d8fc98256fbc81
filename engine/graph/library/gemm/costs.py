"""Estimated cost of a variant on a CPU, in clock cycles; what the choice of a variant rests on.

The constants are per class of device (by vector width) and were fitted to measurements of some two thousand variants;
mostly ratios matter. What they say: a register tile of few vectors is bound by the latency of its multiply-adds;
reading A in place saves packing but costs address arithmetic and cache misses in every tile, so it pays when each
element is used for few columns; B in place pays as long as it stays in L2; C is read and written once per slice of k;
waking a second core costs some microseconds, so the smallest products stay on one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from engine.graph.library.call import ceil_div

from .problem import DeviceCaps, Problem, Variant

_CLOCK = 3.5e9  # cycles a second of a usual core at work


class Tile(NamedTuple):
    """A register tile of ``mr`` rows and ``nv`` vectors, and the cycles of one of its k steps."""

    mr: int
    nv: int
    step: float


@dataclass(frozen=True, slots=True)
class CpuClass:
    """Costs in cycles, fractions where said so."""

    tiles: tuple[Tile, ...]
    tile_call: float = 18.0  # start and end of a register tile
    copy: float = 0.5  # per packed element whose run is contiguous in the panel
    transpose: float = 0.5  # per packed element of a run that is contiguous along k
    gather: float = 3.0  # per packed element with any other stride
    c_vector: float = 6.8  # per vector of C and slice of k
    c_scalar: float = 1.5  # per element of C and slice of k when it is written transposed
    c_far: float = 0.3  # fraction added to them when C leaves L2 between slices
    place_a: float = 0.12  # fraction added to a tile that reads A in place
    place_column: float = 0.12  # and once more when the elements of a row are not adjacent
    place_b: float = 0.02  # fraction added to a tile that reads B in place
    place_sets: float = 0.16  # and once more when the rows of a panel share cache sets
    place_cold: float = 0.2  # and once more when B does not stay in L2
    large: float = 0.22  # fraction added to a tile when the slice of B leaves L2
    touch: float = 0.4  # per element of an operand's first use by a group
    group: float = 450.0  # per work-group
    wake: float = 75000.0  # several groups: other threads have to wake up; a single one may run in the caller's
    sum_element: float = 1.8  # per partial sum


CLASSES = {
    # AVX-512: two multiply-adds a cycle and 32 registers
    16: CpuClass((Tile(12, 2, 11.9), Tile(8, 3, 11.0), Tile(8, 2, 8.4), Tile(8, 1, 5.4))),
    # AVX2: 6 x 16 is the only full-speed tile of 16 registers
    8: CpuClass((Tile(6, 2, 6.4), Tile(6, 1, 4.6))),
    # SSE, NEON and unknown
    4: CpuClass((Tile(6, 2, 6.4), Tile(6, 1, 4.6))),
}


def cpu_class(caps: DeviceCaps) -> CpuClass:
    """The costs of a CPU with a device's vector width."""
    return CLASSES.get(caps.float_vector_width, CLASSES[4])


def _groups(p: Problem, v: Variant) -> int:
    if v.method in ("dot", "axpy"):
        return ceil_div(p.n if p.m <= v.mr else p.m, v.nc) * p.batch
    m, n = (p.n, p.m) if v.method == "swap" else (p.m, p.n)
    return ceil_div(m, v.mc) * ceil_div(n, v.nc) * ceil_div(p.batch, v.batches) * v.splits


def _makespan(cls: CpuClass, caps: DeviceCaps, groups: int, group_cost: float) -> float:
    """Time until the last of equal groups is done."""
    if groups == 1:
        return group_cost + cls.group
    straggler = 0.12 * group_cost  # other work on the machine delays one of them
    return ceil_div(groups, caps.compute_units) * (group_cost + cls.group) + straggler + cls.wake


def _conversion(problem: Problem) -> float:
    """Factor on packing where elements are converted one by one."""
    return 4.0 if problem.element.narrow else 1.0


def block_cost(cls: CpuClass, caps: DeviceCaps, p: Problem, v: Variant) -> float:
    """Cycles of a variant that goes by blocks of register tiles."""
    swap = v.method == "swap"
    m, n = (p.n, p.m) if swap else (p.m, p.n)
    a_row, a_k = (p.b.col, p.b.row) if swap else (p.a.row, p.a.col)
    b_col, b_k = (p.a.row, p.a.col) if swap else (p.b.col, p.b.row)
    rows, cols = min(v.mc, m), min(v.nc, n)
    k = ceil_div(p.k, v.splits)
    depth = min(k, v.kc)
    slices = max(1, ceil_div(k, v.kc))
    nr = v.nv * v.vw
    panels, strips = ceil_div(cols, nr), ceil_div(rows, v.mr)
    size = p.element.arithmetic_size

    def pack(step: int, along_k: int) -> float:
        kind = cls.copy if step == 1 else cls.transpose if along_k == 1 else cls.gather
        return kind * _conversion(p)

    tile = next((t.step for t in cls.tiles if (t.mr, t.nv) == (v.mr, v.nv)), 0.5 * v.mr * v.nv)
    slower = 1.0
    if v.place_a:
        slower += cls.place_a + (0.0 if a_k == 1 else cls.place_column)
    if v.place_b:
        slower += cls.place_b + (cls.place_cold if p.k * n * size > 1_000_000 else 0.0)
        slower += cls.place_sets if depth >= 64 and b_k * size % 4096 == 0 else 0.0
    if depth * cols * size > 700_000 and strips > 1:
        slower += cls.large
    work = panels * strips * (k * tile * slower + cls.tile_call * slices)
    work += (rows + cols) * k * cls.touch
    if not v.place_a:
        work += strips * v.mr * k * pack(a_row, a_k)
    if not v.place_b:
        work += panels * nr * k * pack(b_col, b_k)
    far = 1.0 + (cls.c_far if slices > 1 and rows * cols * size > 1_000_000 else 0.0)
    work += slices * rows * cols * far * (cls.c_scalar if swap else cls.c_vector / v.vw)
    cost = _makespan(cls, caps, _groups(p, v), work * min(v.batches, p.batch))
    if v.splits > 1:
        cost += v.splits * p.batch * m * n * cls.sum_element / caps.compute_units + cls.wake + cls.group
    return cost


def vector_cost(cls: CpuClass, caps: DeviceCaps, p: Problem, v: Variant) -> float:
    """Cycles of a variant for products with few vectors."""
    rows = p.n if p.m <= v.mr else p.m
    chunk, size = min(rows, v.nc), p.element.storage_size
    # bound by loads of the matrix: about one vector in three cycles
    work = chunk * p.k / v.vw * (3.0 + 0.5 * v.mr) * (1.0 if v.method == "dot" else 1.15) * _conversion(p)
    work += p.k * v.mr * 0.3 + chunk * 20.0
    if v.method == "axpy" and chunk < rows:  # short pieces of rows defeat the prefetchers
        work *= 1.0 + 0.13 * (1536 / (chunk * size)) ** 0.5
    return _makespan(cls, caps, _groups(p, v), work)


def cost(caps: DeviceCaps, problem: Problem, variant: Variant) -> float:
    """Estimated cycles of a CPU variant."""
    cls = cpu_class(caps)
    if variant.method in ("dot", "axpy"):
        return vector_cost(cls, caps, problem, variant)
    return block_cost(cls, caps, problem, variant)


def core_seconds(caps: DeviceCaps, problem: Problem, variant: Variant) -> float:
    """Estimated time that the work of a CPU variant takes one core."""
    cycles = cost(caps, problem, variant)
    if _groups(problem, variant) > 1:
        cycles = (cycles - cpu_class(caps).wake) * caps.compute_units
    return cycles / _CLOCK
