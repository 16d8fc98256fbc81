"""Estimated cost of a variant on a CPU, in clock cycles; what the choice of a variant rests on.

The constants are per class of device (by vector width) and were fitted to measurements; only ratios matter. What they
say: a register tile of few vectors is bound by the latency of its multiply-adds; packing an operand whose rows must be
transposed costs about twice a copy; reading A in place saves packing but costs cache misses in every tile, so it pays
when each element is used for few columns; C is read and written once per slice of k; waking a second core costs some
microseconds, so the smallest products stay on one.
"""

from __future__ import annotations

from dataclasses import dataclass

from .problem import DeviceCaps, Problem, Variant


@dataclass(frozen=True, slots=True)
class CpuClass:
    """Costs in cycles. ``tile``: one k step of the register tile, by number of vectors nv = 1, 2, ..."""

    mr: int
    tile: tuple[float, ...]
    tile_call: float = 100.0  # start and end of a register tile
    copy: float = 0.45  # per packed element whose run is contiguous in the panel
    transpose: float = 0.7  # per packed element of a run that is contiguous along k
    gather: float = 2.5  # per packed element with any other stride
    c_vector: float = 2.0  # per vector of C and slice of k
    c_scalar: float = 1.2  # per element of C and slice of k when it is written transposed
    in_place: float = 0.03  # fraction added to a tile that reads A in place, per reason
    touch: float = 0.3  # per element of A first read in place by a group
    direct: float = 0.03  # fraction added to a tile that reads B in place
    first_panel: float = 0.8  # per element of a group's first panel of B, which nothing has prefetched
    group: float = 1500.0  # per work-group
    wake: float = 12000.0  # using more than one core
    sum_element: float = 3.0  # per partial sum


CLASSES = {
    # AVX-512: 8 x 32 and 8 x 48 reach the peak from packed panels; 32 registers
    16: CpuClass(8, (5.2, 8.8, 12.3)),
    # AVX2: 6 x 16 is the only full-speed tile of 16 registers
    8: CpuClass(6, (4.6, 6.4)),
    # SSE, NEON and unknown
    4: CpuClass(6, (4.6, 6.4)),
}


def cpu_class(caps: DeviceCaps) -> CpuClass:
    return CLASSES.get(caps.float_vector_width, CLASSES[4])


