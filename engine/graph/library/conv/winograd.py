"""Winograd convolution F(4x4, 3x3) on CPU devices (conv_winograd.cl), for the forward pass and grad-input."""

from __future__ import annotations

from math import prod
from typing import Any

from engine.graph.library.call import Int, KernelCall, Operand, Scratch, ceil_div
from engine.graph.library.conv.direct import round_up
from engine.graph.library.conv.problem import ConvProblem

SOURCE = "conv_winograd.cl"
_VECTORS = 3
_SLAB = 16 << 20  # elements of transformed input held at a time


def supports(caps: Any, name: str, problem: ConvProblem, op: str) -> bool:
    """3x3 in two dimensions, stride 1, one group, float32, forward or grad-input."""
    p = problem.normal()
    lanes = _lanes(caps)
    local = 4 * (36 * _rows(lanes) + 16) * _VECTORS * lanes + 2048
    return (
        name == "float32"
        and op in ("FORWARD", "INPUT")
        and p.groups == 1
        and p.kernel == (1, 3, 3)
        and p.in_size[0] == 1
        and p.padding[0] == (0, 0)
        and p.stride == (1, 1, 1)
        and (op == "FORWARD" or all(lo <= 2 * d for (lo, _), d in zip(p.padding[1:], p.dilation[1:], strict=True)))
        and local <= caps.local_mem_size
    )


def pays(problem: ConvProblem, op: str = "FORWARD") -> bool:
    """Whether fewer multiplications outweigh the transforms.

    Measured on one AVX-512 core, in ns a pair of channels: 0.36 a tile for the products, 1.44 for the direct kernel
    (fewer where tiles stick out of the image), about 5 a tile and channel for each data transform (8 for grad-weight),
    40 to 60 for the weights.
    """
    p = problem.normal()
    tiles = p.batch * _tiles(p.out_size[1:], p.dilation[1:])
    transform = 8 if op == "WEIGHT" else 5
    if p.dilation != (1, 1, 1):
        transform = 20  # an element at a time
    gain = 1.44 * p.batch * p.out_pixels / max(1, tiles * 16) - 0.36
    gain -= transform / p.in_channels + transform / p.out_channels
    return gain > 0.5 and tiles * gain > 60


def _tiles(size: tuple[int, ...], dilation: tuple[int, ...]) -> int:
    """Tiles of one image: of all the images that every d-th row and column make."""
    return prod(d * ceil_div(ceil_div(n, d), 4) for n, d in zip(size, dilation, strict=True))


def _lanes(caps: Any) -> int:
    return max(4, min(16, caps.float_vector_width))


def _rows(lanes: int) -> int:
    return 8 if lanes == 16 else 4


def convolution(caps: Any, problem: ConvProblem, op: str, *, epilogue: bool = False) -> list[KernelCall]:
    """``op`` FORWARD or INPUT; float32. Images whose transformed input is large are done in several slabs."""
    p = problem.normal()
    lanes = _lanes(caps)
    mr = _rows(lanes)
    forward = op == "FORWARD"
    rows, depth = (p.out_channels, p.in_channels) if forward else (p.in_channels, p.out_channels)
    (ih, iw), (oh, ow) = (p.in_size[1:], p.out_size[1:]) if forward else (p.out_size[1:], p.in_size[1:])
    dilation = p.dilation[1:]
    pads = [lo if forward else 2 * d - lo for (lo, _), d in zip(p.padding[1:], dilation, strict=True)]
    options = (f"-DVW={lanes}", f"-DMR={mr}", f"-DNV={_VECTORS}")
    row_tiles = ceil_div(rows, mr)
    u = Scratch("wino_u", 4 * 36 * (row_tiles * depth * mr + 16))
    split = ceil_div(depth, ceil_div(caps.compute_units, row_tiles))
    weights = KernelCall(
        SOURCE,
        "eng_wino_weights",
        (row_tiles, ceil_div(depth, split)),
        (1, 1),
        (Operand("w"), u, Int(rows), Int(depth), Int(split)),
        options if forward else (*options, "-DFLIP"),
        nbytes=4 * 45 * rows * depth,
    )
    tiles = p.batch * _tiles((oh, ow), dilation)
    slabs = ceil_div(36 * depth * tiles, _SLAB)
    slab = round_up(ceil_div(tiles, slabs), lanes)
    v = Scratch("wino_v", 4 * 36 * depth * slab)
    image = (Int(ih), Int(iw), Int(oh), Int(ow), *map(Int, (*dilation, *pads)))
    calls = [weights]
    for first in range(0, tiles, slab):
        last = min(first + slab, tiles)
        block, blocks = _blocks(last - first, lanes)
        share = ceil_div(depth, caps.compute_units) if blocks % caps.compute_units else depth
        span = (Int(first), Int(last), Int(block))
        calls.append(
            KernelCall(
                SOURCE,
                "eng_wino_input",
                (blocks, ceil_div(depth, share)),
                (1, 1),
                (Operand("x" if forward else "dy"), v, Int(depth), *image, *span, Int(share)),
                options,
                nbytes=4 * depth * (p.batch * ih * iw + 36 * tiles) * (last - first) // tiles,
            )
        )
        few = blocks % caps.compute_units and blocks < 16 * caps.compute_units
        share = ceil_div(row_tiles, caps.compute_units) if few else row_tiles
        calls.append(
            KernelCall(
                SOURCE,
                "eng_wino_output",
                (blocks, ceil_div(row_tiles, share)),
                (1, 1),
                (u, v, Operand("out"), Int(rows), Int(depth), Int(oh), Int(ow), *map(Int, dilation), *span, Int(share)),
                options,
                epilogue=epilogue and forward,
                flops=p.flops * (last - first) // tiles,
                nbytes=4 * (36 * depth * (last - first) + rows * p.batch * oh * ow),
            )
        )
    return calls


def _blocks(tiles: int, lanes: int) -> tuple[int, int]:
    """(tiles of a block, blocks): equal blocks of at most ``_VECTORS`` vectors."""
    block = round_up(ceil_div(tiles, ceil_div(tiles, _VECTORS * lanes)), lanes)
    return block, ceil_div(tiles, block)
