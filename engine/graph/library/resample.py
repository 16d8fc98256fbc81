"""Resampling of planes by nearest, linear or cubic weights, as lists of ``KernelCall`` (resample.cl)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, prod
from typing import Any

import numpy as np

from engine.graph.library.call import Int, KernelCall, Operand

SOURCE = "resample.cl"
NEAREST, LINEAR, CUBIC = 1, 2, 4
_STORED = {"float32": "float", "float64": "double", "float16": "half", "bfloat16": "ushort"}
_EXTRA = {"float64": ("-DUSE_FP64",), "float16": ("-DT_F16",), "bfloat16": ("-DT_BF16",)}


@dataclass(frozen=True, slots=True)
class ResampleProblem:
    """Resampling of ``planes`` contiguous planes of one to three dimensions.

    ``kind``: input positions an output position reads along an axis (NEAREST, LINEAR, CUBIC). ``ratio``: input
    positions an output position, for each axis. ``flag``: corners are aligned (NEAREST: centres are used).
    """

    planes: int
    kind: int
    in_size: tuple[int, ...]
    out_size: tuple[int, ...]
    ratio: tuple[float, ...]
    flag: bool

    def normal(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[float, ...]]:
        """Sizes and ratios in three dimensions."""
        lead = 3 - len(self.in_size)
        return (1,) * lead + self.in_size, (1,) * lead + self.out_size, (1.0,) * lead + self.ratio


@dataclass(frozen=True, slots=True)
class Buffers:
    """Sizes of the local buffers in elements: weights, starts of windows, one blended row."""

    table: int
    starts: int
    row: int


def buffers(caps: Any, itemsize: int) -> Buffers:
    """What fits a CPU's first two cache levels and the device's local memory."""
    total = min(caps.local_mem_size - 1024, 160 << 10)
    return Buffers(total // 2 // itemsize, total // 4 // 4, total // 4 // itemsize)


def _longest(kind: int, size: int, out: int, ratio: float, back: bool) -> int:
    """A bound on the positions that one result reads along an axis."""
    if not back:
        return kind
    if ratio <= 0:
        return out
    beyond = max(0.0, out * ratio - size)  # positions that repeat the last element
    return min(out, ceil((kind + 2.5 + beyond) / ratio) + 2)


def _columns(p: ResampleProblem, back: bool, b: Buffers) -> tuple[list[int], int] | None:
    """(positions of a window along z, y, x; results of a row at a time), or None where the tables do not fit."""
    sizes, outs, ratios = p.normal()
    reach = [_longest(p.kind, n, o, r, back) for n, o, r in zip(sizes, outs, ratios, strict=True)]
    made, read = (sizes, outs) if back else (outs, sizes)
    table = b.table - reach[0] * made[0] - reach[1] * made[1]
    starts = b.starts - made[0] - made[1]
    cols = min(made[2], table // reach[2], starts)
    step = ratios[2] if not back else 1 / max(ratios[2], 1e-6)
    while cols > 16 and min(read[2], ceil(cols * step) + reach[2] + 2) + reach[2] > b.row:
        cols //= 2
    fits = cols > 0 and min(read[2], ceil(cols * step) + reach[2] + 2) + reach[2] <= b.row
    return (reach, cols) if fits else None


def resample(caps: Any, dtype: Any, problem: ResampleProblem, *, back: bool = False) -> list[KernelCall]:
    """out = x resampled; with ``back`` out = the gradient of the input, x that of the output."""
    name = getattr(dtype, "name", dtype)
    p = problem
    sizes, outs, ratios = p.normal()
    size = 8 if name == "float64" else 4
    pack = "<dq" if size == 8 else "<fi"
    bits = [struct.unpack(pack[0] + pack[2], struct.pack(pack[0] + pack[1], r))[0] for r in ratios]
    total = p.planes * prod(sizes if back else outs)
    args = [Operand("x"), Operand("out"), *map(Int, (p.planes, *sizes, *outs, *bits, int(p.flag)))]
    options = (
        f"-DST={_STORED[name]}",
        f"-DCT={'double' if size == 8 else 'float'}",
        f"-DKIND={p.kind}",
        *(("-DBACK",) if back else ()),
        *_EXTRA.get(name, ()),
    )
    nbytes = size * p.planes * (prod(sizes) + prod(outs))
    b = buffers(caps, size)
    plan = _columns(p, back, b) if caps.kind != "gpu" else None
    if plan is None:
        local = min(128, caps.max_work_group_size) if caps.kind == "gpu" else 1
        chunk = 1 if caps.kind == "gpu" else max(256, -(-total // (16 * caps.compute_units)))
        groups = max(1, -(-total // (chunk * local)))
        return [
            KernelCall(
                SOURCE, "eng_resample_item", (groups * local,), (local,), (*args, Int(chunk)), options, nbytes=nbytes
            )
        ]
    reach, cols = plan
    made = sizes if back else outs
    rows = p.planes * made[0] * made[1]
    least = max(1, 4096 // made[2])
    chunk = max(least, -(-rows // (16 * caps.compute_units)))
    return [
        KernelCall(
            SOURCE,
            "eng_resample_rows",
            (-(-rows // chunk),),
            (1,),
            (*args, *map(Int, (*reach, cols, chunk))),
            (*options, f"-DTABLE={b.table}", f"-DSTARTS={b.starts}", f"-DROW={b.row}"),
            nbytes=nbytes,
        )
    ]


# -- the same in NumPy ------------------------------------------------------------------------------------------------
def _cubic(t: np.ndarray) -> list[np.ndarray]:
    """Weights at -1, 0, 1, 2 for offset ``t`` (Keys 1981, a = -0.75)."""
    a = -0.75
    far = lambda s: ((a * s - 5 * a) * s + 8 * a) * s - 4 * a  # noqa: E731
    near = lambda s: ((a + 2) * s - (a + 3)) * s * s + 1  # noqa: E731
    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


@lru_cache(maxsize=64)
def axis_matrix(kind: int, size: int, out: int, ratio: float, flag: bool, dtype: str) -> np.ndarray:
    """The resampling of one axis as a matrix [out, size]."""
    real = np.dtype(dtype).type
    at = np.arange(out, dtype=dtype)
    if kind == NEAREST:
        at = np.floor((at + real(0.5 if flag else 0)) * real(ratio))
        taps = [(0, np.ones_like(at))]
    else:
        at = at * real(ratio) if flag else (at + real(0.5)) * real(ratio) - real(0.5)
        at = np.maximum(at, 0) if kind == LINEAR else at
        part = at - np.floor(at)
        at = np.floor(at)
        taps = [(0, 1 - part), (1, part)] if kind == LINEAR else list(zip((-1, 0, 1, 2), _cubic(part)))
    matrix = np.zeros((out, size), dtype)
    for offset, weight in taps:
        where = np.clip(at + offset, 0, size - 1).astype(np.int64)
        np.add.at(matrix, (np.arange(out), where), weight)
    return matrix


def reference(p: ResampleProblem, back: bool, x: np.ndarray) -> np.ndarray:
    """What the kernels compute, an axis at a time."""
    n = len(p.in_size)
    dtype = "float64" if x.dtype == np.float64 else "float32"
    for axis in range(n):
        matrix = axis_matrix(p.kind, p.in_size[axis], p.out_size[axis], p.ratio[axis], p.flag, dtype)
        matrix = matrix.T if back else matrix
        dim = x.ndim - n + axis
        x = np.moveaxis(np.tensordot(matrix, x, (1, dim)), 0, dim)
    return np.ascontiguousarray(x).astype(dtype)
