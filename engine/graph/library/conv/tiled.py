"""Convolution with local-memory tiles for GPUs, and one work-item an element for what nothing else covers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.graph.library.call import Int, KernelCall, Operand, Scratch
from engine.graph.library.conv.problem import ConvProblem

SOURCE = "conv_tiled.cl"
_OPERANDS = {"FORWARD": ("w", "x"), "INPUT": ("w", "dy"), "WEIGHT": ("dy", "x")}
_STORED = {
    "float32": "float",
    "float64": "double",
    "float16": "half",
    "bfloat16": "ushort",
    "uint8": "uchar",
    "int8": "char",
    "int16": "short",
    "int32": "int",
    "int64": "long",
    "uint16": "ushort",
    "uint32": "uint",
    "uint64": "ulong",
    "bool": "uchar",
}
_ITEMSIZE = {"double": 8, "float": 4, "long": 8}


@dataclass(frozen=True, slots=True)
class GpuTile:
    """``lx * ly`` work-items make ``ly * tm`` rows by ``lx * tn`` columns, ``bk`` terms at a time."""

    lx: int
    ly: int
    tm: int
    tn: int
    bk: int


LARGE = GpuTile(16, 16, 4, 4, 16)
SMALL = GpuTile(8, 8, 4, 4, 16)


def type_options(name: str) -> tuple[str, str, tuple[str, ...]]:
    """(stored type, type of the sum, build options) for a dtype name."""
    stored = _STORED[name]
    total = {"float64": "double"}.get(name, "float" if "float" in name else "long")
    extra = {"float16": ("-DT_F16",), "bfloat16": ("-DT_BF16",), "float64": ("-DUSE_FP64",)}.get(name, ())
    return stored, total, (f"-DST={stored}", f"-DCT={total}", *extra)


def _up(a: int, b: int) -> int:
    return -(-a // b)


def convolution(
    caps: Any, name: str, problem: ConvProblem, op: str, *, tile: GpuTile | None, epilogue: bool = False
) -> list[KernelCall]:
    """``op`` FORWARD, INPUT or WEIGHT with ``tile``, or one work-item an element where it is None."""
    p = problem.normal()
    _, total, types = type_options(name)
    pixels = p.batch * p.out_pixels
    m, n, k = {
        "FORWARD": (p.group_out, pixels, p.group_in * p.taps),
        "INPUT": (p.group_in, p.batch * p.in_pixels, p.group_out * p.taps),
        "WEIGHT": (p.group_out, p.group_in * p.taps, pixels),
    }[op]
    if tile is not None and tile.lx * tile.ly > caps.max_work_group_size:
        tile = SMALL
    bm, bn = (tile.ly * tile.tm, tile.lx * tile.tn) if tile else (1, 64)
    grid = [_up(n, bn), _up(m, bm), p.groups]
    splits = 1
    if op == "WEIGHT":
        want = 8 * max(caps.compute_units, 1) if tile else 1
        splits = max(1, min(_up(want, grid[0] * grid[1] * grid[2]), _up(k, 512)))
    ksplit = _up(k, splits)
    splits = _up(k, ksplit)
    a, b = _OPERANDS[op]
    target = (
        Operand("out") if splits == 1 else Scratch("parts", splits * p.w_elements * _ITEMSIZE[total], _ITEMSIZE[total])
    )
    sizes = [p.batch, p.groups, p.group_in, p.group_out]
    for part in (p.in_size, p.out_size, p.kernel, p.stride, tuple(lo for lo, _ in p.padding), p.dilation):
        sizes.extend(part)
    options = [f"-DOP_{op}", *types]
    if splits > 1:
        options.append("-DPARTIAL")
    if tile:
        options += [f"-DLX={tile.lx}", f"-DLY={tile.ly}", f"-DTM={tile.tm}", f"-DTN={tile.tn}", f"-DBK={tile.bk}"]
    local = tile.lx * tile.ly if tile else 64
    calls = [
        KernelCall(
            SOURCE,
            "eng_conv_tiled" if tile else "eng_conv_plain",
            (grid[0] * local, grid[1], grid[2] * splits),
            (local, 1, 1),
            (Operand(a), Operand(b), target, *map(Int, sizes), Int(ksplit)),
            tuple(options),
            epilogue=epilogue and op == "FORWARD",
            flops=p.flops,
            nbytes=4 * (p.x_elements + p.w_elements + p.y_elements),
        )
    ]
    if splits > 1:
        calls.append(
            KernelCall(
                SOURCE,
                "eng_conv_tiled_sum",
                (64 * _up(p.w_elements, 64),),
                (64,),
                (target, Operand("out"), Int(p.w_elements), Int(splits)),
                tuple(options),
                nbytes=4 * p.w_elements,
            )
        )
    return calls
