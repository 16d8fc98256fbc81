"""Stride-1 convolution of few channels a group on CPU devices (conv_rows.cl, conv_rows_weight.cl)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.graph.library.call import Int, KernelCall, Operand, Scratch, ceil_div
from engine.graph.library.conv.direct import round_up
from engine.graph.library.conv.problem import ConvProblem

SOURCE = "conv_rows.cl"
WEIGHT_SOURCE = "conv_rows_weight.cl"
_HEIGHTS = (3, 5, 7)
_BLOCK = 7  # rows of sums kept in registers; the sizes of usual networks are multiples of it
_STORED = {"float32": "float", "float64": "double", "float16": "half", "bfloat16": "ushort"}
_EXTRA = {"float64": ("-DUSE_FP64",), "float16": ("-DT_F16",), "bfloat16": ("-DT_BF16",)}


@dataclass(frozen=True, slots=True)
class _Map:
    """The convolution as the kernel sees it: channels a group, sizes and padding of what it reads and makes."""

    channels: int
    outputs: int
    size: tuple[int, int]
    made: tuple[int, int]
    before: tuple[int, int]


def _map(p: ConvProblem, op: str) -> _Map:
    pads = tuple(lo for lo, _ in p.padding[1:])
    if op == "FORWARD":
        return _Map(p.group_in, p.group_out, p.in_size[1:], p.out_size[1:], pads)
    spans = (d * (k - 1) for k, d in zip(p.kernel[1:], p.dilation[1:], strict=True))
    return _Map(p.group_out, p.group_in, p.out_size[1:], p.in_size[1:], tuple(s - a for s, a in zip(spans, pads)))


def _buffers(caps: Any, name: str) -> tuple[int, int, int]:
    """(lanes, elements of the staged planes, elements of a block of sums)."""
    size = 8 if name == "float64" else 4
    lanes = max(4, max(4, min(16, caps.float_vector_width)) * 4 // size)
    total = min(caps.local_mem_size - 1024, 192 << 10) // size
    sums = min(_BLOCK * 1024, total // 3)
    return lanes, total - sums, sums


def _tile(p: ConvProblem, m: _Map, buffers: tuple[int, int, int]) -> tuple[int, int] | None:
    """Rows and columns of a tile that fit the buffers, or None."""
    lanes, stage, sums = buffers
    rows, cols = m.made
    halo = (p.kernel[2] - 1) * p.dilation[2]

    def fits(r: int, c: int) -> bool:
        q = c + halo
        staged = (m.channels * (r + p.kernel[1] - 1) + _BLOCK) * q + 2 * lanes
        return staged <= stage and _BLOCK * round_up(c, lanes) <= sums

    while cols > lanes and not fits(min(rows, 2 * _BLOCK), cols):
        cols = round_up(ceil_div(cols, 2), lanes)
    while rows > _BLOCK and not fits(rows, cols):
        rows = round_up(ceil_div(rows, 2), _BLOCK)
    return (rows, cols) if fits(rows, cols) else None


def _weight_rows(caps: Any, name: str, p: ConvProblem) -> tuple[int, int, int, int, int] | None:
    """(output rows staged at a time, lanes, sizes of the x, dy and sum buffers) of grad-weight, or None: no room."""
    size = 8 if name == "float64" else 4
    lanes = _buffers(caps, name)[0]
    total = min(caps.local_mem_size - 1024, 192 << 10) // size
    sums = total // 4
    grad = total // 4
    stage = total - sums - grad
    cols = round_up(p.out_size[2], lanes)
    pitch = cols + (p.kernel[2] - 1) * p.dilation[2]
    rows = round_up(p.out_size[1], _BLOCK)
    while rows > 0 and (
        p.group_in * (rows + p.kernel[1] - 1) * pitch + 2 * lanes > stage or rows * cols + 2 * lanes > grad
    ):
        rows -= _BLOCK
    fits = rows > 0 and p.group_in * p.group_out * p.taps * lanes <= sums
    return (rows, lanes, stage, grad, sums) if fits else None


def supports(caps: Any, name: str, problem: ConvProblem, op: str) -> bool:
    """Two dimensions, stride 1, a kernel 3, 5 or 7 high without dilation along y."""
    p = problem.normal()
    if p.in_size[0] != 1 or p.kernel[0] != 1 or p.padding[0] != (0, 0):
        return False
    if p.stride != (1, 1, 1) or p.dilation[1] != 1 or p.kernel[1] not in _HEIGHTS:
        return False
    if op == "WEIGHT":
        return _weight_rows(caps, name, p) is not None
    return _tile(p, _map(p, op), _buffers(caps, name)) is not None


def pays(problem: ConvProblem, op: str) -> bool:
    """Whether it beats the direct kernels: cycles a vector of pixels, input channel and tap, measured with AVX-512.

    A multiplication takes 0.95 here (in whole blocks and vectors) and 0.58 there (in tiles of 8 output channels), where
    im2col adds 5; storing counts for the more the fewer the terms of a sum.
    """
    p = problem.normal()
    if op == "WEIGHT":
        return p.group_in * p.group_out <= 48 and p.batch * p.groups > 1
    m = _map(p, op)
    (h, w), terms = m.made, m.channels * p.taps
    waste = round_up(h, _BLOCK) * round_up(w, 16) / max(1, h * w)
    return m.outputs * (0.95 * waste + 4 / terms) < round_up(m.outputs, 8) * 0.58 + 5 + 10 * m.outputs / terms


def convolution(caps: Any, name: str, problem: ConvProblem, op: str, *, epilogue: bool = False) -> list[KernelCall]:
    """``op`` FORWARD, INPUT or WEIGHT."""
    p = problem.normal()
    if op == "WEIGHT":
        return _grad_weight(caps, name, p)
    m = _map(p, op)
    lanes, stage, sums = buffers = _buffers(caps, name)
    rows, cols = _tile(p, m, buffers)
    units = p.batch * p.groups
    want = 2 * caps.compute_units
    if units < want and rows > _BLOCK:
        rows = max(_BLOCK, round_up(ceil_div(rows, ceil_div(want, units)), _BLOCK))
    tiles = units * ceil_div(m.made[0], rows) * ceil_div(m.made[1], cols)
    chunk = max(1, tiles // (16 * caps.compute_units))
    share = m.outputs if tiles >= caps.compute_units else ceil_div(m.outputs, ceil_div(caps.compute_units, tiles))
    sizes = [p.batch, p.groups, m.channels, m.outputs, *m.size, *m.made, p.kernel[2], *m.before, p.dilation[2]]
    options = (
        *_options(p, name, lanes),
        f"-DSTAGE={stage}",
        f"-DACC={sums}",
        *(() if op == "FORWARD" else ("-DFLIP",)),
    )
    return [
        KernelCall(
            SOURCE,
            "eng_conv_rows",
            (ceil_div(tiles, chunk), ceil_div(m.outputs, share)),
            (1, 1),
            (
                Operand("x" if op == "FORWARD" else "dy"),
                Operand("w"),
                Operand("out"),
                *map(Int, (*sizes, rows, cols, chunk, share)),
            ),
            options,
            epilogue=epilogue and op == "FORWARD",
            flops=p.flops,
            nbytes=(8 if name == "float64" else 4) * (p.x_elements + p.w_elements + p.y_elements),
        )
    ]


def _options(p: ConvProblem, name: str, lanes: int) -> tuple[str, ...]:
    types = (f"-DST={_STORED[name]}", f"-DCT={'double' if name == 'float64' else 'float'}", *_EXTRA.get(name, ()))
    return (f"-DVW={lanes}", f"-DKH={p.kernel[1]}", f"-DBLOCK={_BLOCK}", *types)


def _grad_weight(caps: Any, name: str, p: ConvProblem) -> list[KernelCall]:
    """Sums of chunks of the batch, then their sum."""
    rows, lanes, stage, grad, sums = _weight_rows(caps, name, p)
    size = 8 if name == "float64" else 4
    options = (*_options(p, name, lanes), f"-DSTAGE={stage}", f"-DGRAD={grad}", f"-DSUMS={sums}")
    want = 1 if p.groups >= 8 * caps.compute_units else 4 * caps.compute_units
    chunk = ceil_div(p.batch, min(p.batch, ceil_div(want, p.groups)))
    splits = ceil_div(p.batch, chunk)
    staged = splits > 1 or name in _EXTRA and name != "float64"
    target = Scratch("parts", splits * p.w_elements * size, size) if staged else Operand("out")
    pads = [lo for lo, _ in p.padding[1:]]
    sizes = [p.batch, p.groups, p.group_in, p.group_out, *p.in_size[1:], *p.out_size[1:], p.kernel[2], *pads]
    calls = [
        KernelCall(
            WEIGHT_SOURCE,
            "eng_conv_rows_dw",
            (splits, p.groups),
            (1, 1),
            (Operand("x"), Operand("dy"), target, *map(Int, (*sizes, p.dilation[2], rows, chunk))),
            options,
            flops=p.flops,
            nbytes=size * (p.x_elements + p.w_elements + p.y_elements),
        )
    ]
    if staged:
        groups = min(caps.compute_units, ceil_div(p.w_elements, 1024))
        args = (target, Operand("out"), Int(p.w_elements), Int(splits))
        calls.append(KernelCall(WEIGHT_SOURCE, "eng_conv_rows_sum", (groups,), (1,), args, options))
    return calls
