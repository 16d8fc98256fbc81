"""Attention without the matrix of scores on CPU devices, as lists of ``KernelCall`` (attention*.cl).

Dao et al. 2022, "FlashAttention": an online softmax over blocks of keys; the backward pass computes the weights again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.graph.library.call import Float, Int, KernelCall, Operand, Scratch, ceil_div

TILES = "attention_tiles.cl"
_FEW_ROWS = 8  # queries a key head below which keys are read along the head size
_LEAST_KEYS = 32  # of a block
_LOG2_E = math.log2(math.e)


class Steps(NamedTuple):
    """Elements between batches, heads and rows; elements of a row are adjacent."""

    batch: int
    head: int
    row: int


@dataclass(frozen=True, slots=True)
class AttentionProblem:
    """softmax(scale q k^T + mask) v of q (batch, heads, lq, d), k (batch, heads / group, lk, d), v (.., lk, e).

    ``mask``: "" for none, "bool" (True: takes part) or "float32" (added). ``causal``: position i sees keys up to i.
    All sizes are at least 1.
    """

    batch: int
    heads: int
    group: int
    lq: int
    lk: int
    d: int
    e: int
    scale: float
    causal: bool = False
    mask: str = ""

    @property
    def pairs(self) -> int:
        """Scores computed."""
        n = self.batch * self.heads * self.lq * self.lk
        return n // 2 if self.causal else n

    def sizes(self) -> tuple[int, ...]:
        """As the kernels take them."""
        return self.heads, self.group, self.lq, self.lk, self.d, self.e


@dataclass(frozen=True, slots=True)
class Tiling:
    """Register tile (``mr`` x ``nv`` vectors of ``vw``), queries and keys of a block, floats of local memory."""

    vw: int
    mr: int
    nv: int
    bq: int
    bn: int
    pool: int

    def options(self, mask: str) -> tuple[str, ...]:
        """Build options."""
        kinds = {"": (), "bool": ("-DMASK=1",), "float32": ("-DMASK=2",)}
        return (f"-DVW={self.vw}", f"-DMR={self.mr}", f"-DNV={self.nv}", f"-DPOOL={self.pool}", *kinds[mask])


def _up(n: int, m: int) -> int:
    return -(-n // m) * m


def _budget(caps: Any) -> int:
    """Floats of local memory to use: what stays in a core's second cache."""
    return (min(caps.local_mem_size, 1 << 20) - 2048) // 4