def _ceil(a: int, b: int) -> int:
    return -(-a // b)


def _makespan(cls: CpuClass, caps: DeviceCaps, groups: int, group_cost: float) -> float:
    """Time until the last of equal groups is done."""
    cost = group_cost + cls.group
    straggler = 0.2 * group_cost if groups > 1 else 0.0  # other work on the machine delays one of them
    return _ceil(groups, caps.compute_units) * cost + straggler + (cls.wake if groups > 1 else 0.0)


def _conversion(problem: Problem) -> float:
    """Factor on packing where elements are converted one by one."""
    return 4.0 if problem.element.narrow else 1.0


def small_cost(cls: CpuClass, caps: DeviceCaps, p: Problem, v: Variant) -> float:
    rows, panels = min(v.mc, p.m), _ceil(p.n, v.nv * v.vw)
    tiles = _ceil(rows, v.mr) * panels
    penalty = 1.0 + cls.direct
    if p.a.col != 1:  # A is read down its columns
        penalty += 0.15
    size = p.element.storage_size
    if p.k >= 200:  # the lines of a panel of B, one row stride apart, do not all stay in L1
        penalty += 0.2 if v.nv < 3 or p.b.row * size % 1024 == 0 else 0.02
        penalty += 0.4 if p.b.row * size % 4096 == 0 else 0.0
    if p.k * p.n * size > 600_000:
        penalty += 0.8
    matrix = tiles * (p.k * cls.tile[v.nv - 1] * penalty + cls.tile_call)
    groups = _ceil(p.m, v.mc) * _ceil(p.batch, v.batches)
    return _makespan(cls, caps, groups, matrix * min(v.batches, p.batch))


def _in_place_penalty(cls: CpuClass, rows: int, depth: int, stride: int, size: int) -> float:
    """Fraction that a tile loses to cache misses when it reads ``rows`` x ``depth`` of A at a row stride."""
    penalty = cls.in_place
    if stride * size % 4096 == 0 and depth >= 64:
        penalty += cls.in_place  # the rows of a tile share a cache set
    if rows * depth * size > 700_000:
        penalty += 4 * cls.in_place  # A does not stay in L2 from one panel of B to the next
    return penalty


def block_cost(cls: CpuClass, caps: DeviceCaps, p: Problem, v: Variant) -> float:
    swap = v.method == "swap"
    m, n = (p.n, p.m) if swap else (p.m, p.n)
    a_step, a_k = (p.b.col, p.b.row) if swap else (p.a.row, p.a.col)
    b_step, b_k = (p.a.row, p.a.col) if swap else (p.b.col, p.b.row)
    rows, cols = min(v.mc, m), min(v.nc, n)
    k = _ceil(p.k, v.splits)
    slices = max(1, _ceil(k, v.kc))
    panels, strips = _ceil(cols, v.nv * v.vw), _ceil(rows, v.mr)

    def pack(step: int, along_k: int) -> float:
        kind = cls.copy if step == 1 else cls.transpose if along_k == 1 else cls.gather
        return kind * _conversion(p)

    size = p.element.arithmetic_size
    tile = cls.tile[v.nv - 1]
    if v.in_place:
        tile *= 1.0 + _in_place_penalty(cls, rows, min(k, v.kc), a_step, size)
    panel = min(k, v.kc) * v.nv * v.vw * size
    if panel > 50_000:  # the panel of B leaves L1
        tile *= 1.04 if panel < 100_000 else 1.1
    if not v.in_place and rows * min(k, v.kc) * size > 400_000:  # A takes too much of L2
        tile *= 1.04
    work = panels * strips * (k * tile + cls.tile_call * slices)
    work += panels * v.nv * v.vw * k * pack(b_step, b_k)
    work += v.nv * v.vw * k * cls.first_panel
    if v.in_place:
        work += rows * k * cls.touch * (1.0 if m * p.k * size > 1_500_000 else 0.7)  # from L3, or L2
    else:
        work += strips * v.mr * k * pack(a_step, a_k)
    far = 3.0 if slices > 1 and (rows * cols + rows * v.kc) * size > 1_400_000 else 1.0  # C leaves L2 between slices
    work += slices * rows * cols * far * (cls.c_scalar if swap else cls.c_vector / v.vw)
    groups = _ceil(m, v.mc) * _ceil(n, v.nc) * _ceil(p.batch, v.batches) * v.splits
    cost = _makespan(cls, caps, groups, work * min(v.batches, p.batch))
    if v.splits > 1:
        cost += v.splits * p.batch * m * n * cls.sum_element / caps.compute_units + cls.wake + cls.group
    return cost


def vector_cost(cls: CpuClass, caps: DeviceCaps, p: Problem, v: Variant) -> float:
    rows = p.n if p.m <= v.mr else p.m
    chunk, size = min(rows, v.nc), p.element.storage_size
    # bound by loads of the matrix: about one vector in three cycles
    work = chunk * p.k / v.vw * (3.0 + 0.5 * v.mr) * (1.0 if v.method == "dot" else 1.15) * _conversion(p)
    work += p.k * v.mr * 0.3 + chunk * 20.0
    if v.method == "axpy" and chunk * size < 4096:  # short pieces of rows defeat the prefetchers
        work *= 1.0 + 0.15 * (4096 / (chunk * size) - 1.0)
    return _makespan(cls, caps, _ceil(rows, v.nc) * p.batch, work)


def cost(caps: DeviceCaps, problem: Problem, variant: Variant) -> float:
    """Estimated cycles of a CPU variant."""
    cls = cpu_class(caps)
    if variant.method == "small":
        return small_cost(cls, caps, problem, variant)
    if variant.method in ("dot", "axpy"):
        return vector_cost(cls, caps, problem, variant)
    return block_cost(cls, caps, problem, variant)
