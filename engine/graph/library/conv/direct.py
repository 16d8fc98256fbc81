"""Implicit-GEMM convolution on CPU devices: parameters, arguments and launch sizes.

Sources: conv_direct.cl (forward, grad-input), conv_direct_weight.cl (grad-weight), conv_weights.cl (what they read).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod
from typing import Any

from engine.graph.library.call import Int, KernelCall, Operand, Scratch, ceil_div
from engine.graph.library.conv.problem import ConvProblem

SOURCE = "conv_direct.cl"
WEIGHT_SOURCE = "conv_direct_weight.cl"
READY_SOURCE = "conv_weights.cl"


@dataclass(frozen=True, slots=True)
class Tile:
    """Register tile of conv_direct.cl: ``rows`` broadcast rows by ``vectors`` vectors of ``lanes`` elements."""

    lanes: int
    rows: int
    vectors: int

    @property
    def width(self) -> int:
        """Columns of the tile."""
        return self.lanes * self.vectors


@dataclass(frozen=True, slots=True)
class Block:
    """Work of one work-group: ``rows`` x ``cols`` outputs, ``channels`` input channels a step."""

    rows: int
    cols: int
    channels: int


def round_up(a: int, b: int) -> int:
    """``a`` rounded up to a multiple of ``b``."""
    return ceil_div(a, b) * b


def tile_for(caps: Any, itemsize: int, wide: tuple[int, int] = (8, 3)) -> Tile:
    """The register tile that fits the vector registers: 32 of them with 512 bits, 16 below."""
    lanes = max(4, min(16, caps.float_vector_width))
    rows, vectors = wide if lanes == 16 else (6, 2)
    if itemsize == 8:
        lanes = max(4, lanes // 2)
    return Tile(lanes, rows, vectors)


def local_elements(caps: Any, itemsize: int) -> int:
    """Elements of local memory a work-group may use: what the device has, at most 1 MiB (a CPU's L2)."""
    return min(caps.local_mem_size - 1024, 1 << 20) // itemsize


def split_local(caps: Any, itemsize: int, tile: Tile) -> tuple[int, int]:
    """(panel, result) buffer sizes in elements; a function of the device alone, so programs stay few."""
    total = local_elements(caps, itemsize)
    panel = min(total // 2, tile.width * (20480 // itemsize * 4 // tile.width))
    panel = panel // tile.width * tile.width
    result = (total - panel) // tile.lanes * tile.lanes
    return panel, result


def type_options(name: str) -> tuple[str, ...]:
    """Build options that choose stored and compute type."""
    return {"float32": (), "float64": ("-DCT_DOUBLE",), "float16": ("-DT_F16",), "bfloat16": ("-DT_BF16",)}[name]


def compute_size(name: str) -> int:
    """Bytes of an element of the type arithmetic is done in."""
    return 8 if name == "float64" else 4


def even_split(total: int, limit: int, unit: int, parts: int = 1) -> int:
    """A block size, a multiple of ``unit``, that cuts ``total`` into equal blocks of at most ``limit``.

    The number of blocks is a multiple of ``parts`` where that costs nothing.
    """
    limit = max(unit, limit // unit * unit)
    count = round_up(ceil_div(total, limit), parts)
    return min(limit, round_up(ceil_div(total, count), unit))


def pick_block(
    rows: int, cols: int, channels: int, taps: int, tile: Tile, panel: int, result: int, units: int
) -> Block:
    """Blocks for ``rows`` x ``cols`` outputs with ``channels * taps`` terms each."""
    step = max(1, min(channels, panel // (tile.width * max(taps, 1))))
    step = ceil_div(channels, ceil_div(channels, step))
    max_rows = min(
        round_up(rows, tile.rows), 256 // tile.rows * tile.rows, result // tile.lanes // tile.rows * tile.rows
    )
    mc = even_split(rows, max_rows, tile.rows)
    row_blocks = ceil_div(rows, mc)
    max_cols = result // mc // tile.lanes * tile.lanes
    nc = min(max_cols, 10 * tile.width)
    nc = even_split(cols, nc, tile.lanes, units if row_blocks % units else 1)
    return Block(mc, nc, step)


def _geometry(p: ConvProblem) -> list[int]:
    values: list[int] = [p.batch, p.groups, p.group_in, p.group_out]
    for part in (p.in_size, p.out_size, p.kernel, p.stride, tuple(lo for lo, _ in p.padding), p.dilation):
        values.extend(part)
    return values


def supports(caps: Any, name: str, problem: ConvProblem, op: str) -> bool:
    """Whether the smallest block fits the local buffers."""
    p = problem.normal()
    size = compute_size(name)
    tile = tile_for(caps, size)
    if op == "WEIGHT":
        _, rows, result = wgrad_local(caps, size, tile)
        return p.taps * tile.lanes <= rows and round_up(p.taps, tile.rows) * tile.lanes <= result
    slabs = p.stride[2] if op == "INPUT" else 1
    return slabs * tile.rows * tile.lanes <= split_local(caps, size, tile)[1]


def _widen(caps: Any, name: str, operand: str, elements: int, calls: list[KernelCall]) -> Operand | Scratch:
    """The operand itself, or a float copy of it where it is stored in 16 bits."""
    if name not in ("float16", "bfloat16"):
        return Operand(operand)
    copy = Scratch(f"{operand}32", elements * 4)
    chunk = max(4096, round_up(ceil_div(elements, 4 * caps.compute_units), 64))
    calls.append(
        KernelCall(
            READY_SOURCE,
            "eng_conv_cast",
            (ceil_div(elements, chunk),),
            (1,),
            (Operand(operand), copy, Int(elements), Int(chunk)),
            (f"-DVW={tile_for(caps, 4).lanes}", *type_options(name)),
            nbytes=6 * elements,
        )
    )
    return copy


def forward(
    caps: Any,
    name: str,
    problem: ConvProblem,
    *,
    epilogue: bool = False,
    block: Block | None = None,
    wide: tuple[int, int] = (8, 3),
) -> list[KernelCall]:
    """out = conv(x, w)."""
    p = problem.normal()
    size = compute_size(name)
    tile = tile_for(caps, size, wide)
    panel, result = split_local(caps, size, tile)
    cols = p.batch * p.out_pixels
    b = block or pick_block(p.group_out, cols, p.group_in, p.taps, tile, panel, result, caps.compute_units)
    options = (*_tile_options(tile, panel, result), *type_options(name))
    calls: list[KernelCall] = []
    x = _widen(caps, name, "x", p.x_elements, calls)
    w = _widen(caps, name, "w", p.w_elements, calls)
    args = [x, w, Operand("out"), *map(Int, _geometry(p)), Int(b.rows), Int(b.cols), Int(b.channels), Int(0)]
    call = KernelCall(
        SOURCE,
        "eng_conv_fwd",
        (ceil_div(cols, b.cols), ceil_div(p.group_out, b.rows), p.groups),
        (1, 1, 1),
        tuple(args),
        options,
        epilogue=epilogue,
        flops=p.flops,
        nbytes=size * (p.x_elements + p.w_elements + p.y_elements),
    )
    return [*calls, call]


def grad_input(
    caps: Any, name: str, problem: ConvProblem, *, block: Block | None = None, wide: tuple[int, int] = (8, 3)
) -> list[KernelCall]:
    """out = d(loss)/dx from dy and w: a stride-1 convolution of dy for every phase of the stride."""
    p = problem.normal()
    size = compute_size(name)
    tile = tile_for(caps, size, wide)
    panel, result = split_local(caps, size, tile)
    steps = [s // gcd(s, d) for s, d in zip(p.stride, p.dilation, strict=True)]
    taps = prod(ceil_div(k, s) for k, s in zip(p.kernel, steps, strict=True))
    phases = prod(p.stride)
    slot = p.in_channels * p.group_out * taps
    calls: list[KernelCall] = []
    dy = _widen(caps, name, "dy", p.y_elements, calls)
    w = _widen(caps, name, "w", p.w_elements, calls)
    geometry = _geometry(p)
    rows = even_split(p.group_in, max(16, 128 // p.taps), 16)
    shape = [p.groups, p.group_in, p.group_out, *geometry[10:]]
    flip = KernelCall(
        READY_SOURCE,
        "eng_conv_flip",
        (ceil_div(p.group_in, rows), p.groups, phases),
        (1, 1, 1),
        (w, Scratch("flipped", slot * phases * size, size), *map(Int, shape), Int(rows), Int(slot)),
        (f"-DVW={tile.lanes}", *type_options(name)),
        nbytes=2 * size * p.w_elements,
    )
    cols = p.batch * prod(ceil_div(n, s) for n, s in zip(p.in_size, p.stride, strict=True))
    b = block or pick_block(p.group_in, cols, p.group_out, taps, tile, panel, result // p.stride[2], caps.compute_units)
    if phases == 1:
        q = [p.batch, p.groups, p.group_out, p.group_in, *p.out_size, *p.in_size, *p.kernel, 1, 1, 1]
        q += [(k - 1) * d - lo for k, d, (lo, _) in zip(p.kernel, p.dilation, p.padding, strict=True)]
        q += p.dilation
    else:
        q = [p.batch, p.groups, p.group_out, p.group_in, *geometry[4:]]
    grid = (ceil_div(cols, b.cols), ceil_div(p.group_in, b.rows), p.groups * phases // p.stride[2])
    options = (*(("-DPHASED",) if phases > 1 else ()), *_tile_options(tile, panel, result), *type_options(name))
    conv = KernelCall(
        SOURCE,
        "eng_conv_fwd",
        grid if phases == 1 else grid[::-1],
        (1, 1, 1),
        (
            dy,
            Scratch("flipped", slot * phases * size, size),
            Operand("out"),
            *map(Int, q),
            Int(b.rows),
            Int(b.cols),
            Int(b.channels),
            Int(slot),
        ),
        options,
        flops=p.flops,
        nbytes=size * (p.x_elements + p.w_elements + p.y_elements),
    )
    return [*calls, flip, conv]


def wgrad_local(caps: Any, itemsize: int, tile: Tile) -> tuple[int, int, int]:
    """(dy panel, im2col rows, result) buffer sizes in elements."""
    total = local_elements(caps, itemsize) - 64
    panel = tile.width * max(tile.lanes, min(336, total // 6 // tile.width) // tile.lanes * tile.lanes)
    rows = (total - panel) * 5 // 9 // tile.lanes * tile.lanes
    return panel, rows, (total - panel - rows) // tile.lanes * tile.lanes


def grad_weight(caps: Any, name: str, problem: ConvProblem, *, wide: tuple[int, int] = (8, 3)) -> list[KernelCall]:
    """out = d(loss)/dw from x and dy."""
    p = problem.normal()
    size = compute_size(name)
    tile = tile_for(caps, size, wide)
    panel, rows_buf, result = wgrad_local(caps, size, tile)
    kp = min(panel // tile.width, rows_buf // p.taps) // tile.lanes * tile.lanes
    mc = even_split(p.group_out, min(256, result // round_up(p.taps, tile.rows)), tile.lanes)
    limit = min(rows_buf // kp, result // round_up(mc, tile.lanes) // tile.rows * tile.rows, 768)
    cb = max(1, min(p.group_in, limit // p.taps))
    units = caps.compute_units
    blocks = ceil_div(p.group_out, mc) * p.groups
    count = ceil_div(p.group_in, cb)
    if (count * blocks) % units and p.group_in >= 2 * units * max(1, 64 // p.taps):
        count = round_up(count, units)
    cb = ceil_div(p.group_in, count)
    count = ceil_div(p.group_in, cb)
    pixels = p.batch * p.out_pixels
    splits = 1
    if (count * blocks) % units and count * blocks < 8 * units:
        splits = units // gcd(count * blocks, units)
    span = round_up(ceil_div(pixels, splits), kp)
    splits = ceil_div(pixels, span)
    options = (*_tile_options(tile, panel, result), f"-DROWS_BUF={rows_buf}", *type_options(name))
    staged = splits > 1 or size != _stored_size(name)
    target = Scratch("parts", splits * p.w_elements * size, size) if staged else Operand("out")
    calls: list[KernelCall] = []
    x = _widen(caps, name, "x", p.x_elements, calls)
    dy = _widen(caps, name, "dy", p.y_elements, calls)
    calls.append(
        KernelCall(
            WEIGHT_SOURCE,
            "eng_conv_wgrad",
            (count, ceil_div(p.group_out, mc), p.groups * splits),
            (1, 1, 1),
            (x, dy, target, *map(Int, _geometry(p)), Int(mc), Int(cb), Int(kp), Int(span), Int(splits)),
            options,
            flops=p.flops,
            nbytes=size * (p.x_elements + p.w_elements + p.y_elements),
        )
    )
    if staged:
        chunk = max(1024, round_up(ceil_div(p.w_elements, 4 * units), 64))
        calls.append(
            KernelCall(
                WEIGHT_SOURCE,
                "eng_conv_sum",
                (ceil_div(p.w_elements, chunk),),
                (1,),
                (target, Operand("out"), Int(p.w_elements), Int(splits), Int(chunk)),
                options,
                nbytes=size * p.w_elements * (splits + 1),
            )
        )
    return calls


def _stored_size(name: str) -> int:
    return {"float64": 8, "float32": 4}.get(name, 2)


def _tile_options(tile: Tile, panel: int, result: int) -> tuple[str, ...]:
    return (f"-DVW={tile.lanes}", f"-DMR={tile.rows}", f"-DNV={tile.vectors}", f"-DPANEL={panel}", f"-DCBUF={result}")