def _pool(caps: Any, floats: int) -> int:
    """Size of the local buffer: few different ones, so that programs are few."""
    return min(max(1 << 14, 1 << (floats - 1).bit_length()), _budget(caps) // 16 * 16)


def _register_tile(caps: Any) -> tuple[int, int, int]:
    width = caps.float_vector_width if caps.float_vector_width in (4, 8, 16) else 4
    return (16, 8, 2) if width == 16 else (width, 6, 2)


def _need(tile: tuple[int, int, int], d: int, e: int, bq: int, bn: int, backward: bool) -> int:
    """Floats of local memory of the kernels."""
    vw, mr, nv = tile
    lanes = vw * nv
    if not backward:
        return (d + _up(e, mr) + bn + 3) * bq
    rows = _up(d, lanes) + _up(e, lanes)
    return (d + e + rows + _up(d, mr) + 2 * bn + 3) * bq + mr * lanes


def tiling(caps: Any, p: AttentionProblem, backward: bool) -> Tiling | None:
    """Block sizes, or None where the local memory does not hold a small block.

    32 queries keep the panels of a tile in L1; sums over queries, in the backward pass, are better longer.
    """
    tile = vw, mr, nv = _register_tile(caps)
    lanes = vw * nv
    most = 64 if backward and not (p.causal and p.lq <= 512) else 32
    bq = _up(ceil_div(p.lq, ceil_div(p.lq, most)), lanes)
    for q in dict.fromkeys((bq, lanes)):
        for n in (128, 64, _LEAST_KEYS) if backward else (256, 128, 64, _LEAST_KEYS):
            bn = min(_up(n, mr), _up(p.lk, mr))
            floats = _need(tile, p.d, p.e, q, bn, backward)
            if floats <= _budget(caps):
                return Tiling(vw, mr, nv, q, bn, _pool(caps, floats))
    return None


def supports(caps: Any, d: int, e: int) -> bool:
    """Whether the kernels, forward and backward, suit a device and these head sizes."""
    if caps.kind != "cpu" or caps.schedule != "cpu" or caps.software:
        return False
    tile = vw, mr, nv = _register_tile(caps)
    return _need(tile, d, e, vw * nv, _up(_LEAST_KEYS, mr), True) <= _budget(caps)


def _operands(*names: str) -> tuple[Operand, ...]:
    return tuple(map(Operand, names))


def _steps(steps: Mapping[str, tuple[int, ...]], *names: str) -> tuple[Int, ...]:
    return tuple(Int(n) for name in names for n in steps[name])


def _ints(*values: int) -> tuple[Int, ...]:
    return tuple(Int(int(v)) for v in values)


def _inputs(p: AttentionProblem) -> tuple[Operand, ...]:
    return _operands("q", "k", "v", *(("mask",) if p.mask else ()))


def attention_forward(
    caps: Any, problem: AttentionProblem, steps: Mapping[str, tuple[int, ...]], *, stats: bool = True
) -> list[KernelCall]:
    """Launches that compute ``out`` and, with ``stats``, what the backward pass needs of each row.

    Operands: q, k, v, mask (if there is one), out, stats (2, batch, heads, lq). ``steps``: a Steps for q, k, v and out;
    for mask the elements between batches, heads, rows and columns (zeros without one).
    """
    p = problem
    if not stats and p.group * p.lq <= _FEW_ROWS:
        few = _few(caps, p, steps)
        if few is not None:
            return few
    t = tiling(caps, p, False)
    blocks = p.batch * p.heads * ceil_div(p.lq, t.bq)
    share = max(1, blocks // (64 * caps.compute_units))
    return [
        KernelCall(
            "attention.cl",
            "eng_attention",
            (ceil_div(blocks, share),),
            (1,),
            (
                *_inputs(p),
                *_operands("out", "stats"),
                *_ints(p.batch, *p.sizes()),
                *_steps(steps, "q", "k", "v", "mask", "out"),
                Float(p.scale * _LOG2_E),
                *_ints(p.causal, t.bq, t.bn, share),
            ),
            t.options(p.mask),
            flops=2 * p.pairs * (p.d + p.e),
            nbytes=_nbytes(p),
        )
    ]


def _nbytes(p: AttentionProblem) -> int:
    return 4 * p.batch * (p.heads * p.lq + p.heads // p.group * p.lk) * (p.d + p.e)


def _few(caps: Any, p: AttentionProblem, steps: Mapping[str, tuple[int, ...]]) -> list[KernelCall] | None:
    """Few queries: all of a key head in one work-item, keys in parts where there are few heads."""
    vw, mr, nv = _register_tile(caps)
    rows, bn = p.group * p.lq, 64
    floats = rows * (_up(p.d, vw) + _up(p.e, vw) + 2) + bn + vw
    if floats > _budget(caps):
        return None
    t = Tiling(vw, mr, nv, 0, bn, _pool(caps, floats))
    heads = p.batch * p.heads // p.group
    parts = (
        1 if heads >= 2 * caps.compute_units else min(ceil_div(4 * caps.compute_units, heads), ceil_div(p.lk, 4 * bn))
    )
    whole = Scratch("attention_parts", p.batch * p.heads * p.lq * parts * (p.e + 2) * 4)
    calls = [
        KernelCall(
            "attention_few.cl",
            "eng_attention_few",
            (heads * parts,),
            (1,),
            (
                *_inputs(p),
                Operand("out") if parts == 1 else whole,
                *_ints(*p.sizes()),
                *_steps(steps, "q", "k", "v", "mask", "out"),
                Float(p.scale * _LOG2_E),
                *_ints(p.causal, bn, parts),
            ),
            t.options(p.mask),
            flops=2 * p.pairs * (p.d + p.e),
            nbytes=_nbytes(p),
        )
    ]
    if parts > 1:
        share = ceil_div(p.batch * p.heads * p.lq, 4 * caps.compute_units)
        calls.append(_row_call(p, "attention_few.cl", "eng_attention_merge", whole, "out", p.e, steps, parts, share, t))
    return calls


def _row_call(
    p: AttentionProblem,
    source: str,
    kernel: str,
    parts_of: Scratch,
    out: str,
    width: int,
    steps: Mapping[str, tuple[int, ...]],
    parts: int,
    share: int,
    t: Tiling,
) -> KernelCall:
    """Partial rows (parts beside each other or one after the other, as the kernel has it) made one."""
    rows = p.batch * p.heads * p.lq
    return KernelCall(
        source,
        kernel,
        (ceil_div(rows, share),),
        (1,),
        (parts_of, Operand(out), *_ints(parts, p.batch, p.heads, p.lq, width), *_steps(steps, out), Int(share)),
        t.options(p.mask),
        flops=rows * width * parts,
        nbytes=4 * rows * width * (parts + 1),
    )


def attention_backward(caps: Any, problem: AttentionProblem, steps: Mapping[str, tuple[int, ...]]) -> list[KernelCall]:
    """Launches that compute dq, dk and dv.

    Operands: q, k, v, mask (if there is one), out and stats (of the forward pass), g (gradient of out), dq, dk, dv;
    ``steps`` as for the forward pass, also for g, dq, dk and dv.
    """
    p = problem
    t = tiling(caps, p, True)
    heads = p.batch * p.heads // p.group
    wanted = (4 if p.causal else 2) * caps.compute_units
    parts = 1 if heads >= 2 * caps.compute_units else min(ceil_div(wanted, heads), ceil_div(p.lk, t.bn), 16)
    rows = p.batch * p.heads * p.lq
    dq: Operand | Scratch = Operand("dq")
    dq_steps = (0, *steps["dq"])
    if parts > 1:
        dq = Scratch("attention_dq", parts * rows * p.d * 4)
        dq_steps = (rows * p.d, p.heads * p.lq * p.d, p.lq * p.d, p.d)
    calls = [
        KernelCall(
            "attention_grad.cl",
            "eng_attention_grad",
            (heads * parts,),
            (1,),
            (
                *_inputs(p),
                *_operands("out", "stats", "g"),
                dq,
                *_operands("dk", "dv"),
                *_ints(p.batch, *p.sizes()),
                *_steps(steps, "q", "k", "v", "mask", "out", "g"),
                *_ints(*dq_steps),
                *_steps(steps, "dk", "dv"),
                Float(p.scale),
                *_ints(p.causal, t.bq, t.bn, parts),
            ),
            t.options(p.mask),
            flops=2 * p.pairs * (3 * p.d + 2 * p.e),
            nbytes=2 * _nbytes(p),
        )
    ]
    if parts > 1:
        share = ceil_div(rows, 8 * caps.compute_units)
        calls.append(_row_call(p, "attention_grad.cl", "eng_attention_sum", dq, "dq", p.d, steps, parts, share, t))
    return calls
