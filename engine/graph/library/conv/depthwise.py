"""Depthwise convolution on CPU devices (conv_depthwise.cl)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.graph.library.call import Int, KernelCall, Operand, ceil_div
from engine.graph.library.conv.problem import ConvProblem

SOURCE = "conv_depthwise.cl"
_KERNELS = {"FORWARD": "eng_dw_fwd", "INPUT": "eng_dw_dx", "WEIGHT": "eng_dw_dw"}
_OPERANDS = {"FORWARD": ("x", "w", "out"), "INPUT": ("dy", "w", "out"), "WEIGHT": ("x", "dy", "out")}
_STORED = {"float32": "float", "float64": "double", "float16": "half", "bfloat16": "ushort"}
_EXTRA = {"float64": ("-DUSE_FP64",), "float16": ("-DT_F16",), "bfloat16": ("-DT_BF16",)}


@dataclass(frozen=True, slots=True)
class Buffers:
    """Vector width and sizes of the local buffers, in elements."""

    lanes: int
    stage: int
    result: int
    taps: int


def buffers(caps: Any, itemsize: int) -> Buffers:
    """Local buffers for a device: the staged tile and its result stay in a CPU's first two cache levels."""
    lanes = max(4, min(16, caps.float_vector_width)) * 4 // itemsize
    lanes = max(4, lanes)
    total = min(caps.local_mem_size - 1024, 160 << 10) // itemsize
    taps = min(256, total // 4 // (lanes + 2))
    total -= taps * (lanes + 2)
    stage = total * 3 // 5 // lanes * lanes
    return Buffers(lanes, stage, (total - stage) // lanes * lanes, taps)


def _extent(p: ConvProblem, op: str) -> tuple[int, int, int, int, int]:
    """(rows, cols, halo rows, halo cols, phases) of the tiled plane."""
    (_, kh, kw), (_, sh, sw), (_, dh, dw) = p.kernel, p.stride, p.dilation
    if op != "INPUT":
        return p.out_size[1], p.out_size[2], (kh - 1) * dh // sh, (kw - 1) * dw // sw, sh * sw
    (_, (ph, _), (pw, _)) = p.padding
    halo_y = (sh - 1 + ph) // sh - (ph - (kh - 1) * dh) // sh
    halo_x = (sw - 1 + pw) // sw - (pw - (kw - 1) * dw) // sw
    return ceil_div(p.in_size[1], sh), ceil_div(p.in_size[2], sw), halo_y, halo_x, 1


def _tile(p: ConvProblem, op: str, b: Buffers) -> tuple[int, int] | None:
    """Rows and columns of a tile that fit the buffers, or None."""
    rows, cols, halo_y, halo_x, phases = _extent(p, op)
    slack = 4 * b.lanes

    def fits(r: int, c: int) -> bool:
        pitch = c + halo_x
        return phases * (r + halo_y) * pitch + slack <= b.stage and r * pitch + slack <= b.result

    while cols > 1 and not fits(min(rows, 4), cols):
        cols = ceil_div(cols, 2)
    while rows > 1 and not fits(rows, cols):
        rows = ceil_div(rows, 2)
    return (rows, cols) if fits(rows, cols) else None


def supports(caps: Any, name: str, problem: ConvProblem, op: str) -> bool:
    """Depthwise in at most two dimensions, with a kernel that fits."""
    p = problem.normal()
    if not p.is_depthwise or p.in_size[0] != 1 or p.kernel[0] != 1 or p.out_size[0] != 1:
        return False
    b = buffers(caps, 8 if name == "float64" else 4)
    return p.taps <= b.taps and p.padding[0] == (0, 0) and _tile(p, op, b) is not None


def convolution(caps: Any, name: str, problem: ConvProblem, op: str, *, epilogue: bool = False) -> list[KernelCall]:
    """``op`` FORWARD, INPUT or WEIGHT of a depthwise problem."""
    p = problem.normal()
    size = 8 if name == "float64" else 4
    b = buffers(caps, size)
    rows, cols = _tile(p, op, b)
    planes = {
        "FORWARD": p.batch * p.out_channels,
        "INPUT": p.batch * p.in_channels,
        "WEIGHT": p.out_channels,
    }[op]
    chunk = max(1, planes // (32 * caps.compute_units))
    sizes = [p.batch, p.in_channels, p.group_out, *p.in_size[1:], *p.out_size[1:], *p.kernel[1:], *p.stride[1:]]
    sizes += [p.padding[1][0], p.padding[2][0], *p.dilation[1:], rows, cols, chunk]
    options = (
        f"-DOP_{op}",
        f"-DVW={b.lanes}",
        f"-DSTAGE={b.stage}",
        f"-DACC={b.result}",
        f"-DMAXTAPS={b.taps}",
        f"-DST={_STORED[name]}",
        f"-DCT={'double' if name == 'float64' else 'float'}",
        *_EXTRA.get(name, ()),
    )
    return [
        KernelCall(
            SOURCE,
            _KERNELS[op],
            (ceil_div(planes, chunk),),
            (1,),
            (*map(Operand, _OPERANDS[op]), *map(Int, sizes)),
            options,
            epilogue=epilogue and op == "FORWARD",
            flops=p.flops,
            nbytes=size * (p.x_elements + p.w_elements + p.y_elements),
        )
    ]
