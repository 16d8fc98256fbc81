"""Which variants are possible for a problem on a device, and which of them to use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from engine.graph.library.call import ceil_div

from .costs import cost, cpu_class
from .problem import DeviceCaps, Element, Problem, Strides, Variant

_PARTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)


@dataclass(frozen=True, slots=True)
class Buffers:
    """Sizes in elements of the local buffers of the CPU kernels for A, B, C, the vectors and their outputs."""

    a: int
    b: int
    c: int
    x: int
    y: int


def vector_width(caps: DeviceCaps, element: Element) -> int:
    """Lanes of a vector register in the element's arithmetic type; at least 2 for the kernels' vector types."""
    width = caps.float_vector_width if caps.float_vector_width in (4, 8, 16) else 4
    return max(2, width * 4 // element.arithmetic_size)


def buffers(caps: DeviceCaps, element: Element) -> Buffers:
    """Local buffers: half of what there is for packed B (at most 1 MiB, to stay in L2), an eighth for a strip of A."""
    budget = min(caps.local_mem_size, 1 << 21) // element.arithmetic_size
    if caps.local_mem_size < 1 << 17:
        budget = budget * 15 // 16
    a, b = min(budget // 8, 16384) // 512 * 512, budget // 2 // 512 * 512
    c = budget // 4 // 512 * 512 if element.narrow else 16
    x = min(budget // 4, 8192) // 512 * 512
    return Buffers(a, b, c, x, min(budget // 4, 4096) // 512 * 512)


def _shares(size: int, unit: int, largest: int) -> Iterator[int]:
    """Block sizes, multiples of ``unit`` up to ``largest``, that cut ``size`` into about equal parts."""
    seen = set()
    for parts in _PARTS:
        share = ceil_div(ceil_div(size, parts), unit) * unit
        if share <= largest and share not in seen:
            seen.add(share)
            yield share
        if share == unit:
            return
    if not seen:
        yield max(unit, largest // unit * unit)


def _batch_shares(caps: DeviceCaps, batch: int) -> list[int]:
    if batch == 1:
        return [1]
    return sorted({1, ceil_div(batch, 8 * caps.compute_units), ceil_div(batch, 2 * caps.compute_units)})


def _block(caps: DeviceCaps, p: Problem, method: str) -> Iterator[Variant]:
    element, vw, size = p.element, vector_width(caps, p.element), buffers(caps, p.element)
    m, n, a, b = (p.m, p.n, p.a, p.b) if method == "block" else (p.n, p.m, _turned(p.b), _turned(p.a))
    places_a = (False,) if element.narrow else (False, True)
    places_b = (False,) if element.narrow or b.col != 1 else (False, True)
    for tile in cpu_class(caps).tiles:
        mr, nr = tile.mr, tile.nv * vw
        if tile.nv == 1 and n > vw:
            continue
        for place_a, place_b in product(places_a, places_b):
            if place_b and n < nr:
                continue
            for kc in _depths(p, place_a, place_b, size.a // mr, n % nr == 0):
                for mc, nc in _blocks(caps, p, m, n, mr, nr, size.b // kc // nr * nr if not place_b else n + nr):
                    if element.narrow and mc * nc > size.c:
                        continue
                    if place_b and n % nr and nc < n:  # the last panel must not reach into another group's columns
                        continue
                    for batches in _batch_shares(caps, p.batch) if mc >= m and nc >= n else [1]:
                        yield Variant(method, vw, mr, tile.nv, mc, nc, kc, place_a, place_b, 1, batches)
                    for splits in _splits(caps, p, ceil_div(m, mc) * ceil_div(n, nc)):
                        yield Variant(method, vw, mr, tile.nv, mc, nc, kc, place_a, place_b, splits)


def _turned(s: Strides) -> Strides:
    return Strides(s.batch, s.col, s.row)


def _depths(p: Problem, place_a: bool, place_b: bool, most: int, even: bool) -> set[int]:
    """Depths of slices, about equal: as deep as buffers and caches allow, and shallower ones."""
    k = max(p.k, 1)
    if place_b and not even:  # the last panel overlaps the one before it, which is right only in one go
        return {k} if place_a or k <= most else set()
    found = set()
    for depth in (256, 384, k) if place_b else (128, 256, 384):
        depth = min(depth, k) if place_a else min(depth, k, most)
        found.add(ceil_div(k, ceil_div(k, depth)))
    return found


def _blocks(caps: DeviceCaps, p: Problem, m: int, n: int, mr: int, nr: int, widest: int) -> Iterator[tuple[int, int]]:
    """Block sizes that give each compute unit no more than some tens of groups, unless the matrices are huge."""
    for mc in _shares(m, mr, m + mr):
        for nc in _shares(n, nr, min(widest, 2048)) if widest >= nr else ():
            groups = ceil_div(m, mc) * ceil_div(n, nc) * p.batch
            large = mc >= min(m, 512) and nc >= min(n, widest, 2048)
            if large or groups <= 8 * caps.compute_units:
                yield mc, nc


def _splits(caps: DeviceCaps, p: Problem, groups: int) -> list[int]:
    """Numbers of slices of k worth trying when there are few blocks."""
    if groups * p.batch >= 2 * caps.compute_units or p.k < 512 or p.element.narrow:
        return []
    return [s for s in (caps.compute_units, 2 * caps.compute_units) if p.k // s >= 128]


def _vector(caps: DeviceCaps, p: Problem) -> Iterator[Variant]:
    few = min(p.m, p.n)
    if few > 4:
        return
    vectors = 1 if few == 1 else 2 if few == 2 else 4
    vw = vector_width(caps, p.element)
    by_row = p.m <= vectors
    rows = p.n if by_row else p.m
    dot = p.b_columnwise if by_row else p.a_rowwise
    axpy = p.b_rowwise if by_row else p.a.row == 1 or p.m == 1
    size = buffers(caps, p.element)
    for chunk in _shares(rows, 4 * vw, size.y // vectors):
        if dot:
            yield Variant("dot", vw, vectors, nc=chunk)
        if axpy:
            yield Variant("axpy", vw, vectors, nc=chunk)


def _gpu_candidates(caps: DeviceCaps, problem: Problem) -> list[Variant]:
    """Large tiles where they still give every compute unit something to do, smaller ones otherwise.

    On software devices k is also split to keep a work-item's loops short: llvmpipe stops them, without a word, after
    65535 rounds in all.
    """
    size = problem.element.arithmetic_size
    vw, depth = (4, 16) if size == 4 else (2, 16)
    out = []
    for mr, nv, lx, ly in ((8, 2, 16, 16), (8, 2, 8, 8), (4, 1, 16, 16), (4, 1, 8, 8), (4, 1, 4, 4)):
        bm, bn = ly * mr, lx * nv * vw
        if lx * ly > caps.max_work_group_size or (bm + 4 + bn) * depth * size > caps.local_mem_size:
            continue
        tiles = ceil_div(problem.m, bm) * ceil_div(problem.n, bn) * problem.batch
        waste = ceil_div(problem.m, bm) * bm * ceil_div(problem.n, bn) * bn / (problem.m * problem.n)
        splits = [1]
        if caps.software:
            splits = [ceil_div(int(problem.k * (1 + (bm + bn) / (lx * ly))), 50_000) or 1]
        elif tiles < caps.compute_units and problem.k >= 1024:
            splits.append(min(16, max(2, caps.compute_units // tiles), problem.k // 256))
        for split in splits:
            busy = min(1.0, tiles * split / caps.compute_units)
            intensity = bm * bn / (bm + bn)  # multiply-adds per element staged
            score = waste / busy * (1.0 + 16.0 / intensity)
            out.append((score, Variant("tiled", vw, mr, nv, kc=depth, splits=split, lx=lx, ly=ly)))
    return [variant for _, variant in sorted(out, key=lambda item: item[0])]


class _Key:
    """Hashable view of the capabilities that matter."""

    __slots__ = (
        "compute_units",
        "float_vector_width",
        "is_pocl",
        "kind",
        "local_mem_size",
        "max_work_group_size",
        "software",
    )

    def __init__(self, caps: DeviceCaps) -> None:
        for name in self.__slots__:
            setattr(self, name, getattr(caps, name))

    def _values(self) -> tuple:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())


@lru_cache(maxsize=4096)
def _ranked(caps: _Key, problem: Problem) -> tuple[Variant, ...]:
    if caps.kind != "cpu" or caps.software:
        return tuple(_gpu_candidates(caps, problem))
    found = [*_vector(caps, problem), *_block(caps, problem, "block"), *_block(caps, problem, "swap")]
    return tuple(sorted(found, key=lambda variant: cost(caps, problem, variant)))


def candidates(caps: DeviceCaps, problem: Problem) -> list[Variant]:
    """Variants worth measuring, the likely best first."""
    return list(_ranked(_Key(caps), problem))


def choose(caps: DeviceCaps, problem: Problem, tuned: Mapping[str, Variant] | None = None) -> Variant:
    """The stored choice for this problem (under ``problem.key``) if there is one, else the likely best."""
    if tuned is not None and (found := tuned.get(problem.key)) is not None:
        return found
    return _ranked(_Key(caps), problem)[0]
