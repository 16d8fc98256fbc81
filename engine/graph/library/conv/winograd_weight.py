"""Gradient of 3x3 weights by Winograd's algorithm on CPU devices (conv_winograd_weight.cl)."""

from __future__ import annotations

from typing import Any

from engine.graph.library.call import Int, KernelCall, Operand, Scratch, ceil_div
from engine.graph.library.conv.direct import round_up
from engine.graph.library.conv.problem import ConvProblem

SOURCE = "conv_winograd_weight.cl"
_VECTORS = 3
_TILES = 64  # tiles of a block: partial sums of so many terms
_SLAB = 4 << 20  # elements of transformed input and gradient held at a time


def supports(caps: Any, name: str, problem: ConvProblem) -> bool:
    """3x3 in two dimensions, stride and dilation 1, one group, float32."""
    p = problem.normal()
    return (
        name == "float32"
        and p.groups == 1
        and p.kernel == (1, 3, 3)
        and p.in_size[0] == 1
        and p.padding[0] == (0, 0)
        and p.stride == (1, 1, 1)
        and p.dilation == (1, 1, 1)
        and caps.local_mem_size >= 48 << 10
    )


def _blocks(channels: int, lanes: int) -> tuple[int, int]:
    """(channels of a block, blocks)."""
    width = round_up(ceil_div(channels, ceil_div(channels, _VECTORS * lanes)), lanes)
    return width, ceil_div(channels, width)


def convolution(caps: Any, problem: ConvProblem) -> list[KernelCall]:
    """dw from x and dy. Slabs of tiles, so that what is transformed is still in the caches when it is multiplied."""
    p = problem.normal()
    lanes = max(4, min(16, caps.float_vector_width))
    mr = 8 if lanes == 16 else 4
    (ih, iw), (oh, ow) = p.in_size[1:], p.out_size[1:]
    th, tw = ceil_div(oh, 4), ceil_div(ow, 4)
    tiles = p.batch * th * tw
    width, blocks = _blocks(p.in_channels, lanes)
    oc_tiles = round_up(p.out_channels, max(mr, lanes)) // mr
    each = 36 * (width * blocks + oc_tiles * mr)
    slabs = max(1, round(each * tiles / _SLAB))
    slab = round_up(ceil_div(tiles, slabs), _TILES)
    v = Scratch("wino_v", 4 * 36 * width * blocks * slab)
    m = Scratch("wino_m", 4 * 36 * oc_tiles * mr * slab)
    u = Scratch("wino_u", 4 * 36 * (oc_tiles * mr * width * blocks + 16))
    options = (f"-DVW={lanes}", f"-DMR={mr}", f"-DNV={_VECTORS}")
    share = oc_tiles if 36 % caps.compute_units == 0 else ceil_div(oc_tiles, caps.compute_units)
    pads = [lo for lo, _ in p.padding[1:]]
    calls = []
    for first in range(0, tiles, slab):
        last = min(first + slab, tiles)
        part = ceil_div(last - first, _TILES)
        for name, target, channels, size, before, block, count, extra in (
            ("x", v, p.in_channels, (ih, iw), pads, width, blocks, ()),
            ("dy", m, p.out_channels, (oh, ow), (0, 0), mr, oc_tiles, ("-DTILES",)),
        ):
            sizes = (p.batch, channels, *size, th, tw, *before, first, last, _TILES, block, count)
            calls.append(
                KernelCall(
                    SOURCE,
                    "eng_wino_patches",
                    (part, ceil_div(channels, lanes)),
                    (1, 1),
                    (Operand(name), target, *map(Int, sizes)),
                    (*options, *extra),
                    nbytes=4 * channels * (last - first) * 52,
                )
            )
        sizes = (p.in_channels, oc_tiles, last - first, _TILES, width, blocks, share, int(first == 0))
        calls.append(
            KernelCall(
                SOURCE,
                "eng_wino_dw",
                (36, ceil_div(oc_tiles, share)),
                (1, 1),
                (m, v, u, *map(Int, sizes)),
                options,
                flops=p.flops * (last - first) // tiles,
                nbytes=4 * each * (last - first),
            )
        )
    chunk = max(1, ceil_div(p.out_channels, 8 * caps.compute_units))
    sizes = (p.out_channels, p.in_channels, oc_tiles * mr, width * blocks, chunk)
    calls.append(
        KernelCall(
            SOURCE,
            "eng_wino_finish",
            (ceil_div(p.out_channels, chunk),),
            (1,),
            (u, Operand("out"), *map(Int, sizes)),
            options,
            nbytes=4 * 45 * p.w_elements // 9,
        )
    )
    return calls
